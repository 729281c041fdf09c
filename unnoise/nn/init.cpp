#include "unnoise/nn/init.h"

#include <cmath>

namespace unnoise {

/// torch's default for weights: kaiming_uniform with a = sqrt(5) (He et al. 2015, eq. 14). Spelled out in its order of
/// operations, because the last bit of the bound reaches the weights.
void draw_weight(Tensor& weight, int64_t fan_in, Rng& rng) {
  const double slope = std::sqrt(5.0);
  const double gain = std::sqrt(2.0 / (1.0 + slope * slope));
  const double deviation = gain / std::sqrt(static_cast<double>(fan_in));
  const double bound = std::sqrt(3.0) * deviation;
  weight.uniform_(-bound, bound, rng.generator());
}

void draw_bias(Tensor& bias, int64_t fan_in, Rng& rng) {
  const double bound = fan_in > 0 ? 1.0 / std::sqrt(static_cast<double>(fan_in)) : 0.0;
  bias.uniform_(-bound, bound, rng.generator());
}

}  // namespace unnoise
