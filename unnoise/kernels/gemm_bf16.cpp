#include "unnoise/kernels/gemm_bf16.h"

#include <atomic>
#include <utility>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)  // for `#pragma GCC target`
#define UNNOISE_HAVE_AVX512_BF16 1
#include <immintrin.h>
#else
#define UNNOISE_HAVE_AVX512_BF16 0
#endif

#include "unnoise/kernels/gemm.h"

namespace unnoise::kernels {
namespace {

std::atomic<bool> is_disabled{false};

}  // namespace

void disable_bf16_products(bool disabled) { is_disabled.store(disabled, std::memory_order_relaxed); }

#if UNNOISE_HAVE_AVX512_BF16

bool has_bf16_products() {
  static const bool here =
      __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  return here && !is_disabled.load(std::memory_order_relaxed);
}

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

namespace {

constexpr int kTileRows = 14;
constexpr int64_t kLanes = 16;
static_assert(kPanel == 2 * kLanes);

inline __m512bh load_pairs(const bf16* p) { return (__m512bh)_mm512_loadu_si512(p); }
inline __m512bh repeat_pair(const bf16* p) {
  int32_t pair;
  __builtin_memcpy(&pair, p, sizeof pair);
  return (__m512bh)_mm512_set1_epi32(pair);
}

template <int kRows>
inline void put(const __m512 (&acc)[kRows][2], float* c, int64_t c_stride, bool add) {
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      float* to = c + i * c_stride + j * kLanes;
      _mm512_storeu_ps(to, add ? _mm512_add_ps(acc[i][j], _mm512_loadu_ps(to)) : acc[i][j]);
    }
}

/// A(i) gives the place of row i's pairs, A_step how far the next pair is.
template <int kRows, class PlaceOfPair>
inline void tile(int64_t pairs, const PlaceOfPair& place, const bf16* b, int64_t b_stride, float* c, int64_t c_stride,
                 bool add) {
  __m512 acc[kRows][2];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) acc[i][0] = acc[i][1] = _mm512_setzero_ps();
  for (int64_t k = 0; k < pairs; ++k, b += 2 * b_stride) {
    const __m512bh b0 = load_pairs(b), b1 = load_pairs(b + 2 * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const __m512bh ai = repeat_pair(place(i, k));
      acc[i][0] = _mm512_dpbf16_ps(acc[i][0], ai, b0);
      acc[i][1] = _mm512_dpbf16_ps(acc[i][1], ai, b1);
    }
  }
  put(acc, c, c_stride, add);
}

template <int kRows>
void rows_tile(const bf16* const* rows, int64_t length, const bf16* b, float* c, int64_t c_stride, bool add) {
  const bf16* row[kRows];
  for (int i = 0; i < kRows; ++i) row[i] = rows[i];
  tile<kRows>(
      length / 2, [&](int i, int64_t k) { return row[i] + 2 * k; }, b, kPanel, c, c_stride, add);
}

template <int kRows>
void columns_tile(const bf16* a, int64_t a_stride, int64_t length, const bf16* b, int64_t b_stride, float* c,
                  int64_t c_stride, bool add) {
  tile<kRows>((length + 1) / 2, [&](int i, int64_t k) { return a + 2 * (k * a_stride + i); }, b, b_stride, c, c_stride,
              add);
}

template <class F, int... kRows>
inline void dispatch_rows(int64_t rows, int64_t first, const F& f, std::integer_sequence<int, kRows...>) {
  (void)((rows == kRows + 1 && (f.template operator()<kRows + 1>(first), true)) || ...);
}
template <class F>
inline void for_row_tiles(int64_t count, const F& f) {
  const int64_t tiles = (count + kTileRows - 1) / kTileRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t begin = t * count / tiles, end = (t + 1) * count / tiles;
    dispatch_rows(end - begin, begin, f, std::make_integer_sequence<int, kTileRows>());
  }
}

}  // namespace

void multiply_panel_bf16(const bf16* const* rows, int64_t row_count, int64_t length, const bf16* b, float* c,
                         int64_t c_stride, bool add) {
  for_row_tiles(row_count, [&]<int kRows>(int64_t first) {
    rows_tile<kRows>(rows + first, length, b, c + first * c_stride, c_stride, add);
  });
}

void multiply_transposed_panel_bf16(const bf16* a, int64_t a_stride, int64_t rows, int64_t length, const bf16* b,
                                    int64_t b_stride, float* c, int64_t c_stride, bool add) {
  for_row_tiles(rows, [&]<int kRows>(int64_t first) {
    columns_tile<kRows>(a + 2 * first, a_stride, length, b, b_stride, c + first * c_stride, c_stride, add);
  });
}

#pragma GCC pop_options

#else

bool has_bf16_products() { return false; }
void multiply_panel_bf16(const bf16* const*, int64_t, int64_t, const bf16*, float*, int64_t, bool) {}
void multiply_transposed_panel_bf16(const bf16*, int64_t, int64_t, int64_t, const bf16*, int64_t, float*, int64_t,
                                    bool) {}

#endif

}  // namespace unnoise::kernels
