#include "unnoise/kernels/conv_amx.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)  // for `#pragma GCC target`
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
constexpr int64_t kFirstCache = int64_t{48} << 10;    // of the processors that have the units
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
};

/// The pixels of a grid's places one after the other, without a division for each.
class PixelWalk {
 public:
  PixelWalk(const Grid& grid, int64_t place) : grid_(grid) {
    const int64_t at = place + grid.first(), line = at / grid.row() - grid.border;
    x_ = at % grid.row() - grid.border;
    image_ = line / (grid.height + grid.border);
    y_ = line % (grid.height + grid.border);
  }
  /// Its number, or -1 where the grid holds zeros.
  int64_t pixel() const {
    return x_ >= 0 && y_ >= 0 && y_ < grid_.height && image_ < grid_.batch
               ? (image_ * grid_.height + y_) * grid_.width + x_
               : -1;
  }
  int64_t image() const { return image_; }
  void next() {
    if (++x_ < grid_.width) return;
    x_ = -grid_.border;
    if (++y_ < grid_.height + grid_.border) return;
    y_ = 0;
    ++image_;
  }

 private:
  const Grid& grid_;
  int64_t image_, y_, x_;
};

}  // namespace

void disable(bool disabled) { is_disabled.store(disabled, std::memory_order_relaxed); }

int64_t packed_size(const Shape& s) {
  return blocks(s.out_channels) * s.kernel * s.kernel * round_up(s.in_channels) * kPanel;
}

#if UNNOISE_HAVE_AMX

namespace {

bool has_vectors() { return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw"); }

#ifdef UNNOISE_SOFTWARE_TILES  // the tests': tests/kernels/software_tiles.h
bool has_tiles() { return true; }
#else
bool has_tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kBf16 = 1U << 22, kTile = 1U << 24;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kBf16) == 0 || (d & kTile) == 0) return false;
  constexpr long kRequest = 0x1023,
                 kTileData = 18;  // ARCH_REQ_XCOMP_PERM: tiles are large, so the system must be asked
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}
#endif

}  // namespace

bool is_available() {
  static const bool granted = has_vectors() && has_tiles();
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
      const int64_t pixel = PixelWalk(grid, at + grid.border - grid.first()).pixel(),
                    before = pixel < 0 ? 0 : grid.border;
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
  PixelWalk walk(grid, place);
  const auto next_row = [&] {
    const int64_t pixel = walk.pixel();
    walk.next();
    return pixel < 0 ? zeros : dy + pixel * channels;
  };
  for (int64_t p = place; p < place + count; p += 2, to += 2 * depth) {
    const bf16 *const even = next_row(), *const odd = next_row();
    for (int64_t c = 0; c < channels; c += kLanes)
      _mm512_storeu_si512(to + 2 * c, paired(words(even + c), words(odd + c)));
    std::memset(to + 2 * channels, 0, static_cast<size_t>(depth - channels) * 2 * sizeof(bf16));
  }
}

/// Transposes 16 vectors of 16 words: v[j] becomes word j of each.
inline void transpose(__m512i (&v)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int half = 0; half < 2; ++half) {
      v[i + 2 * half] = _mm512_unpacklo_epi64(t[i + half], t[i + 2 + half]);
      v[i + 2 * half + 1] = _mm512_unpackhi_epi64(t[i + half], t[i + 2 + half]);
    }
  // Now quarter q of v[i + c] holds word 4 q + c of the vectors i to i + 3.
  for (int c = 0; c < 4; ++c) {
    const __m512i even0 = _mm512_shuffle_i32x4(v[c], v[4 + c], 0x88);
    const __m512i even1 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0x88);
    const __m512i odd0 = _mm512_shuffle_i32x4(v[c], v[4 + c], 0xdd);
    const __m512i odd1 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0xdd);
    v[c] = _mm512_shuffle_i32x4(even0, even1, 0x88);
    v[4 + c] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
    v[8 + c] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
    v[12 + c] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
  }
}

/// rows [depth][16 of stride] from kLanes places of the grid that holds x; zeros where there is no pixel or channel.
void transpose_places(const Grid& grid, const bf16* x, int64_t channels, int64_t depth, int64_t place,
                      const bf16* zeros, int64_t stride, bf16* rows) {
  const bf16* pixels[kLanes];
  PixelWalk walk(grid, place);
  for (const bf16*& from : pixels) {
    const int64_t pixel = walk.pixel();
    walk.next();
    from = pixel < 0 ? zeros : x + pixel * channels;
  }
  for (int64_t c = 0; c < depth; c += kBlock) {
    const __mmask16 words = channels - c < kBlock ? 0xff : 0xffff;  // of two channels each
    __m512i v[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) v[i] = _mm512_maskz_loadu_epi32(words, pixels[i] + c);
    transpose(v);
    for (int64_t j = 0; j < kLanes; ++j) {
      store_halves(rows + (c + 2 * j) * stride, v[j]);
      store_halves(rows + (c + 2 * j + 1) * stride, _mm512_srli_epi32(v[j], 16));
    }
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
  constexpr int64_t kChunk = 8;  // blocks of places whose rows and sums stay in the second cache
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
  // As many taps at once as have weights of a panel that stay in the first cache for all blocks.
  const int64_t tap_size = depth * kPanel, taps_at_once = std::clamp<int64_t>(kFirstCache / (2 * tap_size), 1, taps);
  parallel_for(chunks * out_panels, 1, [&](int64_t begin, int64_t end) {
    const Tiles tiles;
    Sums sums[kChunk];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t panel = task % out_panels, first = panel * kPanel, outs = std::min(kPanel, s.out_channels - first);
      const int64_t first_block = task / out_panels * kChunk, count = std::min(kChunk, place_blocks - first_block);
      for (int64_t first_tap = 0; first_tap < taps; first_tap += taps_at_once)
        for (int64_t block = 0; block < count; ++block) {
          first_tap == 0 ? Sums::clear() : sums[block].load();
          for (int64_t tap = first_tap; tap < std::min(taps, first_tap + taps_at_once); ++tap)
            add_products(rows + (grid.first() + (first_block + block) * kBlock + grid.shift(tap)) * depth, depth,
                         packed + (panel * taps + tap) * tap_size, 2 * kPanel, depth);
          sums[block].store();
        }
      PixelWalk walk(grid, first_block * kBlock);
      const int64_t places = std::min(count * kBlock, grid.span() - first_block * kBlock);
      for (int64_t i = 0; i < places; ++i, walk.next())
        if (const int64_t pixel = walk.pixel(); pixel >= 0)
          put(sums[i / kBlock].at[i % kBlock], first, outs, walk.image(), pixel * s.out_channels, addends,
              s.out_channels, y);
    }
  });
}

void weight_gradient(const Shape& s, const bf16* x, const bf16* dy, float* dw) {
  if (s.batch * s.height * s.width == 0) {
    std::fill_n(dw, s.out_channels * s.in_channels * s.kernel * s.kernel, 0.0F);
    return;
  }
  constexpr int64_t kPlaces = 1024;  // at once: their columns and rows fit the second cache
  constexpr int64_t kLength = 256;   // of these: what two blocks have of them stays in the first for all taps
  const Grid grid(s);
  const int64_t taps = s.kernel * s.kernel;
  const int64_t in_depth = round_up(s.in_channels), out_depth = round_up(s.out_channels), halo = grid.first();
  const int64_t stride = round_up(kPlaces + 2 * halo), tasks = taps * blocks(s.in_channels) * blocks(s.out_channels);
  thread_local Scratch sum_scratch;
  const int64_t most = std::max(in_depth, out_depth);
  bf16* const rows = second_kernel_scratch().get<bf16>(in_depth * stride + kPlaces * out_depth + most);
  bf16 *const columns = rows + in_depth * stride, *const zeros = columns + kPlaces * out_depth;
  std::memset(zeros, 0, static_cast<size_t>(most) * sizeof(bf16));
  Sums* const sums = sum_scratch.get<Sums>(tasks);

  for (int64_t place = 0; place < grid.span(); place += kPlaces) {
    const int64_t count = std::min(kPlaces, round_up(grid.span() - place));
    const int64_t reached = (count + 2 * halo + kLanes - 1) / kLanes * kLanes;
    parallel_for(reached / kLanes, 2, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin * kLanes; at < end * kLanes; at += kLanes)
        transpose_places(grid, x, s.in_channels, in_depth, place + at - halo, zeros, stride, rows + at);
    });
    parallel_for(count / 2, 16, [&](int64_t begin, int64_t end) {
      pair_places(grid, dy, s.out_channels, out_depth, place + 2 * begin, 2 * (end - begin), zeros,
                  columns + 2 * begin * out_depth);
    });
    parallel_for(tasks / taps, 1, [&](int64_t begin, int64_t end) {
      const Tiles tiles;
      for (int64_t task = begin; task < end; ++task) {
        const int64_t in = task % blocks(s.in_channels), out = task / blocks(s.in_channels);
        for (int64_t at = 0; at < count; at += kLength)
          for (int64_t tap = 0; tap < taps; ++tap) {
            Sums& sum = sums[task * taps + tap];
            place + at == 0 ? Sums::clear() : sum.load();
            add_products(rows + in * kBlock * stride + halo + at + grid.shift(tap), stride,
                         columns + at * out_depth + out * 2 * kBlock, 2 * out_depth, std::min(kLength, count - at));
            sum.store();
          }
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
