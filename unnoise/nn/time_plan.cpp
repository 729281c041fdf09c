#include "unnoise/nn/time_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"

namespace unnoise {

TimePlan::TimePlan(const Tensor& timesteps) {
  if (timesteps.numel() > static_cast<int64_t>(kSteps))
    throw usage_error(fmt::format("a plan of timesteps: expected at most {}, found {}", kSteps, timesteps.numel()));
  const Tensor values = timesteps.to(at::kCPU, at::kDouble).contiguous();
  const double* const begin = values.const_data_ptr<double>();
  timesteps_.assign(begin, begin + values.numel());
}

std::optional<int64_t> TimePlan::find(const Tensor& timesteps) const {
  if (timesteps_.empty() || timesteps.numel() != 1) return std::nullopt;
  const auto found = std::find(timesteps_.begin(), timesteps_.end(), timesteps.item<double>());
  return found == timesteps_.end() ? std::nullopt : std::optional<int64_t>(found - timesteps_.begin());
}

Tensor TimePlan::row(const Module& block, int64_t step) const {
  const auto found = rows_.find(&block);
  if (found == rows_.end()) throw usage_error("this plan of timesteps was made by another network");
  return found->second.narrow(0, step, 1);
}

}  // namespace unnoise
