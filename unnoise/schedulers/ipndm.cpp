// IPNDM: the multistep method of Liu et al. 2022 (see pndm.cpp) with lower orders at first in place of Runge-Kutta, on
// the path x = alpha x0 + sigma eps with sigma = sin^2(pi s / 2), s from 1 to 0, that "Improved PNDM" models were
// trained on (Crowson 2022, v-diffusion). The network predicts v.
#include <ATen/TensorOperators.h>
#include <ATen/ops/atan2.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <numbers>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/adams_bashforth.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {
namespace {

constexpr auto kIpndmName = "IPNDMScheduler";
constexpr float kSmallestAlpha = 1e-8f;  // pure noise has alpha = 0

struct IpndmConfig {
  int64_t num_train_timesteps = 1000;
  std::optional<std::vector<double>> trained_betas;

  static constexpr auto fields() {
    using C = IpndmConfig;
    return std::tuple{
        field("num_train_timesteps", &C::num_train_timesteps, "timesteps of the forward process"),
        field("trained_betas", &C::trained_betas, "sigma at each step and at the end, instead of spaced ones")};
  }
};

class IpndmSolver final : public Solver {
 public:
  /// One level for each step, and the end.
  explicit IpndmSolver(std::vector<NoiseLevel> levels) : levels_(std::move(levels)) {}

  StepResult step(const Tensor& x, const Tensor& v, const Step& step, Rng&) override {
    const NoiseLevel from = level(step), to = levels_[static_cast<size_t>(step.index) + 1];
    slopes_.add(eps_from(PredictionType::v_prediction, x, v, from));
    const Tensor eps = slopes_.combined();
    const Tensor x0 = (x - from.sigma * eps) / std::max(from.alpha, kSmallestAlpha);
    return {(to.alpha * x0).add_(eps, to.sigma), this->x0(x, v, step)};
  }

  Tensor x0(const Tensor& x, const Tensor& v, const Step& step) const override {
    return x0_from(PredictionType::v_prediction, x, v, level(step));
  }
  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override {
    return (level(step).alpha * x0).add_(noise, level(step).sigma);
  }

 private:
  NoiseLevel level(const Step& step) const { return levels_[static_cast<size_t>(step.index)]; }

  const std::vector<NoiseLevel> levels_;
  AdamsBashforth slopes_;
};

class IpndmScheduler final : public Scheduler {
 public:
  IpndmScheduler(const IpndmConfig& config, const Json& json)
      : Scheduler(config.num_train_timesteps, PredictionType::v_prediction, kIpndmName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {}; }

 private:
  Run make_run(const StartOptions& options) const override {
    if (options.steps < 1 || options.steps > 1'000'000)
      throw usage_error(fmt::format("number of sampling steps: expected 1 to 1000000, found {}", options.steps));
    const Tensor sigmas = this->sigmas(options.steps).contiguous();
    const Tensor alphas = (1.0 - sigmas.square()).sqrt();
    const Tensor timesteps = at::atan2(sigmas, alphas) / std::numbers::pi * 2;
    std::vector<NoiseLevel> levels;
    std::vector<float> told;
    for (int64_t i = 0; i <= options.steps; ++i) {
      levels.push_back({alphas.const_data_ptr<float>()[i], sigmas.const_data_ptr<float>()[i]});
      if (i < options.steps) told.push_back(timesteps.const_data_ptr<float>()[i]);
    }
    return Run(timestep_tensors(told), options.begin, 1.0, std::make_unique<IpndmSolver>(std::move(levels)));
  }

  /// [steps + 1], falling to 0.
  Tensor sigmas(int64_t steps) const {
    if (!config_.trained_betas)
      return (at::linspace(1, 0, steps + 1, at::kFloat) * std::numbers::pi / 2).sin().square();
    const auto& betas = *config_.trained_betas;
    if (static_cast<int64_t>(betas.size()) != steps + 1)
      throw usage_error(fmt::format("{}: trained_betas: {} steps need {} values, found {}", kIpndmName, steps,
                                    steps + 1, betas.size()),
                        fmt::format("Ask for {} steps.", betas.size() - 1));
    return at::tensor(betas, at::kFloat);
  }

  const IpndmConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_ipndm(const Json& json) {
  const auto config = read_config<IpndmConfig>(kIpndmName, json);
  if (config.num_train_timesteps < 1)
    throw usage_error(
        fmt::format("{}: num_train_timesteps: expected at least 1, found {}", kIpndmName, config.num_train_timesteps));
  if (config.trained_betas) {
    const auto& betas = *config.trained_betas;
    for (size_t i = 0; i < betas.size(); ++i)
      if (!(betas[i] >= 0 && betas[i] <= 1) || (i > 0 && betas[i] >= betas[i - 1]))
        throw usage_error(
            fmt::format("{}: trained_betas: expected a list that falls from at most 1 to at least 0, found {}",
                        kIpndmName, betas[i]),
            "They are this class's noise levels, not another scheduler's betas; leave them out.");
    if (betas.size() < 2)
      throw usage_error(
          fmt::format("{}: trained_betas: expected at least 2 values, found {}", kIpndmName, betas.size()));
  }
  return std::make_shared<IpndmScheduler>(config, json);
}

}  // namespace unnoise
