// Four columns of as many rows as a vector has lanes, from rows to vectors and back. Included once a SIMD target (see
// hwy/foreach_target.h).
#if defined(UNNOISE_KERNELS_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_TRANSPOSE_INL_H_
#undef UNNOISE_KERNELS_TRANSPOSE_INL_H_
#else
#define UNNOISE_KERNELS_TRANSPOSE_INL_H_
#endif

#include "unnoise/kernels/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

HWY_INLINE void load_four(const float* from, int64_t, Vec* four) {
  for (int i = 0; i < 4; ++i) four[i] = hn::Set(kFloats, from[i]);
}
HWY_INLINE void store_four(const Vec* four, float* to, int64_t) {
  for (int i = 0; i < 4; ++i) to[i] = hn::GetLane(four[i]);
}

#else

/// Rows of 4-float blocks: block b of the vector is the 4 floats at from + 4 b rows.
template <class D>
HWY_INLINE hn::Vec<D> load_blocks(D d, const float* from, int64_t row) {
  constexpr int64_t kBlocks = hn::MaxLanes(d) / 4;
  if constexpr (kBlocks <= 1) {
    return hn::LoadU(d, from);
  } else {
    const hn::Half<D> half;
    return hn::Combine(d, load_blocks(half, from + kBlocks / 2 * 4 * row, row), load_blocks(half, from, row));
  }
}
template <class D>
HWY_INLINE void store_blocks(D d, hn::Vec<D> v, float* to, int64_t row) {
  constexpr int64_t kBlocks = hn::MaxLanes(d) / 4;
  if constexpr (kBlocks <= 1) {
    hn::StoreU(v, d, to);
  } else {
    const hn::Half<D> half;
    store_blocks(half, hn::LowerHalf(half, v), to, row);
    store_blocks(half, hn::UpperHalf(half, v), to + kBlocks / 2 * 4 * row, row);
  }
}

/// Transposes 4x4 within each block of four vectors.
HWY_INLINE void transpose_blocks(Vec* v) {
  const hn::Repartition<double, Floats> pairs;
  const auto as_pairs = [&](Vec x) { return hn::BitCast(pairs, x); };
  const auto low01 = as_pairs(hn::InterleaveLower(kFloats, v[0], v[1]));
  const auto high01 = as_pairs(hn::InterleaveUpper(kFloats, v[0], v[1]));
  const auto low23 = as_pairs(hn::InterleaveLower(kFloats, v[2], v[3]));
  const auto high23 = as_pairs(hn::InterleaveUpper(kFloats, v[2], v[3]));
  v[0] = hn::BitCast(kFloats, hn::InterleaveLower(pairs, low01, low23));
  v[1] = hn::BitCast(kFloats, hn::InterleaveUpper(pairs, low01, low23));
  v[2] = hn::BitCast(kFloats, hn::InterleaveLower(pairs, high01, high23));
  v[3] = hn::BitCast(kFloats, hn::InterleaveUpper(pairs, high01, high23));
}

/// Four floats, or four words of any kind, of each of kLanes rows that are `row` floats apart: four[i] holds number i
/// of each.
HWY_INLINE void load_four(const float* from, int64_t row, Vec* four) {
  for (int r = 0; r < 4; ++r) four[r] = load_blocks(kFloats, from + r * row, row);
  transpose_blocks(four);
}
HWY_INLINE void store_four(const Vec* four, float* to, int64_t row) {
  Vec v[4] = {four[0], four[1], four[2], four[3]};
  transpose_blocks(v);
  for (int r = 0; r < 4; ++r) store_blocks(kFloats, v[r], to + r * row, row);
}

#endif

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_TRANSPOSE_INL_H_
