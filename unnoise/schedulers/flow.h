// What the samplers of flow matching share. The path is straight, x_s = (1 - s) x0 + s eps for s from 1 to 0, and the
// network predicts its direction v = eps - x0: Lipman et al. 2023, "Flow Matching"; Liu et al. 2023, "Rectified Flow".
#pragma once

#include "unnoise/schedulers/sigma_grids.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {

enum class TimeShiftType {
  exponential,  ///< s' = e^mu / (e^mu + 1/s - 1)
  linear,       ///< s' = mu / (mu + 1/s - 1)
};

constexpr auto enum_names(TimeShiftType) {
  return std::array{std::pair{TimeShiftType::exponential, "exponential"}, std::pair{TimeShiftType::linear, "linear"}};
}

/// The keys of the whole family; a class that lacks some of them lists the others in its own fields().
struct FlowConfig : SigmaGridOptions {
  int64_t num_train_timesteps = 1000;
  double shift = 1;
  bool use_dynamic_shifting = false;
  std::optional<double> base_shift = 0.5;
  std::optional<double> max_shift = 1.15;
  int64_t base_image_seq_len = 256;
  int64_t max_image_seq_len = 4096;
  bool invert_sigmas = false;
  std::optional<double> shift_terminal;
  TimeShiftType time_shift_type = TimeShiftType::exponential;

  static constexpr auto shift_fields() {
    using C = FlowConfig;
    return std::tuple{field("num_train_timesteps", &C::num_train_timesteps, "what the network is told at s = 1"),
                      field("shift", &C::shift,
                            "above 1: more steps at the noisy end, for large pictures (Esser et al. 2024, eq. 23)")};
  }
  static constexpr auto fields() {
    using C = FlowConfig;
    return std::tuple_cat(
        shift_fields(),
        std::tuple{
            field("use_dynamic_shifting", &C::use_dynamic_shifting, "the run says how far to shift (mu), not `shift`"),
            field("base_shift", &C::base_shift, "mu for base_image_seq_len tokens; what pipelines compute mu from"),
            field("max_shift", &C::max_shift, "mu for max_image_seq_len tokens"),
            field("base_image_seq_len", &C::base_image_seq_len, "tokens of a small picture"),
            field("max_image_seq_len", &C::max_image_seq_len, "tokens of a large picture"),
            field("invert_sigmas", &C::invert_sigmas,
                  "the network was trained with s = 1 for the clean picture (Mochi)"),
            field("shift_terminal", &C::shift_terminal, "stretch the grid so that the last step is at this s"),
            field("time_shift_type", &C::time_shift_type, "how mu shifts")},
        SigmaGridOptions::fields());
  }
};

/// Throws Error::usage that names the key whose value cannot be.
void check_flow(std::string_view class_name, const FlowConfig& config);

struct FlowGrid {
  std::vector<float> timesteps;  ///< [N], what the network is told
  std::vector<float> sigmas;     ///< [N+1], where each step begins, and the end
};

/// The run's grid: spaced or the user's, shifted, stretched, spaced anew, inverted, as the config says. The user's
/// sigmas may leave out the final 0. Error::usage when mu is missing, or a list is not falling or out of range.
FlowGrid flow_grid(std::string_view class_name, const FlowConfig& config, const StartOptions& options);

class FlowSolver : public Solver {
 public:
  FlowSolver(std::vector<float> sigmas, bool inverted) : sigmas_(std::move(sigmas)), inverted_(inverted) {}

  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override;
  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override;
  std::vector<double> sigmas() const override { return {sigmas_.begin(), sigmas_.end()}; }

 protected:
  float sigma(const Step& step) const { return sigmas_[static_cast<size_t>(step.index)]; }
  float next_sigma(const Step& step) const { return sigmas_[static_cast<size_t>(step.index) + 1]; }
  /// The picture's share is 1 - sigma, and sigma itself where the path is inverted.
  float noise_share(float sigma) const { return inverted_ ? 1 - sigma : sigma; }
  /// x0 with `noise` at a level.
  Tensor mixed(const Tensor& x0, const Tensor& noise, float sigma) const;

  const std::vector<float> sigmas_;
  const bool inverted_;
};

/// x of at least float32: the sum of many small steps.
Tensor widened(const Tensor& x);

}  // namespace unnoise
