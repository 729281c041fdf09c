// What the methods that walk the table of abar at integer timesteps have in common.
#pragma once

#include "unnoise/schedulers/solver.h"
#include "unnoise/schedulers/x0_limits.h"

namespace unnoise {

/// Config keys of the whole family, in diffusers' names and with DDPM's defaults. A class that lacks some of them lists
/// the others in its own fields().
struct DiscreteConfig : NoiseOptions, GridOptions, ClipOptions, ThresholdOptions {
  PredictionType prediction_type = PredictionType::epsilon;

  static constexpr auto prediction_field() {
    return std::tuple{field("prediction_type", &DiscreteConfig::prediction_type, "what the network predicts")};
  }
  static constexpr auto fields() {
    return std::tuple_cat(NoiseOptions::fields(), GridOptions::fields(), prediction_field(), ClipOptions::fields(),
                          ThresholdOptions::fields());
  }
};

/// Throws Error::usage that names the key whose value cannot be.
void check_config(std::string_view class_name, const DiscreteConfig& config);

/// Throws Error::usage when the grid holds, at `begin` or later, a timestep of pure noise (abar = 0) whose x0 an eps
/// network cannot tell and nothing limits.
void refuse_pure_noise(const DiscreteConfig& config, const NoiseSchedule& noise, const std::vector<int64_t>& timesteps,
                       int64_t begin);

/// x_t = sqrt(abar) x0 + sqrt(1 - abar) eps, for an abar that need not be in the table.
NoiseLevel level_of(float abar);

class DiscreteSolver : public Solver {
 public:
  DiscreteSolver(const DiscreteConfig& config, NoiseSchedule noise, std::vector<int64_t> timesteps);

  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override;
  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override;

 protected:
  int64_t t(const Step& step) const { return timesteps_[static_cast<size_t>(step.index)]; }
  /// The timestep after this one in the grid, -1 after the last.
  int64_t next_t(const Step& step) const;
  /// Before and after limiting.
  Tensor raw_x0(const Tensor& x, const Tensor& prediction, const Step& step) const;
  Tensor limited(const Tensor& x0) const { return limit_x0(x0, config_, config_); }

  const DiscreteConfig config_;
  const NoiseSchedule noise_;
  const std::vector<int64_t> timesteps_;
};

}  // namespace unnoise
