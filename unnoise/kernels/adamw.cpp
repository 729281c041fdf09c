#include "unnoise/kernels/adamw.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unnoise/kernels/adamw.cpp"
#include <hwy/foreach_target.h>  // must come before the inner loops

#include "unnoise/kernels/adamw-inl.h"
#include "unnoise/kernels/parallel.h"
#include "unnoise/kernels/scratch.h"

#ifndef UNNOISE_KERNELS_ADAMW_LOOPS_
#define UNNOISE_KERNELS_ADAMW_LOOPS_
namespace unnoise::kernels {

using AdamRange = void (*)(const AdamSpan& span, const AdamCoefficients& c, int64_t begin, int64_t end);

/// The loops of adamw-inl.h for one SIMD target.
struct AdamLoops {
  double (*sum_of_squares)(const float* x, int64_t n);
  AdamRange update[3][2];  // [AdamDecay][has an average]
};

}  // namespace unnoise::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

AdamLoops adam_loops() {
  using enum AdamDecay;
  return {block_sum_of_squares,
          {{adam_range<none, false>, adam_range<none, true>},
           {adam_range<gradient, false>, adam_range<gradient, true>},
           {adam_range<parameter, false>, adam_range<parameter, true>}}};
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unnoise::kernels {
namespace {

HWY_EXPORT(adam_loops);

/// The values that are summed together, and that are worth a thread.
constexpr int64_t kBlock = 16384;

/// Calls f(span, begin, end) for what lies between `begin` and `end` when all spans are laid end to end. `starts`
/// holds where each begins, and the total.
template <class Span, class F>
void for_pieces(std::span<const Span> spans, const int64_t* starts, int64_t begin, int64_t end, const F& f) {
  auto i = static_cast<size_t>(std::upper_bound(starts, starts + spans.size(), begin) - starts) - 1;
  for (; i < spans.size() && starts[i] < end; ++i)
    f(i, std::max<int64_t>(0, begin - starts[i]), std::min(spans[i].count, end - starts[i]));
}

template <class Span>
int64_t fill_starts(std::span<const Span> spans, int64_t* starts) {
  int64_t total = 0;
  for (const Span& span : spans) {
    *starts++ = total;
    total += span.count;
  }
  return total;
}

AdamCoefficients coefficients(const AdamSettings& s, double step) {
  return {.gradient_scale = s.gradient_scale,
          .weight_decay = static_cast<float>(s.weight_decay),
          .shrink = static_cast<float>(1 - s.learning_rate * s.weight_decay),
          .one_minus_beta1 = static_cast<float>(1 - s.beta1),
          .beta2 = static_cast<float>(s.beta2),
          .one_minus_beta2 = static_cast<float>(1 - s.beta2),
          .step_size = static_cast<float>(s.learning_rate / (1 - std::pow(s.beta1, step))),
          .correction2 = static_cast<float>(1 / std::sqrt(1 - std::pow(s.beta2, step))),
          .epsilon = static_cast<float>(s.epsilon),
          .average_weight = static_cast<float>(s.average_weight)};
}

}  // namespace

double sum_of_squares(std::span<const FloatSpan> spans) {
  const auto sum_block = HWY_DYNAMIC_DISPATCH(adam_loops)().sum_of_squares;
  static thread_local Scratch starts_memory, sums_memory;
  const auto count = static_cast<int64_t>(spans.size());
  int64_t* const first = starts_memory.get<int64_t>(count + 1);  // each span's first block
  int64_t blocks = 0;
  for (int64_t i = 0; i < count; ++i) {
    first[i] = blocks;
    blocks += (spans[static_cast<size_t>(i)].count + kBlock - 1) / kBlock;
  }
  double* const sums = sums_memory.get<double>(blocks + 1);
  parallel_for(blocks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const auto i = std::upper_bound(first, first + count, b) - first - 1;
      const FloatSpan& span = spans[static_cast<size_t>(i)];
      const int64_t offset = (b - first[i]) * kBlock;
      sums[b] = sum_block(span.data + offset, std::min(kBlock, span.count - offset));
    }
  });
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) total += sums[b];
  return total;
}

void adam_step(std::span<const AdamSpan> spans, const AdamSettings& settings) {
  const auto loops = HWY_DYNAMIC_DISPATCH(adam_loops)();
  static thread_local Scratch starts_memory, coefficients_memory;
  const auto count = static_cast<int64_t>(spans.size());
  int64_t* const starts = starts_memory.get<int64_t>(count + 1);
  const int64_t total = fill_starts(spans, starts);
  auto* const c = coefficients_memory.get<AdamCoefficients>(count + 1);
  for (size_t i = 0; i < spans.size(); ++i)  // most often all have the same step
    c[i] = i > 0 && spans[i].step == spans[i - 1].step ? c[i - 1] : coefficients(settings, spans[i].step);
  const auto decay = settings.weight_decay == 0 ? AdamDecay::none
                     : settings.decoupled       ? AdamDecay::parameter
                                                : AdamDecay::gradient;
  const AdamRange* const update = loops.update[static_cast<int>(decay)];
  // Whole cache lines a thread, where the arrays begin at one.
  constexpr int64_t kLine = 16;
  parallel_for((total + kLine - 1) / kLine, kBlock / kLine, [&](int64_t begin, int64_t end) {
    for_pieces(spans, starts, begin * kLine, std::min(end * kLine, total), [&](size_t i, int64_t from, int64_t to) {
      update[spans[i].average != nullptr](spans[i], c[i], from, to);
    });
  });
}

}  // namespace unnoise::kernels
#endif
