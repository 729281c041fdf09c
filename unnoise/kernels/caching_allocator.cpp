#include "unnoise/kernels/caching_allocator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

namespace unnoise::kernels {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kSmallestRegion = std::size_t{256} << 20;
/// Of a class's free blocks, how many are compared to find the one that fits best.
constexpr int kCompared = 16;

std::size_t round_up(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }
char* huge_page_up(char* p) {
  return p + (round_up(reinterpret_cast<uintptr_t>(p), kHugePage) - reinterpret_cast<uintptr_t>(p));
}

std::size_t machine_memory() {
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<std::size_t>(pages) * static_cast<std::size_t>(size) : kSmallestRegion;
}

}  // namespace

/// Stands before the memory that it describes.
struct alignas(CachingAllocator::kAlignment) CachingAllocator::Block {
  std::size_t bytes = 0;    ///< without this header, a multiple of kAlignment
  Block* before = nullptr;  ///< the neighbour in memory
  bool free = false;
  std::size_t given_back = 0;                  ///< of a free block: bytes that are no memory at the moment
  Block *next = nullptr, *previous = nullptr;  ///< in the free list of its class

  char* data() { return reinterpret_cast<char*>(this + 1); }
};

CachingAllocator::CachingAllocator(const CachingAllocatorOptions& options) : options_(options) {
  const std::size_t wanted = options.region_bytes > 0 ? options.region_bytes : machine_memory();
  // Where address space is rationed, half of it, and so on; without any all goes to std::aligned_alloc.
  for (std::size_t bytes = round_up(wanted, kHugePage); bytes >= std::min(wanted, kSmallestRegion); bytes /= 2) {
    void* const mapping =
        mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) continue;
    mapping_ = static_cast<char*>(mapping);
    mapping_bytes_ = bytes + kHugePage;
    begin_ = top_ = touched_ = huge_page_up(mapping_);
    end_ = begin_ + bytes;
#ifdef MADV_HUGEPAGE
    if (options.huge_pages) madvise(begin_, bytes, MADV_HUGEPAGE);  // a wish: without them it works too
#endif
    return;
  }
}

CachingAllocator::~CachingAllocator() {
  if (mapping_) munmap(mapping_, mapping_bytes_);
}

int CachingAllocator::size_class(std::size_t bytes) {
  const int doubling = std::bit_width(bytes) - 1;  // bytes >= kAlignment
  const auto part = static_cast<int>((bytes >> (doubling - 4)) & (kClassesPerDoubling - 1));
  return std::min((doubling - 6) * kClassesPerDoubling + part, kClasses - 1);
}

CachingAllocator::Block* CachingAllocator::following(const Block* block) const {
  return block == last_ ? nullptr : reinterpret_cast<Block*>(const_cast<Block*>(block)->data() + block->bytes);
}

void CachingAllocator::insert(Block* block) {
  const auto c = static_cast<std::size_t>(size_class(block->bytes));
  block->free = true;
  block->previous = nullptr;
  block->next = free_[c];
  if (block->next) block->next->previous = block;
  free_[c] = block;
  has_free_.set(c);
}

void CachingAllocator::remove(Block* block) {
  const auto c = static_cast<std::size_t>(size_class(block->bytes));
  block->free = false;
  (block->previous ? block->previous->next : free_[c]) = block->next;
  if (block->next) block->next->previous = block->previous;
  if (!free_[c]) has_free_.reset(c);
}

/// Of the class's first free blocks, the one that fits best; of equals the lowest in memory, which leaves large pieces
/// in one (the latest freed instead left a training step 6 % more memory that nothing fitted into).
CachingAllocator::Block* CachingAllocator::best_of_class(std::size_t c, std::size_t bytes) const {
  Block* best = nullptr;
  int compared = 0;
  for (Block* b = free_[c]; b && compared < kCompared; b = b->next, ++compared) {
    if (b->bytes < bytes) continue;
    if (!best || b->bytes < best->bytes || (b->bytes == best->bytes && b < best)) best = b;
  }
  return best;
}

CachingAllocator::Block* CachingAllocator::find_free(std::size_t bytes) {
  const auto c = static_cast<std::size_t>(size_class(bytes));
  Block* best = best_of_class(c, bytes);
  if (!best) {  // all blocks of a higher class are large enough
    const std::size_t above = has_free_._Find_next(c);
    if (above == has_free_.size()) return nullptr;
    best = best_of_class(above, bytes);
  }
  remove(best);
  return best;
}

CachingAllocator::Block* CachingAllocator::grow(std::size_t bytes) {
  if (bytes + sizeof(Block) > static_cast<std::size_t>(end_ - top_)) return nullptr;
  Block* const block = new (top_) Block{.bytes = bytes, .before = last_};
  top_ = block->data() + bytes;
  last_ = block;
  if (top_ > touched_) {
    touched_ = top_;
    ++counts_.growths;
  }
  return block;
}

/// Makes a free block of what `block` has too much.
void CachingAllocator::split(Block* block, std::size_t bytes) {
  const std::size_t rest = block->bytes - bytes;
  if (rest < sizeof(Block) + options_.smallest) return;
  Block* const after = following(block);
  Block* const cut = new (block->data() + bytes) Block{.bytes = rest - sizeof(Block), .before = block};
  cut->given_back = std::min(block->given_back, cut->bytes);
  block->given_back -= cut->given_back;
  block->bytes = bytes;
  if (after)
    after->before = cut;
  else
    last_ = cut;
  insert(cut);
}

void CachingAllocator::absorb_following(Block* block) {
  const Block* const gone = following(block);
  Block* const after = following(gone);
  block->bytes += sizeof(Block) + gone->bytes;
  block->given_back += gone->given_back;
  if (after)
    after->before = block;
  else
    last_ = block;
}

void* CachingAllocator::allocate(std::size_t bytes) {
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() / 2;
  if (bytes > kMost) throw std::bad_alloc();
  const std::size_t rounded = round_up(std::max<std::size_t>(bytes, 1), kAlignment);
  {
    const std::lock_guard lock(mutex_);
    ++counts_.allocations;
    if (bytes >= options_.smallest && begin_) {
      Block* block = find_free(std::max(rounded, kAlignment));
      if (block)
        split(block, rounded);
      else
        block = grow(rounded);
      if (block) {
        given_back_ -= block->given_back;
        block->given_back = 0;
        counts_.allocated_bytes += static_cast<int64_t>(bytes);
        counts_.in_use_bytes += static_cast<int64_t>(block->bytes + sizeof(Block));
        counts_.peak_in_use_bytes = std::max(counts_.peak_in_use_bytes, counts_.in_use_bytes);
        return block->data();
      }
    }
    ++counts_.outside;
  }
  void* const pointer = std::aligned_alloc(kAlignment, rounded);
  if (!pointer) throw std::bad_alloc();
  return pointer;
}

void CachingAllocator::deallocate(void* pointer) noexcept {
  char* const data = static_cast<char*>(pointer);
  if (!data) return;
  if (!begin_ || std::less<>()(data, begin_) || !std::less<>()(data, end_)) return std::free(pointer);
  const std::lock_guard lock(mutex_);
  Block* block = reinterpret_cast<Block*>(data) - 1;
  counts_.in_use_bytes -= static_cast<int64_t>(block->bytes + sizeof(Block));
  if (Block* const after = following(block); after && after->free) {
    remove(after);
    absorb_following(block);
  }
  if (block->before && block->before->free) {
    block = block->before;
    remove(block);
    absorb_following(block);
  }
  if (cached() > options_.max_cached_bytes) give_back(block);
  if (block == last_) {  // what lies at the end may be cut anew in any way
    given_back_ -= block->given_back;
    last_ = block->before;
    top_ = reinterpret_cast<char*>(block);
    if (cached() > options_.max_cached_bytes) {
      give_back(top_, huge_page_up(touched_));
      touched_ = std::min(touched_, huge_page_up(top_));
    }
  } else {
    insert(block);
  }
}

/// The number of bytes in the whole huge pages between, which stop being memory.
std::size_t CachingAllocator::give_back(char* begin, char* end) {
  begin = huge_page_up(begin);
  if (end - begin < static_cast<std::ptrdiff_t>(kHugePage)) return 0;
  const std::size_t bytes = static_cast<std::size_t>(end - begin) / kHugePage * kHugePage;
  return madvise(begin, bytes, MADV_DONTNEED) == 0 ? bytes : 0;
}

void CachingAllocator::give_back(Block* block) {
  given_back_ -= block->given_back;
  block->given_back = give_back(block->data(), block->data() + block->bytes);
  given_back_ += block->given_back;
}

std::size_t CachingAllocator::cached() const {
  return static_cast<std::size_t>(touched_ - begin_) - static_cast<std::size_t>(counts_.in_use_bytes) - given_back_;
}

CachingAllocatorStatistics CachingAllocator::statistics() const {
  const std::lock_guard lock(mutex_);
  CachingAllocatorStatistics out = counts_;
  out.cached_bytes = static_cast<int64_t>(cached());
  return out;
}

void CachingAllocator::release_cached() {
  const std::lock_guard lock(mutex_);
  for (Block* list : free_)
    for (; list; list = list->next) give_back(list);
  if (!begin_) return;
  // The end of what was touched may lie inside a huge page that is memory as a whole.
  give_back(top_, huge_page_up(touched_));
  touched_ = std::min(touched_, huge_page_up(top_));
}

}  // namespace unnoise::kernels
