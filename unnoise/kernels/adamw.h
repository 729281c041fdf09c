// The end of a training step over all parameters in one pass: clip the gradients, move the weights with Adam or AdamW,
// move their running average. Memory decides its speed: apart, the three read and write 13 values a weight, here 10.
#pragma once

#include <cstdint>
#include <span>

namespace unnoise::kernels {

/// Values that lie side by side in memory.
struct FloatSpan {
  const float* data = nullptr;
  int64_t count = 0;
};

/// The sum of the squares of all values, in double. Blocks of fixed size are summed in order: the result is the same
/// for every number of threads.
double sum_of_squares(std::span<const FloatSpan> spans);

/// Of one run of adam_step().
struct AdamSettings {
  bool decoupled = true;  ///< AdamW (Loshchilov & Hutter 2019, algorithm 2); false: Adam, decay added to the gradient
  double learning_rate = 1e-4;
  double beta1 = 0.95;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  float gradient_scale = 1;   ///< every gradient is first multiplied by it: the factor of clipping
  double average_weight = 0;  ///< average += average_weight (parameter - average), in [0,1]
};

/// One parameter, its gradient, its running averages (Kingma & Ba 2015, algorithm 1) and, if it has one, the average of
/// its values. Arrays of `count` values that do not overlap.
struct AdamSpan {
  float* parameter = nullptr;
  const float* gradient = nullptr;
  float* exp_avg = nullptr;
  float* exp_avg_sq = nullptr;
  float* average = nullptr;  ///< may be null
  int64_t count = 0;
  double step = 1;  ///< updates of this parameter, this one included: the bias corrections are 1 - beta^step
};

/// Updates in place. The arithmetic and its order are those of torch.optim's fused Adam and AdamW, and of lerp for the
/// average. The result does not depend on the number of threads.
void adam_step(std::span<const AdamSpan> spans, const AdamSettings& settings);

}  // namespace unnoise::kernels
