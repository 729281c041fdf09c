#include "unnoise/schedulers/prediction.h"

#include <ATen/TensorOperators.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/weighted_sum.h"

namespace unnoise {
namespace {

// At alpha = 0 the division by alpha would give inf, and 0/0 = NaN. No table in float32 has a smaller
// sqrt(alphas_cumprod).
constexpr float kSmallestAlpha = 1e-19f;

float divisor(float alpha) { return std::max(alpha, kSmallestAlpha); }
Tensor divisor(const Tensor& alpha) { return alpha.clamp_min(kSmallestAlpha); }

Tensor sum_of(float a, const Tensor& x, float b, const Tensor& y, float over = 1) {
  return weighted_sum(a, x, b, y, over);
}
Tensor sum_of(const Tensor& a, const Tensor& x, const Tensor& b, const Tensor& y) { return a * x + b * y; }
Tensor sum_of(float a, const Tensor& x, const Tensor& b, const Tensor& y) { return a * x + b * y; }
Tensor sum_of(float a, const Tensor& x, const Tensor& b, const Tensor& y, const Tensor& over) {
  return (a * x + b * y) / over;
}

template <class Scalar>
Tensor x0_of(PredictionType type, const Tensor& xt, const Tensor& output, const Scalar& alpha, const Scalar& sigma) {
  switch (type) {
    case PredictionType::epsilon:
      return sum_of(1.0f, xt, -sigma, output, divisor(alpha));  // Ho et al. 2020, eq. 15
    case PredictionType::sample:
      return output;
    case PredictionType::v_prediction:
      return sum_of(alpha, xt, -sigma, output);  // Salimans & Ho 2022, appendix D
    case PredictionType::flow_prediction:
      return sum_of(1.0f, xt, -sigma, output);
  }
  throw usage_error("unknown prediction type");
}

template <class Scalar>
Tensor eps_of(PredictionType type, const Tensor& xt, const Tensor& output, const Scalar& alpha, const Scalar& sigma) {
  switch (type) {
    case PredictionType::epsilon:
      return output;
    case PredictionType::sample:
      return sum_of(1.0f, xt, -alpha, output, sigma);
    case PredictionType::v_prediction:
      return sum_of(alpha, output, sigma, xt);
    case PredictionType::flow_prediction:
      return sum_of(1.0f, xt, alpha, output);
  }
  throw usage_error("unknown prediction type");
}

}  // namespace

Tensor x0_from(PredictionType type, const Tensor& xt, const Tensor& output, NoiseLevel level) {
  return x0_of(type, xt, output, level.alpha, level.sigma);
}

Tensor x0_from(PredictionType type, const Tensor& xt, const Tensor& output, const NoiseLevels& levels) {
  return x0_of(type, xt, output, levels.alpha, levels.sigma);
}

Tensor eps_from(PredictionType type, const Tensor& xt, const Tensor& output, NoiseLevel level) {
  return eps_of(type, xt, output, level.alpha, level.sigma);
}

Tensor eps_from(PredictionType type, const Tensor& xt, const Tensor& output, const NoiseLevels& levels) {
  return eps_of(type, xt, output, levels.alpha, levels.sigma);
}

}  // namespace unnoise
