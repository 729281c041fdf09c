// Memory for tensors. A training step asks for the same hundreds of activations as the step before; to take them from
// the system anew costs a cleared page every 4 KiB. Here they come from one region that is kept: good fit by size
// class with splitting and merging (Masmano et al. 2004, TLSF), on huge pages where the system has them.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>

namespace unnoise::kernels {

struct CachingAllocatorOptions {
  /// Address space to reserve, which costs no memory; 0 = as much as the machine has memory.
  std::size_t region_bytes = 0;
  /// Smaller requests go to std::aligned_alloc, so that small long-lived blocks do not cut up the region.
  std::size_t smallest = 16384;
  /// Free memory above this is given back to the system as blocks are freed.
  std::size_t max_cached_bytes = std::numeric_limits<std::size_t>::max();
  bool huge_pages = true;
};

/// Of the region; requests that went to std::aligned_alloc are counted in the first two alone.
struct CachingAllocatorStatistics {
  int64_t allocations = 0;        ///< requests so far
  int64_t outside = 0;            ///< of these, by std::aligned_alloc
  int64_t allocated_bytes = 0;    ///< sum of the region's requests so far
  int64_t in_use_bytes = 0;       ///< now
  int64_t peak_in_use_bytes = 0;  ///< the most at once
  int64_t cached_bytes = 0;       ///< free, but still memory of this process
  int64_t growths = 0;            ///< requests that no free block could serve: fresh memory of the system
};

/// All members may be called from any thread.
class CachingAllocator {
 public:
  static constexpr std::size_t kAlignment = 64;

  explicit CachingAllocator(const CachingAllocatorOptions& options = {});
  /// Every block must have been freed.
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  /// Aligned to kAlignment, contents undefined. Throws std::bad_alloc.
  void* allocate(std::size_t bytes);
  /// What allocate() returned; null is ignored.
  void deallocate(void* pointer) noexcept;

  CachingAllocatorStatistics statistics() const;
  /// Gives free memory back to the system, in whole huge pages.
  void release_cached();

 private:
  struct Block;
  static constexpr int kClassesPerDoubling = 16;
  static constexpr int kClasses = 48 * kClassesPerDoubling;
  static int size_class(std::size_t bytes);

  Block* following(const Block* block) const;
  Block* best_of_class(std::size_t c, std::size_t bytes) const;
  Block* find_free(std::size_t bytes);
  Block* grow(std::size_t bytes);
  void split(Block* block, std::size_t bytes);
  void insert(Block* block);
  void remove(Block* block);
  void absorb_following(Block* block);
  void give_back(Block* block);
  std::size_t give_back(char* begin, char* end);
  std::size_t cached() const;

  CachingAllocatorOptions options_;
  mutable std::mutex mutex_;
  char *mapping_ = nullptr, *begin_ = nullptr, *end_ = nullptr;  ///< the region; begin_ at a huge page
  std::size_t mapping_bytes_ = 0;
  char* top_ = nullptr;                  ///< end of the last block; all after it is free
  char* touched_ = nullptr;              ///< end of what has been memory since it was last given back
  Block* last_ = nullptr;                ///< the block that ends at top_
  std::array<Block*, kClasses> free_{};  ///< by size, the latest freed first
  std::bitset<kClasses> has_free_;
  std::size_t given_back_ = 0;  ///< below top_
  CachingAllocatorStatistics counts_;
};

}  // namespace unnoise::kernels
