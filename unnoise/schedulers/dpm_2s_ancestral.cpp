// DPM++ 2S ancestral of k-diffusion (Crowson 2022): Lu et al. 2022, "DPM-Solver++", algorithm 1, down past the next
// level, and fresh noise up to it. Each stretch is taken twice from its start: to its middle in lambda = -log sigma,
// then as a whole, by the x0 seen at the middle.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/churn.h"
#include "unnoise/schedulers/k_diffusion.h"

namespace unnoise {
namespace {

constexpr auto kDpm2sAncestralName = "DPMSolver2SAncestralScheduler";

struct Dpm2sStretch {
  float sigma;
  float middle;  // 0: one call, down to the end
  AncestralStep target;
};

std::vector<float> levels_of(const std::vector<Dpm2sStretch>& stretches) {
  std::vector<float> levels;
  for (const auto& stretch : stretches) {
    levels.push_back(stretch.sigma);
    if (stretch.middle > 0) levels.push_back(stretch.middle);
  }
  return levels;
}

class Dpm2sAncestralSolver final : public SigmaSolver {
 public:
  Dpm2sAncestralSolver(PredictionType prediction_type, std::vector<Dpm2sStretch> stretches, std::vector<float> sigmas,
                       double s_noise)
      : SigmaSolver(prediction_type, levels_of(stretches), std::move(sigmas)),
        stretches_(std::move(stretches)),
        s_noise_(s_noise) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const auto [sigma, middle, target] = stretches_[static_cast<size_t>(step.index / 2)];
    const bool is_first = step.index % 2 == 0;
    const Tensor x0 = this->x0(x, model_output, step);
    if (is_first && middle > 0) {
      start_ = x;
      return {toward(x, x0, sigma, middle), x0};
    }
    Tensor next = toward(is_first ? x : start_, x0, sigma, target.down);
    if (target.up > 0) next = at::add(next, rng.normal_like(x), s_noise_ * target.up);
    start_.reset();
    return {next, x0};
  }

 private:
  const std::vector<Dpm2sStretch> stretches_;
  const double s_noise_;
  Tensor start_;  // the picture at the stretch's start
};

class Dpm2sAncestralScheduler final : public SigmaScheduler<KConfig> {
 public:
  Dpm2sAncestralScheduler(const KConfig& config, const Json& json)
      : SigmaScheduler(kDpm2sAncestralName, config, json) {}

  std::vector<std::string_view> run_options() const override { return {"timesteps", "sigmas", "eta", "s_noise"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const double eta = options.eta.value_or(1);
    if (!(eta >= 0 && eta <= 1)) throw usage_error(fmt::format("eta: expected 0 to 1, found {}", eta));
    check_s_noise(options.s_noise);
    const auto grid = k_grid(config_, table_, options);
    const auto sigmas = with_last(grid.sigmas, k_last(options));

    std::vector<Dpm2sStretch> stretches;
    std::vector<double> timesteps;
    std::vector<float> told;
    for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
      const AncestralStep target = ancestral_step(sigmas[i], sigmas[i + 1], eta);
      const double middle = std::sqrt(static_cast<double>(sigmas[i]) * target.down);
      stretches.push_back({sigmas[i], static_cast<float>(middle), target});
      timesteps.push_back(grid.timesteps[i]);
      if (middle > 0) timesteps.push_back(table_.timestep(middle));
    }
    auto all = levels_of(stretches);
    all.push_back(sigmas.back());
    return Run(timestep_tensors(timesteps), stretch_begin(options.begin),
               init_noise_sigma(config_.timestep_spacing, sigmas),
               std::make_unique<Dpm2sAncestralSolver>(prediction_type, stretches, std::move(all), options.s_noise));
  }
};

}  // namespace

std::shared_ptr<const Scheduler> make_dpm_2s_ancestral(const Json& json) {
  return std::make_shared<Dpm2sAncestralScheduler>(read_config<KConfig>(kDpm2sAncestralName, json), json);
}

}  // namespace unnoise
