#include "unnoise/schedulers/churn.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "unnoise/core/error.h"

namespace unnoise {

Churn::Churn(const StartOptions& options)
    : churn(options.s_churn),
      min(options.s_tmin),
      max(options.s_tmax.value_or(std::numeric_limits<double>::infinity())),
      noise(options.s_noise) {
  if (!(churn >= 0 && std::isfinite(churn)))
    throw usage_error(fmt::format("s_churn: expected 0 or more, found {}", churn));
  if (std::isnan(min) || std::isnan(max))
    throw usage_error(fmt::format("s_tmin and s_tmax: expected numbers, found {} and {}", min, max));
  check_s_noise(noise);
}

float Churn::sigma_hat(float sigma, int64_t steps) const {
  if (!(churn > 0 && min <= sigma && sigma <= max)) return sigma;
  const double gamma = std::min(churn / static_cast<double>(steps), std::sqrt(2.0) - 1);
  return sigma * static_cast<float>(gamma + 1);
}

void check_s_noise(double s_noise) {
  if (!std::isfinite(s_noise)) throw usage_error(fmt::format("s_noise: expected a number, found {}", s_noise));
}

}  // namespace unnoise
