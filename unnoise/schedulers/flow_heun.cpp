// Flow matching with Heun's method: the slope of a step is the mean of those at both its ends. With s_churn, fresh
// noise before each step, after Karras et al. 2022, "Elucidating the Design Space", algorithm 2.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/flow.h"
#include "unnoise/schedulers/scalar_math.h"

namespace unnoise {
namespace {

constexpr auto kFlowHeunName = "FlowMatchHeunDiscreteScheduler";

struct FlowHeunConfig : FlowConfig {
  static constexpr auto fields() { return shift_fields(); }
};

/// Each step has two calls, at its begin and at its end; the last, whose end is clean, has one. `sigmas` are those of
/// the calls, the end behind them, as in diffusers: s0 s1 s1 s2 s2 ... 0.
class FlowHeunSolver final : public FlowSolver {
 public:
  FlowHeunSolver(std::vector<float> sigmas, const StartOptions& options)
      : FlowSolver(std::move(sigmas), false),
        churn_(options.s_churn),
        t_min_(static_cast<float>(options.s_tmin)),
        t_max_(static_cast<float>(options.s_tmax.value_or(std::numeric_limits<double>::infinity()))),
        s_noise_(options.s_noise) {}

  StepResult step(const Tensor& x, const Tensor& v, const Step& step, Rng& rng) override {
    const bool is_first = step.index % 2 == 0;
    const Tensor wide = widened(x);
    const auto begin = static_cast<size_t>(step.index - (is_first ? 0 : 1));
    const float sigma = sigmas_[begin], sigma_next = sigmas_[begin + 1];
    const Tensor x0 = this->x0(wide, v, step);
    const float gamma = churn(sigma);
    const float sigma_hat = sigma * (gamma + 1);
    Tensor noise;
    if (gamma > 0) noise = rng.normal_like(wide);  // also for the second call, which has no use for it, as in diffusers
    if (is_first) {
      x_ = gamma > 0 ? at::add(wide, noise, s_noise_ * torch_sqrt(sigma_hat * sigma_hat - sigma * sigma)) : wide;
      slope_ = gamma > 0 ? v * (sigma / sigma_hat) : v;
      ds_ = sigma_next - sigma_hat;
      return {at::add(x_, slope_, ds_).to(v.scalar_type()), x0};
    }
    if (!x_.defined()) return {x.to(v.scalar_type()), x0};  // begun halfway: x is at this step's end already
    return {at::add(x_, slope_ + v, 0.5f * ds_).to(v.scalar_type()), x0};
  }

 private:
  float churn(float sigma) const {
    if (!(t_min_ <= sigma && sigma <= t_max_)) return 0;
    return static_cast<float>(std::min(churn_ / static_cast<double>(sigmas_.size() - 1), std::sqrt(2.0) - 1));
  }

  const double churn_;
  const float t_min_, t_max_;  // float32 like sigma, so that a bound on the grid counts as inside
  const double s_noise_;
  Tensor x_;      ///< where the step begins
  Tensor slope_;  ///< there
  float ds_ = 0;
};

class FlowHeunScheduler final : public Scheduler {
 public:
  FlowHeunScheduler(const FlowHeunConfig& config, const Json& json)
      : Scheduler(config.num_train_timesteps, PredictionType::flow_prediction, kFlowHeunName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {"s_churn", "s_tmin", "s_tmax", "s_noise"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    if (!(options.s_churn >= 0))
      throw usage_error(fmt::format("s_churn: expected 0 or more, found {}", options.s_churn));
    const FlowGrid grid = flow_grid(kFlowHeunName, config_, options);
    std::vector<float> timesteps, sigmas;
    for (size_t i = 0; i < grid.timesteps.size(); ++i)
      for (int call = i == 0 ? 1 : 0; call < 2; ++call) {
        timesteps.push_back(grid.timesteps[i]);
        sigmas.push_back(grid.sigmas[i]);
      }
    sigmas.push_back(grid.sigmas.back());
    return Run(timestep_tensors(timesteps), options.begin, 1.0,
               std::make_unique<FlowHeunSolver>(std::move(sigmas), options));
  }

  const FlowHeunConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_flow_heun(const Json& json) {
  const auto config = read_config<FlowHeunConfig>(kFlowHeunName, json);
  check_flow(kFlowHeunName, config);
  return std::make_shared<FlowHeunScheduler>(config, json);
}

}  // namespace unnoise
