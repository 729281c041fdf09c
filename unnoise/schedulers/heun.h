// Heun's method between noise levels, for those who differ only in the levels and in the noise between them.
#pragma once

#include "unnoise/schedulers/sigma_solver.h"
#include "unnoise/schedulers/x0_limits.h"

namespace unnoise {

/// From one level down to another, 0 for the clean picture.
struct Stretch {
  float sigma;
  float sigma_next;
  std::optional<float> noise;  ///< standard deviation of fresh noise at its end; drawn also where it is 0
};

/// Two calls of the network a stretch, one where it leads to 0. Karras et al. 2022, algorithm 1, lines 4 to 8.
class HeunSolver : public SigmaSolver {
 public:
  /// `first_noise`: standard deviation of what begin() adds.
  HeunSolver(PredictionType prediction_type, std::vector<Stretch> stretches, std::optional<float> first_noise = {},
             const ClipOptions& clip = {.clip_sample = false});

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override;
  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override;
  Tensor begin(const Tensor& x, const Step& first, Rng& rng) override;

  /// sigma at each call of the network.
  static std::vector<float> levels(const std::vector<Stretch>& stretches);

 private:
  const std::vector<Stretch> stretches_;
  const std::optional<float> first_noise_;
  const ClipOptions clip_;
  Tensor half_;  // half of the stretch, by the slope at its start
};

/// The training timestep of each call's level.
std::vector<Tensor> heun_timesteps(const SigmaTable& table, const std::vector<Stretch>& stretches);

}  // namespace unnoise
