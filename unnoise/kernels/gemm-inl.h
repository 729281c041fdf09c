// The inner loops of every matrix product: a tile of C in registers, B in packed panels, A by rows or by columns.
// Included once a SIMD target by the .cpp files that multiply (see hwy/foreach_target.h).
#if defined(UNNOISE_KERNELS_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_GEMM_INL_H_
#undef UNNOISE_KERNELS_GEMM_INL_H_
#else
#define UNNOISE_KERNELS_GEMM_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "unnoise/kernels/gemm.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Vec = hn::Vec<Floats>;
inline constexpr Floats kFloats;
inline constexpr int64_t kLanes = hn::MaxLanes(kFloats);

// A tile of C is kTileRows x 2 vectors: as many accumulators as registers allow beside two of B and one of A. Where C
// is narrower than a vector one is enough.
inline constexpr int kTileRows = HWY_TARGET <= HWY_AVX3 ? 14 : 6;
inline constexpr int64_t kTileColumns = 2 * kLanes;
static_assert(kPanel % kTileColumns == 0);

/// Where A's values are: row i of segment s begins at rows[s * row_count + i] and runs for `length` values.
struct RowsOfA {
  const float* const* rows;
  int64_t row_count;
  int64_t segments;
  int64_t length;
  bool prefetch = false;  ///< also fetch what lies behind b, as far as b goes
};

/// acc[i][:] = sum over s, k of A(i, s, k) * b[(s * length + k) * kPanel + ...], for kRows rows.
template <int kRows, int kVectors>
HWY_INLINE void multiply_rows(const RowsOfA& a, int64_t first, const float* HWY_RESTRICT b,
                              Vec (&acc)[kRows][kVectors]) {
  const int64_t ahead = a.segments * a.length * kPanel + 16;
  for (int64_t s = 0; s < a.segments; ++s) {
    const float* row[kRows];
    for (int i = 0; i < kRows; ++i) row[i] = a.rows[s * a.row_count + first + i];
    for (int64_t k = 0; k < a.length; ++k, b += kPanel) {
      Vec bk[kVectors];
      for (int j = 0; j < kVectors; ++j) bk[j] = hn::Load(kFloats, b + j * kLanes);
      if (a.prefetch)
        for (int j = 0; j < kVectors; ++j) __builtin_prefetch(b + ahead + j * kLanes);
      HWY_UNROLL(16)
      for (int i = 0; i < kRows; ++i) {
        const Vec ai = hn::Set(kFloats, row[i][k]);
        for (int j = 0; j < kVectors; ++j) acc[i][j] = hn::MulAdd(ai, bk[j], acc[i][j]);
      }
    }
  }
}

template <int kRows, int kVectors>
HWY_INLINE void clear(Vec (&acc)[kRows][kVectors]) {
  HWY_UNROLL(16)
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kVectors; ++j) acc[i][j] = hn::Zero(kFloats);
}

/// Stores the tile, or adds it to what is there.
template <int kRows, int kVectors>
HWY_INLINE void put(const Vec (&acc)[kRows][kVectors], float* c, int64_t c_stride, bool add) {
  HWY_UNROLL(16)
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) {
      float* to = c + i * c_stride + j * kLanes;
      hn::StoreU(add ? hn::Add(acc[i][j], hn::LoadU(kFloats, to)) : acc[i][j], kFloats, to);
    }
  }
}

template <int kRows, int kVectors>
HWY_NOINLINE void rows_tile(const RowsOfA& a, int64_t first, const float* b, float* c, int64_t c_stride, bool add) {
  Vec acc[kRows][kVectors];
  clear(acc);
  multiply_rows(a, first, b, acc);
  put(acc, c, c_stride, add);
}

/// A by columns: A(i, k) = a[k * a_stride + i].
template <int kRows>
HWY_NOINLINE void columns_tile(const float* HWY_RESTRICT a, int64_t a_stride, int64_t length, const float* b,
                               int64_t b_stride, float* c, int64_t c_stride, bool add) {
  for (int64_t j = 0; j < kPanel; j += kTileColumns) {
    Vec acc[kRows][2];
    clear(acc);
    const float* HWY_RESTRICT bk = b + j;
    const float* HWY_RESTRICT ak = a;
    for (int64_t k = 0; k < length; ++k, bk += b_stride, ak += a_stride) {
      const Vec b0 = hn::LoadU(kFloats, bk), b1 = hn::LoadU(kFloats, bk + kLanes);
      HWY_UNROLL(16)
      for (int i = 0; i < kRows; ++i) {
        const Vec ai = hn::Set(kFloats, ak[i]);
        acc[i][0] = hn::MulAdd(ai, b0, acc[i][0]);
        acc[i][1] = hn::MulAdd(ai, b1, acc[i][1]);
      }
    }
    put(acc, c + j, c_stride, add);
  }
}

/// Calls f.template operator()<rows>(first) for tiles of nearly equal height that cover `count` rows.
template <class F, int... kRows>
HWY_INLINE void dispatch_rows(int64_t rows, int64_t first, const F& f, std::integer_sequence<int, kRows...>) {
  (void)((rows == kRows + 1 && (f.template operator()<kRows + 1>(first), true)) || ...);
}
template <class F>
HWY_INLINE void for_row_tiles(int64_t count, const F& f) {
  const int64_t tiles = (count + kTileRows - 1) / kTileRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t begin = t * count / tiles, end = (t + 1) * count / tiles;
    dispatch_rows(end - begin, begin, f, std::make_integer_sequence<int, kTileRows>());
  }
}

/// C [rows, kPanel] (+)= A * one packed panel of B. Of the columns, at least the first `columns` are computed.
HWY_INLINE void multiply_panel(const RowsOfA& a, const float* b, float* c, int64_t c_stride, bool add,
                               int64_t columns = kPanel) {
  for_row_tiles(a.row_count, [&]<int kRows>(int64_t first) {
    float* to = c + first * c_stride;
    int64_t j = 0;
    for (; columns - j > kLanes; j += kTileColumns) rows_tile<kRows, 2>(a, first, b + j, to + j, c_stride, add);
    if (j < columns) rows_tile<kRows, 1>(a, first, b + j, to + j, c_stride, add);
  });
}

/// C [rows, kPanel] (+)= A' * B with A [length, rows] and B [length, >= kPanel] by rows.
HWY_INLINE void multiply_transposed_panel(const float* a, int64_t a_stride, int64_t rows, int64_t length,
                                          const float* b, int64_t b_stride, float* c, int64_t c_stride, bool add) {
  for_row_tiles(rows, [&]<int kRows>(int64_t first) {
    columns_tile<kRows>(a + first, a_stride, length, b, b_stride, c + first * c_stride, c_stride, add);
  });
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_GEMM_INL_H_
