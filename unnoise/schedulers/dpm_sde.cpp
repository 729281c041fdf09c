// DPM++ SDE: the stochastic DPM-Solver++(2S) of k-diffusion (Crowson 2022; Lu et al. 2022, "DPM-Solver++", section 5).
// Each stretch is taken twice from its start, first to its middle in log sigma, then to its end by the x0 seen at the
// middle; both times an ancestral step, with noise from one Brownian path.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>

#include <cmath>

#include "unnoise/schedulers/brownian_tree.h"
#include "unnoise/schedulers/churn.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/sigma_solver.h"

namespace unnoise {
namespace {

constexpr auto kDpmSdeName = "DPMSolverSDEScheduler";

struct DpmSdeConfig : LatentSigmaConfig {
  std::optional<int64_t> noise_sampler_seed;

  static constexpr auto fields() {
    return std::tuple_cat(
        SigmaConfig::fields(),
        std::tuple{field("noise_sampler_seed", &DpmSdeConfig::noise_sampler_seed,
                         "seed of the noise between the levels, 0 or more; default: drawn from the run's own")});
  }
};

class DpmSdeSolver final : public SigmaSolver {
 public:
  /// `levels`: start, middle, start, middle, ..., start of the last stretch, which leads to 0. `walk`: the same, as
  /// they come back from log sigma, in which the method steps; where in the path noise is taken from turns on the last
  /// bit.
  DpmSdeSolver(PredictionType prediction_type, const std::vector<float>& levels, std::vector<float> walk,
               std::vector<float> sigmas, std::optional<int64_t> seed, double s_noise)
      : SigmaSolver(prediction_type, levels, std::move(sigmas)),
        levels_(levels),
        walk_(std::move(walk)),
        seed_(seed),
        s_noise_(s_noise) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const auto i = static_cast<size_t>(step.index);
    const bool is_second = i % 2 == 1;
    const Tensor x0 = this->x0(x, model_output, step);
    if (!noise_ && levels_.size() > 1) noise_.emplace(x, levels_.back(), levels_.front(), seed_, rng);
    if (i + 1 == levels_.size()) return {toward(x, x0, levels_[i], 0), x0};

    const float sigma = walk_[is_second ? i - 1 : i], sigma_next = walk_[i + 1];
    const auto [down, up] = ancestral_step(sigma, sigma_next);
    if (!is_second) start_ = x;
    const Tensor next = at::add(toward(start_, x0, sigma, down), (*noise_)(sigma, sigma_next), s_noise_ * up);
    if (is_second) start_.reset();
    return {next, x0};
  }

 private:
  const std::vector<float> levels_, walk_;
  const std::optional<int64_t> seed_;
  const double s_noise_;
  std::optional<BrownianNoise> noise_;
  Tensor start_;  // the picture at the stretch's start
};

class DpmSdeScheduler final : public SigmaScheduler<DpmSdeConfig> {
 public:
  DpmSdeScheduler(const DpmSdeConfig& config, const Json& json) : SigmaScheduler(kDpmSdeName, config, json) {
    check_noise_seed(kDpmSdeName, config.noise_sampler_seed);
  }

  std::vector<std::string_view> run_options() const override { return {"timesteps", "s_noise"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    check_s_noise(options.s_noise);
    const auto grid = sigma_grid(config_, table_, sigma_timesteps(config_, options));
    const auto sigmas = with_last(grid.sigmas);

    std::vector<double> timesteps;
    std::vector<float> levels, walk, told{sigmas.front()};
    for (size_t i = 0; i < grid.sigmas.size(); ++i) {
      timesteps.push_back(grid.timesteps[i]);
      levels.push_back(sigmas[i]);
      const float t = -torch_log(sigmas[i]);  // time is -log sigma
      walk.push_back(torch_exp(-t));
      if (i + 1 == grid.sigmas.size()) break;
      timesteps.push_back(table_.timestep(std::sqrt(grid.sigmas[i] * grid.sigmas[i + 1])));
      levels.push_back(torch_exp(-(t + (-torch_log(sigmas[i + 1]) - t) * 0.5f)));
      walk.push_back(levels.back());
      told.insert(told.end(), 2, sigmas[i + 1]);
    }
    told.push_back(0);
    return Run(timestep_tensors(timesteps), stretch_begin(options.begin),
               init_noise_sigma(config_.timestep_spacing, sigmas),
               std::make_unique<DpmSdeSolver>(prediction_type, levels, std::move(walk), std::move(told),
                                              config_.noise_sampler_seed, options.s_noise));
  }
};

}  // namespace

std::shared_ptr<const Scheduler> make_dpm_sde(const Json& json) {
  return std::make_shared<DpmSdeScheduler>(read_config<DpmSdeConfig>(kDpmSdeName, json), json);
}

}  // namespace unnoise
