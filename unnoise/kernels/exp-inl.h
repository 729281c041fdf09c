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

/// 2^n * 2^r for whole n in [-126,127] and r in [-1/2,1/2]: the polynomial of degree 6 with the smallest relative
/// error (2e-9) among those that are 1 at 0; within 1 ulp in float32.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_of_parts(D d, V n, V r) {
  V p = hn::Set(d, 0x1.41fbbcp-13F);
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.5f3e52p-10F));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.3b2d4cp-7F));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.c6aee8p-5F));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.ebfbdcp-3F));
  p = hn::MulAdd(p, r, hn::Set(d, 0x1.62e43p-1F));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0F));
  const hn::RebindToSigned<D> di;
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(di, n));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));  // no overflow: p is in [0.7,1.5]
}

/// 2^x within 1 ulp for x in [-126,127]; below it stays at 2^-126.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2(D d, V x) {
  x = hn::Max(hn::Set(d, -126.0F), x);  // in this order not-a-number passes
  const V n = hn::Round(x);
  return exp2_of_parts(d, n, hn::Sub(x, n));
}

/// e^x within 2 ulp for x in [-87,88]; outside it stays at about the bounds' values.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp(D d, V x) {
  x = hn::Min(hn::Set(d, 88.0F), hn::Max(hn::Set(d, -87.0F), x));
  const V log2e = hn::Set(d, 0x1.715476p+0F), log2e_rest = hn::Set(d, 0x1.4ae0cp-26F);
  const V n = hn::Round(hn::Mul(x, log2e));
  return exp2_of_parts(d, n, hn::MulAdd(x, log2e_rest, hn::MulSub(x, log2e, n)));
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
