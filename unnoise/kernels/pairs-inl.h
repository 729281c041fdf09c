// Pairs of bfloat16 in words, as gemm_bf16.h multiplies them: the value of the even row in the lower half. Included
// once a SIMD target (see hwy/foreach_target.h).
#if defined(UNNOISE_KERNELS_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_PAIRS_INL_H_
#undef UNNOISE_KERNELS_PAIRS_INL_H_
#else
#define UNNOISE_KERNELS_PAIRS_INL_H_
#endif

#include "unnoise/kernels/gemm-inl.h"
#include "unnoise/kernels/scalar.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

using Words = hn::RebindToUnsigned<Floats>;
inline constexpr Words kWords;

/// The bits of v rounded to bfloat16, in the upper half of each word: halves away from zero, which for factors of sums
/// is as good as halves to even and two instructions cheaper.
HWY_INLINE hn::Vec<Words> rounded_words(Vec v) { return hn::Add(hn::BitCast(kWords, v), hn::Set(kWords, 0x8000)); }

HWY_INLINE hn::Vec<Words> paired(Vec even, Vec odd) {
  return hn::Or(hn::ShiftRight<16>(rounded_words(even)), hn::And(rounded_words(odd), hn::Set(kWords, 0xffff0000U)));
}

/// A factor of a sum: v, rounded as rounded_words does.
HWY_INLINE void store_factor(Vec v, float* to) { hn::StoreU(v, kFloats, to); }
HWY_INLINE void store_factor(Vec v, bf16* to) {
  const hn::Rebind<uint16_t, Floats> halves;
  hn::StoreU(hn::TruncateTo(halves, hn::ShiftRight<16>(rounded_words(v))), halves, reinterpret_cast<uint16_t*>(to));
}

/// Two rows of `count` values, a multiple of kLanes, to [count][2]; an odd row that is null counts as zeros.
HWY_INLINE void pair_two_rows(const bf16* even, const bf16* odd, int64_t count, bf16* to) {
  const hn::Rebind<uint16_t, Floats> halves;
  const auto words = [&](const bf16* p) {
    return hn::PromoteTo(kWords, hn::LoadU(halves, reinterpret_cast<const uint16_t*>(p)));
  };
  for (int64_t c = 0; c < count; c += kLanes) {
    const auto high = odd ? hn::ShiftLeft<16>(words(odd + c)) : hn::Zero(kWords);
    hn::StoreU(hn::Or(words(even + c), high), kWords, reinterpret_cast<uint32_t*>(to + 2 * c));
  }
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_PAIRS_INL_H_
