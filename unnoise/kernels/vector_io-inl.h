// Vectors of float32 to and from memory of either number type. Included once a SIMD target (see hwy/foreach_target.h).
#if defined(UNNOISE_KERNELS_VECTOR_IO_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_VECTOR_IO_INL_H_
#undef UNNOISE_KERNELS_VECTOR_IO_INL_H_
#else
#define UNNOISE_KERNELS_VECTOR_IO_INL_H_
#endif

#include <hwy/highway.h>

#include "unnoise/kernels/scalar.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE hn::Vec<D> load_floats(D d, const float* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> load_floats(D d, const bf16* p) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> d32;
  const auto bits = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, bits)));
}

template <class D>
HWY_INLINE void store_floats(D d, hn::Vec<D> v, float* p) {
  hn::StoreU(v, d, p);
}
/// Rounds as to_bf16 does.
template <class D>
HWY_INLINE void store_floats(D, hn::Vec<D> v, bf16* p) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> d32;
  const auto bits = hn::BitCast(d32, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7fff)));
  const auto quiet = hn::Or(bits, hn::Set(d32, 0x400000));
  const auto chosen = hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(v)), quiet, rounded);
  hn::StoreU(hn::TruncateTo(d16, hn::ShiftRight<16>(chosen)), d16, reinterpret_cast<uint16_t*>(p));
}

/// Calls f(d, i) on steps that cover [0,n): whole vectors, then of four, then single values.
template <class F>
HWY_INLINE void for_vectors(int64_t n, const F& f) {
  const hn::CappedTag<float, 16> whole;
  const hn::CappedTag<float, 4> quarter;
  const hn::CappedTag<float, 1> single;
  constexpr int64_t kWhole = hn::MaxLanes(whole), kQuarter = hn::MaxLanes(quarter);
  int64_t i = 0;
  for (; i + kWhole <= n; i += kWhole) f(whole, i);
  for (; i + kQuarter <= n; i += kQuarter) f(quarter, i);
  for (; i < n; ++i) f(single, i);
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_VECTOR_IO_INL_H_
