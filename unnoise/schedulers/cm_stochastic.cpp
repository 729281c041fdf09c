// Consistency models: Song, Dhariwal, Chen & Sutskever 2023, algorithm 1. The network jumps to the clean picture from
// any level; each step but the last adds noise again. Levels as in Karras et al. 2022, eq. 5.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {
namespace {

constexpr auto kCmStochasticName = "CMStochasticIterativeScheduler";

struct CmConfig {
  int64_t num_train_timesteps = 40;
  double sigma_min = 0.002;
  double sigma_max = 80;
  double sigma_data = 0.5;
  double s_noise = 1;
  double rho = 7;
  bool clip_denoised = true;

  static constexpr auto fields() {
    using C = CmConfig;
    return std::tuple{field("num_train_timesteps", &C::num_train_timesteps, "levels that the network was trained on"),
                      field("sigma_min", &C::sigma_min, "the last of them, above 0"),
                      field("sigma_max", &C::sigma_max, "the first of them"),
                      field("sigma_data", &C::sigma_data, "standard deviation of the training pictures, above 0"),
                      field("s_noise", &C::s_noise, "standard deviation of the added noise"),
                      field("rho", &C::rho, "how the levels lie: larger = more of them at the clean end"),
                      field("clip_denoised", &C::clip_denoised, "clip the clean picture to [-1,1]")};
  }
};

class CmSolver final : public Solver {
 public:
  CmSolver(const CmConfig& config, std::vector<float> sigmas) : config_(config), sigmas_(std::move(sigmas)) {}

  Tensor input(const Tensor& x, const Step& step) const override { return x / root(sigma(step)); }

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const Tensor x0 = this->x0(x, model_output, step);
    if (sigmas_.size() == 2) return {x0, x0};  // one step draws nothing; the last of several draws and adds none
    const float low = static_cast<float>(config_.sigma_min), high = static_cast<float>(config_.sigma_max);
    const float next = std::clamp(sigmas_[static_cast<size_t>(step.index) + 1], low, high);
    const auto floor = static_cast<float>(config_.sigma_min * config_.sigma_min);
    const float added = torch_sqrt(std::max(next * next - floor, 0.0f));
    return {at::add(x0, rng.normal_like(x), config_.s_noise * added), x0};
  }

  /// f(x, sigma) = c_skip x + c_out F: appendix C; the identity at sigma_min.
  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override {
    const float sigma = this->sigma(step), above = sigma - static_cast<float>(config_.sigma_min);
    const auto data = static_cast<float>(config_.sigma_data);
    const float c_skip = data * data / (above * above + data * data), c_out = above * data / root(sigma);
    const Tensor x0 = (c_out * model_output).add_(x, c_skip);
    return config_.clip_denoised ? x0.clamp(-1, 1) : x0;
  }

  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override {
    return at::add(x0, noise, sigma(step));
  }
  std::vector<double> sigmas() const override { return {sigmas_.begin(), sigmas_.end()}; }

 private:
  float sigma(const Step& step) const { return sigmas_[static_cast<size_t>(step.index)]; }
  float root(float sigma) const {
    return torch_sqrt(sigma * sigma + static_cast<float>(config_.sigma_data * config_.sigma_data));
  }

  const CmConfig config_;
  const std::vector<float> sigmas_;
};

class CmScheduler final : public Scheduler {
 public:
  /// The network's output is the picture, but for the skip connection.
  CmScheduler(const CmConfig& config, const Json& json)
      : Scheduler(config.num_train_timesteps, PredictionType::sample, kCmStochasticName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {"timesteps"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const int64_t train = num_train_timesteps();
    const GridOptions multiples_of_the_stride;
    const auto positions = choose_timesteps(options, multiples_of_the_stride, train);
    std::vector<double> timesteps;
    std::vector<float> sigmas;
    const auto last = static_cast<double>(std::max<int64_t>(train - 1, 1));
    for (auto position = positions.rbegin(); position != positions.rend(); ++position) {
      // Positions count from the clean end, and the ramp from the noisy one: the list is read backwards.
      const double sigma = level(static_cast<double>(*position) / last);
      sigmas.push_back(static_cast<float>(sigma));
      timesteps.push_back(1000 * 0.25 * std::log(sigma));
    }
    sigmas.push_back(static_cast<float>(config_.sigma_min));
    return Run(timestep_tensors(timesteps), options.begin, config_.sigma_max,
               std::make_unique<CmSolver>(config_, std::move(sigmas)));
  }

  /// From sigma_max at 0 to sigma_min at 1.
  double level(double ramp) const {
    const double low = std::pow(config_.sigma_min, 1 / config_.rho),
                 high = std::pow(config_.sigma_max, 1 / config_.rho);
    return std::pow(high + ramp * (low - high), config_.rho);
  }

  const CmConfig config_;
};

void check(const CmConfig& c) {
  const auto fail = [](std::string_view key, std::string_view expected, double found) {
    throw usage_error(fmt::format("{}: {}: expected {}, found {}", kCmStochasticName, key, expected, found));
  };
  if (c.num_train_timesteps < 1) fail("num_train_timesteps", "at least 1", static_cast<double>(c.num_train_timesteps));
  if (!(c.sigma_min > 0 && std::isfinite(c.sigma_min))) fail("sigma_min", "above 0", c.sigma_min);
  if (!(c.sigma_max > c.sigma_min && c.sigma_max < 1e18)) fail("sigma_max", "above sigma_min", c.sigma_max);
  if (!(c.sigma_data > 0 && c.sigma_data < 1e18)) fail("sigma_data", "above 0", c.sigma_data);
  if (!(c.rho > 0 && std::isfinite(c.rho))) fail("rho", "above 0", c.rho);
  if (!(c.s_noise >= 0 && std::isfinite(c.s_noise))) fail("s_noise", "0 or more", c.s_noise);
}

}  // namespace

std::shared_ptr<const Scheduler> make_cm_stochastic(const Json& json) {
  const auto config = read_config<CmConfig>(kCmStochasticName, json);
  check(config);
  return std::make_shared<CmScheduler>(config, json);
}

}  // namespace unnoise
