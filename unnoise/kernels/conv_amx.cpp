#include "unnoise/kernels/conv_amx.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)
#define UNNOISE_HAVE_AMX 1
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#define UNNOISE_HAVE_AMX 0
#endif

#include "unnoise/kernels/gemm.h"
#include "unnoise/kernels/parallel.h"
#include "unnoise/kernels/scratch.h"

namespace unnoise::kernels::amx {
namespace {

constexpr int64_t kLanes = 16, kBlock = 2 * kLanes;  // a block: two tiles of rows or of columns
static_assert(kPanel == kBlock);

std::atomic<bool> is_disabled{false};

int64_t blocks(int64_t count) { return (count + kBlock - 1) / kBlock; }
int64_t round_up(int64_t count) { return blocks(count) * kBlock; }

/// The pixels of a batch as one sequence, with the zeros between them that a 3x3 kernel sees.
struct Grid {
  int64_t batch, height, width, border;

  explicit Grid(const Shape& s) : batch(s.batch), height(s.height), width(s.width), border(s.kernel == 3 ? 1 : 0) {}
  int64_t row() const { return width + border; }
  int64_t first() const { return border * (row() + 1); }  ///< place of the first pixel
  /// Places from the first pixel to the last, the zeros between them among these.
  int64_t span() const { return ((batch - 1) * (height + border) + height) * row() - border; }
  /// What a tap may reach from any block of places that begins inside the span.
  int64_t size() const { return first() + round_up(span()) + first(); }
  int64_t shift(int64_t tap) const { return border * ((tap / 3 - 1) * row() + tap % 3 - 1); }
  /// Number of the pixel at that place of the span, or -1.
  int64_t pixel(int64_t place) const {
    if (border == 0) return place < span() ? place : -1;
    const int64_t at = place + first(), line = at / row(), x = at % row() - 1;
    const int64_t image = (line - 1) / (height + 1), y = (line - 1) % (height + 1);
    return image < batch && y < height && x >= 0 ? (image * height + y) * width + x : -1;
  }
};

}  // namespace

void disable(bool disabled) { is_disabled.store(disabled, std::memory_order_relaxed); }

int64_t packed_size(const Shape& s) {
  return blocks(s.out_channels) * s.kernel * s.kernel * round_up(s.in_channels) * kPanel;
}

#if UNNOISE_HAVE_AMX

namespace {

bool is_granted() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kBf16 = 1U << 22, kTile = 1U << 24;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kBf16) == 0 || (d & kTile) == 0) return false;
  if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512bw")) return false;
  constexpr long kRequest = 0x1023,
                 kTileData = 18;  // ARCH_REQ_XCOMP_PERM: tiles are large, so the system must be asked
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

}  // namespace

bool is_available() {
  static const bool granted = is_granted();
  return granted && !is_disabled.load(std::memory_order_relaxed);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's intrinsics, of their own undefined operands
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")

namespace {

/// Eight tiles of 16 rows of 64 bytes while it lives: 0 to 3 sums, 4 and 5 rows, 6 and 7 columns. Another library's
/// tiles on this thread are set up again afterwards.
class Tiles {
 public:
  Tiles() {
    _tile_storeconfig(&before_);
    Config ours;
    ours.palette = 1;
    std::fill_n(ours.row_bytes, 8, static_cast<uint16_t>(64));
    std::fill_n(ours.rows, 8, static_cast<uint8_t>(16));
    _tile_loadconfig(&ours);
  }
  ~Tiles() { before_.palette ? _tile_loadconfig(&before_) : _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

 private:
  struct alignas(64) Config {
    uint8_t palette = 0, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  };
  Config before_;
};

/// Sums of a block of rows and a block of columns.
struct alignas(64) Sums {
  float at[kBlock][kBlock];

  void load() const {
    _tile_loadd(0, at[0], sizeof at[0]);
    _tile_loadd(1, at[0] + kLanes, sizeof at[0]);
    _tile_loadd(2, at[kLanes], sizeof at[0]);
    _tile_loadd(3, at[kLanes] + kLanes, sizeof at[0]);
  }
  static void clear() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  void store() {
    _tile_stored(0, at[0], sizeof at[0]);
    _tile_stored(1, at[0] + kLanes, sizeof at[0]);
    _tile_stored(2, at[kLanes], sizeof at[0]);
    _tile_stored(3, at[kLanes] + kLanes, sizeof at[0]);
  }
};

/// sums += a b, with a [kBlock][depth] in rows of a_stride values, b [depth/2][..][2] in rows of b_stride values.
inline void add_products(const bf16* a, int64_t a_stride, const bf16* b, int64_t b_stride, int64_t depth) {
  const int64_t a_bytes = 2 * a_stride, b_bytes = 2 * b_stride;
  for (int64_t k = 0; k < depth; k += kBlock, b += kLanes * b_stride) {
    _tile_loadd(4, a + k, a_bytes);
    _tile_loadd(6, b, b_bytes);
    _tile_loadd(7, b + kBlock, b_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + kLanes * a_stride + k, a_bytes);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

inline __m512i words(__m256i halves) { return _mm512_cvtepu16_epi32(halves); }
inline __m512i words(const bf16* p) { return words(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline __m512i words(__m512 v) { return words((__m256i)_mm512_cvtneps_pbh(v)); }
inline __m512 floats(const bf16* p) { return _mm512_castsi512_ps(_mm512_slli_epi32(words(p), 16)); }
inline __m512i paired(__m512i low, __m512i high) { return _mm512_or_si512(low, _mm512_slli_epi32(high, 16)); }
inline void store_halves(bf16* p, __m512i low_halves) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(low_halves));
}

/// Lane i: i * stride.
inline __m512i multiples(int64_t stride) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_mullo_epi32(lanes, _mm512_set1_epi32(static_cast<int>(stride)));
}

void copy_pixels(const bf16* from, int64_t count, int64_t channels, int64_t depth, bf16* to) {
  for (int64_t i = 0; i < count; ++i, from += channels, to += depth) {
    std::memcpy(to, from, static_cast<size_t>(channels) * sizeof(bf16));
    std::fill_n(to + channels, depth - channels, bf16{});
  }
}

/// The grid of a map, [size][depth], depth being the channels filled up to whole blocks. Some more can be read.
const bf16* make_grid(const Grid& grid, const bf16* x, int64_t channels, int64_t depth, Scratch& scratch) {
  bf16* const to = scratch.get<bf16>((grid.size() + kLanes) * depth);
  const int64_t line_size = grid.border ? grid.row() : kBlock, lines = (grid.size() + line_size - 1) / line_size;
  parallel_for(lines, std::max<int64_t>(1, 16384 / (line_size * depth)), [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const int64_t at = line * line_size;
      const int64_t pixel = grid.pixel(at + grid.border - grid.first()), before = pixel < 0 ? 0 : grid.border;
      int64_t pixels = 0;
      if (pixel >= 0) pixels = grid.border ? grid.width : std::min(line_size, grid.span() - at);
      std::fill_n(to + at * depth, before * depth, bf16{});
      copy_pixels(x + std::max<int64_t>(pixel, 0) * channels, pixels, channels, depth, to + (at + before) * depth);
      const int64_t left = std::min(line_size, grid.size() - at) - before - pixels;
      std::fill_n(to + (at + before + pixels) * depth, left * depth, bf16{});
    }
  });
  return to;
}

/// One place's sums of a panel, with what is added, as bf16.
void put(const float* sums, int64_t first, int64_t outs, int64_t image, int64_t at, const ConvAddends<bf16>& addends,
         int64_t out_channels, bf16* y) {
  for (int64_t j = 0; j < outs; j += kLanes) {
    __m512 v = _mm512_loadu_ps(sums + j);
    if (addends.bias) v = _mm512_add_ps(v, _mm512_loadu_ps(addends.bias + first + j));
    if (addends.image_bias)
      v = _mm512_add_ps(v, _mm512_loadu_ps(addends.image_bias + image * out_channels + first + j));
    if (addends.residual) v = _mm512_add_ps(v, floats(addends.residual + at + first + j));
    store_halves(y + at + first + j, words(v));
  }
}

/// Positions [place, place + count), of a layer's output gradient, as columns of pairs: [count/2][depth][2].
void pair_places(const Grid& grid, const bf16* dy, int64_t channels, int64_t depth, int64_t place, int64_t count,
                 const bf16* zeros, bf16* to) {
  const auto row = [&](int64_t p) {
    const int64_t pixel = p < grid.span() ? grid.pixel(p) : -1;
    return pixel < 0 ? zeros : dy + pixel * channels;
  };
  for (int64_t p = place; p < place + count; p += 2, to += 2 * depth) {
    const bf16 *const even = row(p), *const odd = row(p + 1);
    for (int64_t c = 0; c < channels; c += kLanes)
      _mm512_storeu_si512(to + 2 * c, paired(words(even + c), words(odd + c)));
    std::memset(to + 2 * channels, 0, static_cast<size_t>(depth - channels) * 2 * sizeof(bf16));
  }
}

/// rows [2 channels][count] from the grid's places [first, first + count); count is a multiple of kLanes.
void transpose_two_channels(const bf16* grid, int64_t depth, int64_t first, int64_t channel, int64_t count,
                            int64_t stride, bf16* to) {
  const __m512i places = multiples(depth);
  for (int64_t p = 0; p < count; p += kLanes) {
    const __m512i two = _mm512_i32gather_epi32(places, grid + (first + p) * depth + channel, 2);
    store_halves(to + p, two);
    store_halves(to + stride + p, _mm512_srli_epi32(two, 16));
  }
}

}  // namespace

void pack(const Shape& s, const ConvWeights& w, bf16* packed) {
  const int64_t taps = s.kernel * s.kernel, depth = round_up(s.in_channels), tap_size = depth * kPanel;
  parallel_for(blocks(s.out_channels) * (depth / 2), 16, [&](int64_t begin, int64_t end) {
    const __m512i from_out = multiples(w.out);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t panel = task / (depth / 2), c = task % (depth / 2) * 2;
      for (int64_t j = 0; j < kPanel; j += kLanes)
        for (int64_t tap = 0; tap < taps; ++tap) {
          __m512i pairs = _mm512_setzero_si512();
          if (c < s.in_channels && panel * kPanel + j < s.out_channels) {
            const float* from = w.data + (panel * kPanel + j) * w.out + c * w.in + (w.turned ? taps - 1 - tap : tap);
            pairs = paired(words(_mm512_i32gather_ps(from_out, from, 4)),
                           words(_mm512_i32gather_ps(from_out, from + w.in, 4)));
          }
          _mm512_storeu_si512(packed + (panel * taps + tap) * tap_size + c * kPanel + 2 * j, pairs);
        }
    }
  });
}

void convolve(const Shape& s, const bf16* x, const ConvWeights& w, const ConvAddends<bf16>& addends, bf16* y) {
  if (s.batch * s.height * s.width == 0) return;
  constexpr int64_t kChunk = 8;  // blocks of places whose rows stay in the second cache for all panels
  const Grid grid(s);
  const int64_t taps = s.kernel * s.kernel;
  const int64_t depth = round_up(s.in_channels), out_panels = blocks(s.out_channels),
                place_blocks = blocks(grid.span());
  const bf16* const rows = make_grid(grid, x, s.in_channels, depth, second_kernel_scratch());
  const int64_t chunks = (place_blocks + kChunk - 1) / kChunk;
  const bf16* packed = w.packed;
  if (!packed) {
    bf16* const to = kernel_scratch().get<bf16>(packed_size(s));
    pack(s, w, to);
    packed = to;
  }
  parallel_for(chunks * out_panels, 1, [&](int64_t begin, int64_t end) {
    const Tiles tiles;
    Sums sums;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t panel = task % out_panels, first = panel * kPanel, outs = std::min(kPanel, s.out_channels - first);
      const int64_t last_block = std::min(place_blocks, (task / out_panels + 1) * kChunk);
      for (int64_t block = task / out_panels * kChunk; block < last_block; ++block) {
        Sums::clear();
        for (int64_t tap = 0; tap < taps; ++tap)
          add_products(rows + (grid.first() + block * kBlock + grid.shift(tap)) * depth, depth,
                       packed + (panel * taps + tap) * depth * kPanel, 2 * kPanel, depth);
        sums.store();
        const int64_t places = std::min(kBlock, grid.span() - block * kBlock);
        for (int64_t i = 0; i < places; ++i)
          if (const int64_t pixel = grid.pixel(block * kBlock + i); pixel >= 0)
            put(sums.at[i], first, outs, pixel / (s.height * s.width), pixel * s.out_channels, addends, s.out_channels,
                y);
      }
    }
  });
}

void weight_gradient(const Shape& s, const bf16* x, const bf16* dy, float* dw) {
  if (s.batch * s.height * s.width == 0) {
    std::fill_n(dw, s.out_channels * s.in_channels * s.kernel * s.kernel, 0.0F);
    return;
  }
  constexpr int64_t kPlaces = 1024;  // at once: their columns and rows fit the second cache
  const Grid grid(s);
  const int64_t taps = s.kernel * s.kernel;
  const int64_t in_depth = round_up(s.in_channels), out_depth = round_up(s.out_channels), halo = grid.first();
  const int64_t stride = round_up(kPlaces + 2 * halo), tasks = taps * blocks(s.in_channels) * blocks(s.out_channels);
  thread_local Scratch grid_scratch, sum_scratch;
  const bf16* const map = make_grid(grid, x, s.in_channels, in_depth, grid_scratch);
  bf16* const rows = second_kernel_scratch().get<bf16>(in_depth * stride + kPlaces * out_depth + out_depth);
  bf16 *const columns = rows + in_depth * stride, *const zeros = columns + kPlaces * out_depth;
  std::memset(zeros, 0, static_cast<size_t>(out_depth) * sizeof(bf16));
  Sums* const sums = sum_scratch.get<Sums>(tasks);

  for (int64_t place = 0; place < grid.span(); place += kPlaces) {
    const int64_t count = std::min(kPlaces, round_up(grid.span() - place));
    const int64_t reached = (count + 2 * halo + kLanes - 1) / kLanes * kLanes;
    parallel_for(in_depth / 2, 4, [&](int64_t begin, int64_t end) {
      for (int64_t pair = begin; pair < end; ++pair)
        transpose_two_channels(map, in_depth, place, 2 * pair, reached, stride, rows + 2 * pair * stride);
    });
    parallel_for(count / 2, 16, [&](int64_t begin, int64_t end) {
      pair_places(grid, dy, s.out_channels, out_depth, place + 2 * begin, 2 * (end - begin), zeros,
                  columns + 2 * begin * out_depth);
    });
    parallel_for(tasks, 1, [&](int64_t begin, int64_t end) {
      const Tiles tiles;
      for (int64_t task = begin; task < end; ++task) {
        const int64_t tap = task % taps, in = task / taps % blocks(s.in_channels),
                      out = task / taps / blocks(s.in_channels);
        place == 0 ? Sums::clear() : sums[task].load();
        add_products(rows + in * kBlock * stride + halo + grid.shift(tap), stride, columns + out * 2 * kBlock,
                     2 * out_depth, count);
        sums[task].store();
      }
    });
  }
  parallel_for(s.in_channels, 4, [&](int64_t begin, int64_t end) {
    const __m512i outs = multiples(s.in_channels * taps);
    for (int64_t c = begin; c < end; ++c)
      for (int64_t k = 0; k < s.out_channels; k += kLanes)
        for (int64_t tap = 0; tap < taps; ++tap) {
          const Sums& from = sums[(k / kBlock * blocks(s.in_channels) + c / kBlock) * taps + tap];
          _mm512_i32scatter_ps(dw + (k * s.in_channels + c) * taps + tap, outs,
                               _mm512_loadu_ps(from.at[c % kBlock] + k % kBlock), 4);
        }
  });
}

#pragma GCC pop_options
#pragma GCC diagnostic pop

#else

bool is_available() { return false; }
void pack(const Shape&, const ConvWeights&, bf16*) {}
void convolve(const Shape&, const bf16*, const ConvWeights&, const ConvAddends<bf16>&, bf16*) {}
void weight_gradient(const Shape&, const bf16*, const bf16*, float*) {}

#endif

}  // namespace unnoise::kernels::amx
