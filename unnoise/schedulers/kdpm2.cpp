// DPM2 and DPM2 ancestral of k-diffusion (Crowson 2022), after DPM-Solver-2 of Lu et al. 2022: the slope at the middle
// of a stretch, in log sigma, carries the picture over the whole of it; the ancestral one goes down further and adds
// noise.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/tensor.h>

#include <cmath>

#include "unnoise/schedulers/sigma_solver.h"

namespace unnoise {
namespace {

struct Stretch {
  float sigma;
  float middle;  // 0: the stretch leads to the clean picture, in one call of the network
  AncestralStep target;
};

/// The levels half way between, in log sigma, in LibTorch's float32 as in diffusers.
std::vector<float> log_middles(const std::vector<float>& a, const std::vector<float>& b) {
  const Tensor middles = at::lerp(at::tensor(a).log(), at::tensor(b).log(), 0.5).exp();
  return {middles.const_data_ptr<float>(), middles.const_data_ptr<float>() + middles.numel()};
}

/// `sigmas` ends with 0.
std::vector<Stretch> stretches_of(const std::vector<float>& sigmas, bool is_ancestral) {
  std::vector<Stretch> out;
  std::vector<float> targets;
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    out.push_back({sigmas[i], 0, ancestral_step(sigmas[i], sigmas[i + 1], is_ancestral ? 1 : 0)});
    targets.push_back(out.back().target.down);
  }
  const auto middles = log_middles({sigmas.begin(), sigmas.end() - 1}, targets);
  for (size_t i = 0; i + 1 < out.size(); ++i) out[i].middle = middles[i];
  return out;
}

std::vector<float> levels_of(const std::vector<Stretch>& stretches) {
  std::vector<float> levels;
  for (const Stretch& stretch : stretches) {
    levels.push_back(stretch.sigma);
    if (stretch.middle > 0) levels.push_back(stretch.middle);
  }
  return levels;
}

class Kdpm2Solver final : public SigmaSolver {
 public:
  Kdpm2Solver(PredictionType prediction_type, std::vector<Stretch> stretches, std::vector<float> sigmas,
              bool is_ancestral)
      : SigmaSolver(prediction_type, levels_of(stretches), std::move(sigmas)),
        stretches_(std::move(stretches)),
        is_ancestral_(is_ancestral) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const auto [sigma, middle, target] = stretches_[static_cast<size_t>(step.index / 2)];
    const Tensor x0 = this->x0(x, model_output, step);
    if (step.index % 2 == 0) {
      start_ = x;
      return {toward(x, x0, sigma, middle), x0};
    }
    Tensor next = at::add(start_, x - x0, (static_cast<double>(target.down) - sigma) / middle);
    if (is_ancestral_) next = at::add(next, rng.normal_like(x), target.up);
    start_.reset();
    return {next, x0};
  }

 private:
  const std::vector<Stretch> stretches_;
  const bool is_ancestral_;
  Tensor start_;  // the picture at the stretch's start
};

class Kdpm2Scheduler final : public SigmaScheduler<LatentSigmaConfig> {
 public:
  Kdpm2Scheduler(const char* class_name, const Json& json, bool is_ancestral)
      : SigmaScheduler(class_name, read_config<LatentSigmaConfig>(class_name, json), json),
        is_ancestral_(is_ancestral) {}

  std::vector<std::string_view> run_options() const override { return {"timesteps"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    auto grid = sigma_grid(config_, table_, rounded_to_float(sigma_timesteps(config_, options)));
    if (config_.use_karras_sigmas)
      for (double& t : grid.timesteps) t = std::nearbyint(t);
    const auto sigmas = with_last(grid.sigmas);
    auto stretches = stretches_of(sigmas, is_ancestral_);
    auto timesteps = timesteps_of(grid, stretches);
    return Run(
        std::move(timesteps), stretch_begin(options.begin), init_noise_sigma(config_.timestep_spacing, sigmas),
        std::make_unique<Kdpm2Solver>(prediction_type, std::move(stretches), told_sigmas(sigmas), is_ancestral_));
  }

  /// diffusers lists all levels but the first twice, and the end three times.
  static std::vector<float> told_sigmas(const std::vector<float>& sigmas) {
    std::vector<float> out{sigmas.front()};
    for (size_t i = 1; i < sigmas.size(); ++i) out.insert(out.end(), 2, sigmas[i]);
    out.push_back(sigmas.back());
    return out;
  }

  /// float32 where the timesteps are spaced, float64 where they follow from sigmas, as in diffusers.
  std::vector<Tensor> timesteps_of(const SigmaGrid& grid, const std::vector<Stretch>& stretches) const {
    std::vector<double> out;
    for (size_t i = 0; i < stretches.size(); ++i) {
      out.push_back(grid.timesteps[i]);
      if (stretches[i].middle > 0) out.push_back(table_.timestep(stretches[i].middle));
    }
    if (!one_grid(class_name(), config_).empty()) return timestep_tensors(out);
    return timestep_tensors(std::vector<float>(out.begin(), out.end()));
  }

  const bool is_ancestral_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_kdpm2(const Json& json) {
  return std::make_shared<Kdpm2Scheduler>("KDPM2DiscreteScheduler", json, false);
}

std::shared_ptr<const Scheduler> make_kdpm2_ancestral(const Json& json) {
  return std::make_shared<Kdpm2Scheduler>("KDPM2AncestralDiscreteScheduler", json, true);
}

}  // namespace unnoise
