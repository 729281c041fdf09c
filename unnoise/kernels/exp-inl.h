// Exponentials of vectors. Included once a SIMD target (see hwy/foreach_target.h).
#if defined(UNNOISE_KERNELS_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_EXP_INL_H_
#undef UNNOISE_KERNELS_EXP_INL_H_
#else
#define UNNOISE_KERNELS_EXP_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Added to a number below 2^22 it leaves the nearest whole number in the sum's last bits.
inline constexpr float kRounder = 0x1.8p+23F;

/// 2^n * 2^r for whole n in [-126,127] and r in [-1/2,1/2], where n is given as n + kRounder: the polynomial of degree
/// 6 with the smallest relative error (2e-9) among those that are 1 at 0; within 1 ulp in float32 with fused
/// multiply-adds.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_of_parts(D d, V n_rounder, V r) {
  V p = hn::Set(d, 0x1.41fbbcp-13F);
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.5f3e52p-10F));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.3b2d4cp-7F));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.c6aee8p-5F));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.ebfbdcp-3F));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.62e43p-1F));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0F));
  const hn::RebindToSigned<D> di;
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, n_rounder));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));  // no overflow: p is in [0.7,1.5]
}

/// The larger and the smaller of two, where a second that is not a number is passed on.
template <class V>
HWY_INLINE V at_least(V low, V x) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  return hn::IfThenElse(hn::Lt(x, low), low, x);
#else
  return hn::Max(low, x);
#endif
}
template <class V>
HWY_INLINE V at_most(V high, V x) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  return hn::IfThenElse(hn::Lt(high, x), high, x);
#else
  return hn::Min(high, x);
#endif
}

/// 2^x within 2 ulp for x in [-126,127]; below it stays at 2^-126.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2(D d, V x) {
  const V rounder = hn::Set(d, kRounder);
  x = at_least(hn::Set(d, -126.0F), x);
  const V n_rounder = hn::Add(x, rounder);
  return exp2_of_parts(d, n_rounder, hn::Sub(x, hn::Sub(n_rounder, rounder)));
}

/// e^x within 2 ulp for x in [-87,88]; outside it stays at about the bounds' values.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp(D d, V x) {
  x = at_most(hn::Set(d, 88.0F), at_least(hn::Set(d, -87.0F), x));
  const V rounder = hn::Set(d, kRounder), log2e = hn::Set(d, 0x1.715476p+0F);
  const V n_rounder = hn::MulAdd(x, log2e, rounder);
  const V n = hn::Sub(n_rounder, rounder);
#if HWY_NATIVE_FMA
  const V log2e_rest = hn::Set(d, 0x1.4ae0cp-26F);
  return exp2_of_parts(d, n_rounder, hn::MulAdd(x, log2e_rest, hn::MulSub(x, log2e, n)));
#else  // n times the first part of ln 2 is exact (Cody and Waite 1980)
  const V ln2 = hn::Set(d, 0x1.63p-1F), ln2_rest = hn::Set(d, -0x1.bd0106p-13F);
  const V rest = hn::Sub(hn::Sub(x, hn::Mul(n, ln2)), hn::Mul(n, ln2_rest));
  return exp2_of_parts(d, n_rounder, hn::Mul(rest, log2e));
#endif
}

/// 1 / (1 + e^-x).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0F);
  return hn::Div(one, hn::Add(one, exp(d, hn::Neg(x))));
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_EXP_INL_H_
