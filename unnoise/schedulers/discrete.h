// What the methods that walk the table of abar at integer timesteps have in common.
#pragma once

#include "unnoise/schedulers/solver.h"
#include "unnoise/schedulers/x0_limits.h"

namespace unnoise {

/// Config keys that DDPM and DDIM share, in diffusers' names and with its defaults.
struct DiscreteConfig : NoiseOptions, GridOptions, ClipOptions, ThresholdOptions {
  PredictionType prediction_type = PredictionType::epsilon;

  static constexpr auto fields() {
    return std::tuple_cat(
        NoiseOptions::fields(), GridOptions::fields(),
        std::tuple{field("prediction_type", &DiscreteConfig::prediction_type, "what the network predicts")},
        ClipOptions::fields(), ThresholdOptions::fields());
  }
};

/// Throws Error::usage that names the key whose value cannot be.
void check_config(std::string_view class_name, const DiscreteConfig& config);

class DiscreteSolver : public Solver {
 public:
  /// Throws Error::usage when the grid holds a timestep of pure noise (abar = 0) whose x0 an eps network cannot tell
  /// and nothing limits.
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
