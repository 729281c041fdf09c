#include "unnoise/kernels/few_rows.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unnoise/kernels/few_rows.cpp"
#include <hwy/foreach_target.h>  // must come before the inner loops
#include <hwy/highway.h>

#include "unnoise/kernels/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// The products of x with kCount rows of w: as many sums at once as hide the time of an addition.
template <int kCount>
HWY_INLINE void products(int64_t in, const float* x, const float* w, float* sums) {
  using D = hn::CappedTag<float, 16>;
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> sum[kCount];
  for (auto& s : sum) s = hn::Zero(d);
  int64_t c = 0;
  for (; c + lanes <= in; c += lanes) {
    const auto xc = hn::LoadU(d, x + c);
    for (int j = 0; j < kCount; ++j) sum[j] = hn::MulAdd(xc, hn::LoadU(d, w + j * in + c), sum[j]);
  }
  for (int j = 0; j < kCount; ++j) {
    sums[j] = hn::GetLane(hn::SumOfLanes(d, sum[j]));
    for (int64_t i = c; i < in; ++i) sums[j] += x[i] * w[j * in + i];
  }
}

void multiply(int64_t rows, int64_t in, int64_t out, const float* x, const float* w, const float* bias, float* y) {
  constexpr int64_t kAtOnce = 4, kGrain = 16384;  // weights that are worth a thread
  const int64_t groups = (out + kAtOnce - 1) / kAtOnce;
  parallel_for(groups, std::max<int64_t>(1, kGrain / (kAtOnce * in)), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin * kAtOnce; o < std::min(end * kAtOnce, out); o += kAtOnce)
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t count = std::min(kAtOnce, out - o);
        float sums[kAtOnce];
        if (count == kAtOnce)
          products<kAtOnce>(in, x + r * in, w + o * in, sums);
        else
          for (int64_t j = 0; j < count; ++j) products<1>(in, x + r * in, w + (o + j) * in, sums + j);
        for (int64_t j = 0; j < count; ++j) y[r * out + o + j] = sums[j] + (bias ? bias[o + j] : 0.0F);
      }
  });
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unnoise::kernels {

HWY_EXPORT(multiply);

void multiply_few_rows(int64_t rows, int64_t in, int64_t out, const float* x, const float* w, const float* bias,
                       float* y) {
  HWY_DYNAMIC_DISPATCH(multiply)(rows, in, out, x, w, bias, y);
}

}  // namespace unnoise::kernels
#endif  // HWY_ONCE
