// Winograd's minimal filtering (Lavin and Gray 2016): a 3x3 convolution of a small tile by one product a frequency
// instead of nine a pixel. In one dimension y = A'[(G g) * (B' d)]; in two the transforms run over columns, then rows.
// This file holds the transforms of F(4,3) and F(2,3) and of their transposes (for the weights' gradient), a vector of
// channels at a time.
#if defined(UNNOISE_KERNELS_WINOGRAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_WINOGRAD_INL_H_
#undef UNNOISE_KERNELS_WINOGRAD_INL_H_
#else
#define UNNOISE_KERNELS_WINOGRAD_INL_H_
#endif

#include "unnoise/kernels/gemm-inl.h"
#include "unnoise/kernels/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

HWY_INLINE Vec times(float a, Vec x) { return hn::Mul(hn::Set(kFloats, a), x); }
HWY_INLINE Vec plus_times(Vec y, float a, Vec x) { return hn::MulAdd(hn::Set(kFloats, a), x, y); }

/// F(4,3): 4 outputs from 6 inputs with 6 products; points 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2016,
/// section 4.3).
struct F43 {
  static constexpr int kOut = 4, kIn = 6;

  /// B' d
  static HWY_INLINE void input(const Vec (&d)[6], Vec (&t)[6]) {
    const Vec even = plus_times(d[4], -4, d[2]), odd = plus_times(d[3], -4, d[1]);
    const Vec even2 = hn::Sub(d[4], d[2]), odd2 = times(2, hn::Sub(d[3], d[1]));
    t[0] = plus_times(plus_times(d[4], -5, d[2]), 4, d[0]);
    t[1] = hn::Add(even, odd);
    t[2] = hn::Sub(even, odd);
    t[3] = hn::Add(even2, odd2);
    t[4] = hn::Sub(even2, odd2);
    t[5] = plus_times(plus_times(d[5], -5, d[3]), 4, d[1]);
  }
  /// A' m
  static HWY_INLINE void output(const Vec (&m)[6], Vec (&y)[4]) {
    const Vec sum1 = hn::Add(m[1], m[2]), difference1 = hn::Sub(m[1], m[2]);
    const Vec sum2 = hn::Add(m[3], m[4]), difference2 = hn::Sub(m[3], m[4]);
    y[0] = hn::Add(hn::Add(m[0], sum1), sum2);
    y[1] = plus_times(difference1, 2, difference2);
    y[2] = plus_times(sum1, 4, sum2);
    y[3] = hn::Add(plus_times(difference1, 8, difference2), m[5]);
  }
  /// G g
  static HWY_INLINE void weights(const Vec (&g)[3], Vec (&u)[6]) {
    const Vec outer1 = times(-1.0F / 6, hn::Add(g[0], g[2])), inner1 = times(-1.0F / 6, g[1]);
    const Vec outer2 = plus_times(times(1.0F / 24, g[0]), 1.0F / 6, g[2]), inner2 = times(1.0F / 12, g[1]);
    u[0] = times(0.25F, g[0]);
    u[1] = hn::Add(outer1, inner1);
    u[2] = hn::Sub(outer1, inner1);
    u[3] = hn::Add(outer2, inner2);
    u[4] = hn::Sub(outer2, inner2);
    u[5] = g[2];
  }
  /// A dy
  static HWY_INLINE void output_gradient(const Vec (&y)[4], Vec (&z)[6]) {
    const Vec even = hn::Add(y[0], y[2]), odd = hn::Add(y[1], y[3]);
    const Vec even2 = plus_times(y[0], 4, y[2]), odd2 = times(2, plus_times(y[1], 4, y[3]));
    z[0] = y[0];
    z[1] = hn::Add(even, odd);
    z[2] = hn::Sub(even, odd);
    z[3] = hn::Add(even2, odd2);
    z[4] = hn::Sub(even2, odd2);
    z[5] = y[3];
  }
  /// G' du
  static HWY_INLINE void weights_gradient(const Vec (&u)[6], Vec (&g)[3]) {
    const Vec sum1 = times(-1.0F / 6, hn::Add(u[1], u[2])), sum2 = hn::Add(u[3], u[4]);
    g[0] = plus_times(plus_times(sum1, 0.25F, u[0]), 1.0F / 24, sum2);
    g[1] = plus_times(times(1.0F / 6, hn::Sub(u[2], u[1])), 1.0F / 12, hn::Sub(u[3], u[4]));
    g[2] = hn::Add(plus_times(sum1, 1.0F / 6, sum2), u[5]);
  }
};

/// F(2,3): 2 outputs from 4 inputs with 4 products; points 0, 1, -1 and infinity (Lavin and Gray 2016, section 4.1).
struct F23 {
  static constexpr int kOut = 2, kIn = 4;

  static HWY_INLINE void input(const Vec (&d)[4], Vec (&t)[4]) {
    t[0] = hn::Sub(d[0], d[2]);
    t[1] = hn::Add(d[1], d[2]);
    t[2] = hn::Sub(d[2], d[1]);
    t[3] = hn::Sub(d[1], d[3]);
  }
  static HWY_INLINE void output(const Vec (&m)[4], Vec (&y)[2]) {
    y[0] = hn::Add(hn::Add(m[0], m[1]), m[2]);
    y[1] = hn::Sub(hn::Sub(m[1], m[2]), m[3]);
  }
  static HWY_INLINE void weights(const Vec (&g)[3], Vec (&u)[4]) {
    const Vec outer = times(0.5F, hn::Add(g[0], g[2])), inner = times(0.5F, g[1]);
    u[0] = g[0];
    u[1] = hn::Add(outer, inner);
    u[2] = hn::Sub(outer, inner);
    u[3] = g[2];
  }
  static HWY_INLINE void output_gradient(const Vec (&y)[2], Vec (&z)[4]) {
    z[0] = y[0];
    z[1] = hn::Add(y[0], y[1]);
    z[2] = hn::Sub(y[0], y[1]);
    z[3] = hn::Neg(y[1]);
  }
  static HWY_INLINE void weights_gradient(const Vec (&u)[4], Vec (&g)[3]) {
    const Vec half_sum = times(0.5F, hn::Add(u[1], u[2]));
    g[0] = hn::Add(u[0], half_sum);
    g[1] = times(0.5F, hn::Sub(u[1], u[2]));
    g[2] = hn::Add(half_sum, u[3]);
  }
};

/// The nine taps of kLanes outputs, whose weights are `row` floats apart: taps[t] holds tap t of each.
HWY_INLINE void load_taps(const float* from, int64_t row, Vec (&taps)[9]) {
  for (int half = 0; half < 8; half += 4) load_four(from + half, row, taps + half);
  alignas(64) float last[kLanes];
  for (int64_t o = 0; o < kLanes; ++o) last[o] = from[o * row + 8];
  taps[8] = hn::Load(kFloats, last);
}
HWY_INLINE void store_taps(const Vec (&taps)[9], float* to, int64_t row) {
  for (int half = 0; half < 8; half += 4) store_four(taps + half, to + half, row);
  alignas(64) float last[kLanes];
  hn::Store(taps[8], kFloats, last);
  for (int64_t o = 0; o < kLanes; ++o) to[o * row + 8] = last[o];
}

/// `transform` (kFrom values to kTo) over the columns of a tile, then over its rows. load(row, column) gives the tile's
/// vectors, store(row, column, v) takes the results.
template <int kFrom, int kTo, class Transform, class Load, class Store>
HWY_INLINE void transform_tile(const Transform& transform, const Load& load, const Store& store) {
  Vec half[kTo][kFrom];
  HWY_UNROLL(6)
  for (int column = 0; column < kFrom; ++column) {
    Vec from[kFrom], to[kTo];
    HWY_UNROLL(6)
    for (int row = 0; row < kFrom; ++row) from[row] = load(row, column);
    transform(from, to);
    HWY_UNROLL(6)
    for (int row = 0; row < kTo; ++row) half[row][column] = to[row];
  }
  HWY_UNROLL(6)
  for (int row = 0; row < kTo; ++row) {
    Vec to[kTo];
    transform(half[row], to);
    HWY_UNROLL(6)
    for (int column = 0; column < kTo; ++column) store(row, column, to[column]);
  }
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_WINOGRAD_INL_H_
