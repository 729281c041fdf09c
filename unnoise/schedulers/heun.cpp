// Heun: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", algorithm 1.
#include "unnoise/schedulers/heun.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>

namespace unnoise {
namespace {

constexpr auto kHeunName = "HeunDiscreteScheduler";

std::vector<float> with_end(std::vector<float> levels, const std::vector<Stretch>& stretches) {
  levels.push_back(stretches.back().sigma_next);
  return levels;
}

}  // namespace

std::vector<float> HeunSolver::levels(const std::vector<Stretch>& stretches) {
  std::vector<float> out;
  for (const Stretch& stretch : stretches) {
    out.push_back(stretch.sigma);
    if (stretch.sigma_next > 0) out.push_back(stretch.sigma_next);
  }
  return out;
}

HeunSolver::HeunSolver(PredictionType prediction_type, std::vector<Stretch> stretches, std::optional<float> first_noise,
                       const ClipOptions& clip)
    : SigmaSolver(prediction_type, levels(stretches), with_end(levels(stretches), stretches)),
      stretches_(std::move(stretches)),
      first_noise_(first_noise),
      clip_(clip) {}

Tensor HeunSolver::x0(const Tensor& x, const Tensor& model_output, const Step& step) const {
  return limit_x0(SigmaSolver::x0(x, model_output, step), clip_, {});
}

Tensor HeunSolver::begin(const Tensor& x, const Step&, Rng& rng) {
  return first_noise_ ? at::add(x, rng.normal_like(x), *first_noise_) : x;
}

StepResult HeunSolver::step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) {
  const auto [sigma, sigma_next, noise] = stretches_[static_cast<size_t>(step.index / 2)];
  const bool is_second = step.index % 2 == 1;
  const Tensor x0 = this->x0(x, model_output, step);
  Tensor next;
  if (is_second) {
    // the other half, by the slope (x - x0) / sigma_next at the stretch's end
    next = at::add(half_, x - x0, (static_cast<double>(sigma_next) - sigma) / (2.0 * sigma_next));
    half_.reset();
  } else {
    next = toward(x, x0, sigma, sigma_next);
    if (sigma_next > 0) half_ = toward(x, x0, sigma, (static_cast<double>(sigma) + sigma_next) / 2);
  }
  const bool is_over = is_second || sigma_next == 0;
  if (is_over && noise) next = at::add(next, rng.normal_like(x), *noise);
  return {next, x0};
}

std::vector<Tensor> heun_timesteps(const SigmaTable& table, const std::vector<Stretch>& stretches) {
  std::vector<float> timesteps;
  for (const float level : HeunSolver::levels(stretches))
    timesteps.push_back(static_cast<float>(table.timestep(level)));
  return timestep_tensors(timesteps);
}

namespace {

struct HeunConfig : LatentSigmaConfig, ClipOptions {
  HeunConfig() { clip_sample = false; }

  static constexpr auto fields() { return std::tuple_cat(SigmaConfig::fields(), ClipOptions::fields()); }
};

class HeunScheduler final : public SigmaScheduler<HeunConfig> {
 public:
  HeunScheduler(const HeunConfig& config, const Json& json) : SigmaScheduler(kHeunName, config, json) {}

  std::vector<std::string_view> run_options() const override { return {"timesteps"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const auto grid = sigma_grid(config_, table_, rounded_to_float(sigma_timesteps(config_, options)));
    const auto sigmas = with_last(grid.sigmas);
    std::vector<Stretch> stretches;
    std::vector<float> timesteps;
    for (size_t i = 0; i < grid.sigmas.size(); ++i) {
      stretches.push_back({sigmas[i], sigmas[i + 1], {}});
      timesteps.insert(timesteps.end(), i > 0 ? 2 : 1, static_cast<float>(grid.timesteps[i]));
    }
    return Run(timestep_tensors(timesteps), stretch_begin(options.begin),
               init_noise_sigma(config_.timestep_spacing, sigmas),
               std::make_unique<HeunSolver>(prediction_type, std::move(stretches), std::nullopt, config_));
  }
};

}  // namespace

std::shared_ptr<const Scheduler> make_heun(const Json& json) {
  const auto config = read_config<HeunConfig>(kHeunName, json);
  check_limits(config, {});
  return std::make_shared<HeunScheduler>(config, json);
}

}  // namespace unnoise
