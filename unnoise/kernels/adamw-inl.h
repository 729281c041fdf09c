// The loops of adamw.cpp. Included once a SIMD target (see hwy/foreach_target.h).
#if defined(UNNOISE_KERNELS_ADAMW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_ADAMW_INL_H_
#undef UNNOISE_KERNELS_ADAMW_INL_H_
#else
#define UNNOISE_KERNELS_ADAMW_INL_H_
#endif

#include <hwy/highway.h>

#include "unnoise/kernels/adamw_coefficients.h"
#include "unnoise/kernels/vector_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// In double: squares of large gradients do not overflow and long sums lose nothing.
double block_sum_of_squares(const float* x, int64_t n) {
  const hn::CappedTag<double, 8> d64;
  const hn::Rebind<float, decltype(d64)> d32;
  constexpr int64_t kLanes = hn::MaxLanes(d64);
  auto sum0 = hn::Zero(d64), sum1 = hn::Zero(d64);
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const auto a = hn::PromoteTo(d64, hn::LoadU(d32, x + i));
    const auto b = hn::PromoteTo(d64, hn::LoadU(d32, x + i + kLanes));
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
  }
  double total = hn::GetLane(hn::SumOfLanes(d64, hn::Add(sum0, sum1)));
  for (; i < n; ++i) total += static_cast<double>(x[i]) * x[i];
  return total;
}

/// a + weight (b - a), from the nearer end as torch's lerp has it.
template <class D>
HWY_INLINE hn::Vec<D> lerp(D d, hn::Vec<D> a, hn::Vec<D> b, float weight) {
  const auto distance = hn::Sub(b, a);
  return weight < 0.5F ? hn::MulAdd(hn::Set(d, weight), distance, a) : hn::MulAdd(hn::Set(d, weight - 1), distance, b);
}

/// kDecay: how the weight decay acts; kAverage: whether the parameter has an average.
template <AdamDecay kDecay, bool kAverage>
void adam_range(const AdamSpan& span, const AdamCoefficients& c, int64_t begin, int64_t end) {
  float *const parameter = span.parameter + begin, *const exp_avg = span.exp_avg + begin;
  float *const exp_avg_sq = span.exp_avg_sq + begin, *const average = kAverage ? span.average + begin : nullptr;
  const float* const gradient = span.gradient + begin;
  for_vectors(end - begin, [&](auto d, int64_t i) HWY_ATTR {
    auto p = hn::LoadU(d, parameter + i);
    auto g = hn::Mul(hn::LoadU(d, gradient + i), hn::Set(d, c.gradient_scale));
    if constexpr (kDecay == AdamDecay::gradient) g = hn::MulAdd(p, hn::Set(d, c.weight_decay), g);
    if constexpr (kDecay == AdamDecay::parameter) p = hn::Mul(p, hn::Set(d, c.shrink));
    const auto m = lerp(d, hn::LoadU(d, exp_avg + i), g, c.one_minus_beta1);
    const auto v = hn::MulAdd(hn::Mul(hn::Set(d, c.one_minus_beta2), g), g,
                              hn::Mul(hn::LoadU(d, exp_avg_sq + i), hn::Set(d, c.beta2)));
    const auto root = hn::Mul(hn::Sqrt(v), hn::Set(d, c.correction2));
    p = hn::Sub(p, hn::Div(hn::Mul(hn::Set(d, c.step_size), m), hn::Add(root, hn::Set(d, c.epsilon))));
    hn::StoreU(m, d, exp_avg + i);
    hn::StoreU(v, d, exp_avg_sq + i);
    hn::StoreU(p, d, parameter + i);
    if constexpr (kAverage) hn::StoreU(lerp(d, hn::LoadU(d, average + i), p, c.average_weight), d, average + i);
  });
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_ADAMW_INL_H_
