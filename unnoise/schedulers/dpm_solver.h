// What DPM-Solver and its kin have in common: they integrate the network's x0 (or eps) over lambda = log(alpha / sigma)
// by exponential integrators, so that a step is a sum of pictures whose weights do not depend on them. Weights are
// computed once, when a run starts; a step is then a handful of tensor operations.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "unnoise/schedulers/dpm_grid.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {

/// x' = x X + sum_k m[k] M_k + noise N, where M_0 is the newest output of the network, M_1 the one before, ...
struct DpmUpdate {
  double x = 1;
  std::vector<double> m;
  double noise = 0;
};

/// X, the M_k and N are [B,C,H,W]; N only if the update has a weight for it. Computed in float32 at least, in `dtype`
/// when done.
Tensor apply(const DpmUpdate& update, const Tensor& x, std::span<const Tensor> m, const Tensor& noise,
             at::ScalarType dtype);

/// What is integrated.
enum class Integrand { x0, eps };

class DpmSolver : public Solver {
 public:
  DpmSolver(PredictionType prediction_type, const ThresholdOptions& threshold, Integrand integrand, DpmGrid grid);

  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override;
  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override;
  std::vector<double> sigmas() const override { return {grid_.sigmas.begin(), grid_.sigmas.end()}; }

 protected:
  struct Converted {
    Tensor x0;
    Tensor m;  ///< what is integrated: x0 or eps
  };
  Converted convert(const Tensor& x, const Tensor& model_output, const Step& step) const;
  /// Before thresholding; prediction has x's shape.
  virtual Tensor raw_x0(const Tensor& x, const Tensor& prediction, const Step& step) const;

  const DpmLevel& level(const Step& step) const { return grid_.levels[static_cast<size_t>(step.index)]; }

  const PredictionType prediction_type_;
  const ThresholdOptions threshold_;
  const Integrand integrand_;
  const DpmGrid grid_;
};

/// The weights of all steps. A step of no length (two equal levels) has none and leaves x and the history as they are:
/// its output counts for nothing.
using DpmPlan = std::vector<std::optional<DpmUpdate>>;

/// Asks `rule` for the update of each step from `begin` on. `past` are the steps whose outputs it can weigh, newest
/// first: past[0] is the step itself, and there are at most `memory`.
using DpmRule = std::function<DpmUpdate(size_t step, const std::vector<size_t>& past)>;
DpmPlan plan_steps(const std::vector<DpmLevel>& levels, int64_t begin, int64_t memory, const DpmRule& rule);

/// A linear multistep method: one update a step, over the newest outputs.
class DpmMultistepSolver : public DpmSolver {
 public:
  /// `stochastic`: draws noise in each step, also where its weight is 0.
  DpmMultistepSolver(PredictionType prediction_type, const ThresholdOptions& threshold, Integrand integrand,
                     DpmGrid grid, DpmPlan plan, bool stochastic);

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override;

 protected:
  virtual Tensor noise(const Tensor& x, const Step& step, Rng& rng) { return rng.normal_like(x); }

 private:
  const DpmPlan plan_;
  const bool stochastic_;
  std::vector<Tensor> outputs_;  // newest first
};

/// Each output of the network first corrects the step that led to it, then predicts the next.
class DpmPredictorCorrectorSolver : public DpmSolver {
 public:
  /// correctors[i] is for the step that led to level i; its M_0 is the output there.
  DpmPredictorCorrectorSolver(PredictionType prediction_type, const ThresholdOptions& threshold, Integrand integrand,
                              DpmGrid grid, DpmPlan predictors, DpmPlan correctors, bool stochastic);

  StepResult step(const Tensor& predicted, const Tensor& model_output, const Step& step, Rng& rng) override;

 private:
  const DpmPlan predictors_, correctors_;
  const bool stochastic_;
  std::vector<Tensor> outputs_;  // newest first
  Tensor last_x_, last_noise_;   // where the last step began, and its noise
};

}  // namespace unnoise
