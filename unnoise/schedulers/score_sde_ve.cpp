// The variance exploding SDE with a predictor and a corrector: Song et al. 2021, "Score-Based Generative Modeling
// through Stochastic Differential Equations", algorithm 2. x = x0 + sigma z; the network predicts the score of x.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/sigma_grids.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {
namespace {

constexpr auto kScoreSdeVeName = "ScoreSdeVeScheduler";

struct SdeVeConfig {
  int64_t num_train_timesteps = 2000;
  double snr = 0.15;
  double sigma_min = 0.01;
  double sigma_max = 1348;
  double sampling_eps = 1e-5;
  int64_t correct_steps = 1;

  static constexpr auto fields() {
    using C = SdeVeConfig;
    return std::tuple{field("num_train_timesteps", &C::num_train_timesteps, "levels that the network was trained on"),
                      field("snr", &C::snr, "how far a corrector's step goes, 0 or more"),
                      field("sigma_min", &C::sigma_min, "the last level, above 0"),
                      field("sigma_max", &C::sigma_max, "the first level"),
                      field("sampling_eps", &C::sampling_eps, "time of the last level, 0 to below 1"),
                      field("correct_steps", &C::correct_steps, "corrector's steps at each level, 0 to 1000")};
  }
};

struct SdeVeGrid {
  std::vector<float> told;  ///< the sigma that the network is told at each level
  /// [levels + 1], the variance that the predictor removes lies between neighbours; the last is 0
  std::vector<float> level, next;
};

SdeVeGrid sde_ve_grid(const SdeVeConfig& config, int64_t levels) {
  const double low = config.sigma_min, high = config.sigma_max;
  const Tensor times = at::linspace(1, config.sampling_eps, levels, at::kFloat);
  const float* time = times.const_data_ptr<float>();
  // One step goes all the way.
  const auto rising = levels > 1 ? linspace(std::log(low), std::log(high), levels) : std::vector{std::log(high)};
  const auto at = [&](int64_t i) { return i >= 0 ? static_cast<float>(std::exp(rising[static_cast<size_t>(i)])) : 0; };
  SdeVeGrid grid;
  for (int64_t i = 0; i < levels; ++i) {
    // In float32, as in diffusers: rounding decides which level a time falls on.
    const auto position = static_cast<int64_t>(time[i] * static_cast<float>(levels - 1));
    grid.told.push_back(static_cast<float>(low * std::pow(high / low, static_cast<double>(time[i]))));
    grid.level.push_back(at(position));
    grid.next.push_back(at(position - 1));
  }
  return grid;
}

class SdeVeSolver final : public Solver {
 public:
  SdeVeSolver(const SdeVeConfig& config, SdeVeGrid grid) : config_(config), grid_(std::move(grid)) {}

  /// At each level first the corrector's calls, then one of the predictor.
  StepResult step(const Tensor& x, const Tensor& score, const Step& step, Rng& rng) override {
    const Tensor x0 = this->x0(x, score, step);
    const Tensor z = rng.normal_like(x);
    const bool predicts = step.index % calls() == config_.correct_steps;
    return {predicts ? predicted(x, score, z, level(step)) : corrected(x, score, z), x0};
  }

  /// Tweedie's formula
  Tensor x0(const Tensor& x, const Tensor& score, const Step& step) const override {
    const double sigma = grid_.told[level(step)];
    return at::add(x, score, sigma * sigma);
  }

  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override {
    return at::add(x0, noise, grid_.told[level(step)]);
  }
  std::vector<double> sigmas() const override { return {grid_.told.begin(), grid_.told.end()}; }

 private:
  int64_t calls() const { return config_.correct_steps + 1; }
  size_t level(const Step& step) const { return static_cast<size_t>(step.index / calls()); }

  /// Reverse diffusion, eq. 46. The last step leaves out the noise (appendix G), though it is drawn, as in diffusers.
  Tensor predicted(const Tensor& x, const Tensor& score, const Tensor& z, size_t level) const {
    const float sigma = grid_.level[level], next = grid_.next[level];
    const float variance = sigma * sigma - next * next;
    const Tensor mean = at::add(x, score, variance);
    return level + 1 == grid_.level.size() ? mean : at::add(mean, z, std::sqrt(variance));
  }

  /// Langevin dynamics, algorithm 4: the step is set by the mean norms over the batch.
  Tensor corrected(const Tensor& x, const Tensor& score, const Tensor& z) const {
    const auto mean_norm = [](const Tensor& a) { return a.flatten(1).norm(2, {1}).mean(); };
    const Tensor score_norm = mean_norm(score);
    const Tensor ratio = at::where(score_norm > 0, config_.snr * mean_norm(z) / score_norm, 0.0);  // no score: no step
    const Tensor size = 2 * ratio.square();
    return x + size * score + (2 * size).sqrt() * z;
  }

  const SdeVeConfig config_;
  const SdeVeGrid grid_;
};

class SdeVeScheduler final : public Scheduler {
 public:
  SdeVeScheduler(const SdeVeConfig& config, const Json& json)
      : Scheduler(config.num_train_timesteps, PredictionType::epsilon, kScoreSdeVeName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {}; }

 private:
  Run make_run(const StartOptions& options) const override {
    if (options.steps < 1 || options.steps > 1'000'000)
      throw usage_error(fmt::format("number of sampling steps: expected 1 to 1000000, found {}", options.steps));
    SdeVeGrid grid = sde_ve_grid(config_, options.steps);
    std::vector<float> told;
    for (const float sigma : grid.told) told.insert(told.end(), static_cast<size_t>(config_.correct_steps + 1), sigma);
    return Run(timestep_tensors(told), options.begin, config_.sigma_max,
               std::make_unique<SdeVeSolver>(config_, std::move(grid)));
  }

  const SdeVeConfig config_;
};

void check(const SdeVeConfig& c) {
  const auto fail = [](std::string_view key, std::string_view expected, double found) {
    throw usage_error(fmt::format("{}: {}: expected {}, found {}", kScoreSdeVeName, key, expected, found));
  };
  if (c.num_train_timesteps < 1) fail("num_train_timesteps", "at least 1", static_cast<double>(c.num_train_timesteps));
  if (!(c.snr >= 0 && c.snr < 1e6)) fail("snr", "0 or more", c.snr);
  if (!(c.sigma_min > 0 && std::isfinite(c.sigma_min))) fail("sigma_min", "above 0", c.sigma_min);
  if (!(c.sigma_max > c.sigma_min && c.sigma_max < 1e18)) fail("sigma_max", "above sigma_min", c.sigma_max);
  if (!(c.sampling_eps >= 0 && c.sampling_eps < 1)) fail("sampling_eps", "0 to below 1", c.sampling_eps);
  if (c.correct_steps < 0 || c.correct_steps > 1000)
    fail("correct_steps", "0 to 1000", static_cast<double>(c.correct_steps));
}

}  // namespace

std::shared_ptr<const Scheduler> make_score_sde_ve(const Json& json) {
  const auto config = read_config<SdeVeConfig>(kScoreSdeVeName, json);
  check(config);
  return std::make_shared<SdeVeScheduler>(config, json);
}

}  // namespace unnoise
