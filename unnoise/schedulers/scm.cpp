// SCM: Lu & Song 2025, "Simplifying, Stabilizing and Scaling Continuous-Time Consistency Models", with TrigFlow's path
// x_t = cos(t) x0 + sin(t) z, t from pi/2 to 0. The network jumps to the clean picture; each step adds fresh noise.
#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/sigma_grids.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {
namespace {

constexpr auto kScmName = "SCMScheduler";
constexpr double kFirst = 1.5708;  // nearly pi/2: pure noise
constexpr double kMiddle = 1.3;    // where two steps meet: Chen et al. 2025, "SANA-Sprint"

enum class TrigPrediction {
  trigflow
};  // F = dx/dt = cos(t) z - sin(t) x0, which is v at alpha = cos(t), sigma = sin(t)

constexpr auto enum_names(TrigPrediction) { return std::array{std::pair{TrigPrediction::trigflow, "trigflow"}}; }

struct ScmConfig {
  int64_t num_train_timesteps = 1000;
  TrigPrediction prediction_type = TrigPrediction::trigflow;
  double sigma_data = 0.5;

  static constexpr auto fields() {
    using C = ScmConfig;
    return std::tuple{
        field("num_train_timesteps", &C::num_train_timesteps, "most steps that a run may have"),
        field("prediction_type", &C::prediction_type, "what the network predicts"),
        field("sigma_data", &C::sigma_data, "standard deviation of the training pictures and of the noise")};
  }
};

class ScmSolver final : public Solver {
 public:
  /// `times`: where each step begins, and the end.
  ScmSolver(std::vector<float> times, double sigma_data) : times_(std::move(times)), sigma_data_(sigma_data) {}

  /// Algorithm 1 of the sampling of Song et al. 2023, on this path
  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const Tensor x0 = this->x0(x, model_output, step);
    return {mixed(x0, rng.normal_like(x), static_cast<size_t>(step.index) + 1), x0};
  }
  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override {
    const NoiseLevel at = level(static_cast<size_t>(step.index));
    return x0_from(PredictionType::v_prediction, x, model_output, at);
  }
  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override {
    return mixed(x0, noise, static_cast<size_t>(step.index));
  }

 private:
  NoiseLevel level(size_t i) const { return {std::cos(times_[i]), std::sin(times_[i])}; }
  Tensor mixed(const Tensor& x0, const Tensor& noise, size_t i) const {
    return (level(i).alpha * x0).add_(noise, level(i).sigma * sigma_data_);
  }

  const std::vector<float> times_;
  const double sigma_data_;
};

class ScmScheduler final : public Scheduler {
 public:
  ScmScheduler(const ScmConfig& config, const Json& json)
      : Scheduler(config.num_train_timesteps, PredictionType::v_prediction, kScmName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {"timesteps"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const auto times = options.timesteps ? checked(*options.timesteps) : spaced(options.steps);
    std::vector<float> narrow(times.begin(), times.end());
    const std::vector<float> told(narrow.begin(), narrow.end() - 1);
    return Run(timestep_tensors(told), options.begin, 1.0,
               std::make_unique<ScmSolver>(std::move(narrow), config_.sigma_data));
  }

  std::vector<double> spaced(int64_t steps) const {
    if (steps < 1 || steps > num_train_timesteps())
      throw usage_error(
          fmt::format("number of sampling steps: expected 1 to {}, found {}", num_train_timesteps(), steps));
    if (steps == 2) return {kFirst, kMiddle, 0};
    return linspace(kFirst, 0, steps + 1);
  }

  static std::vector<double> checked(const std::vector<double>& times) {
    if (times.size() < 2)
      throw usage_error("custom timesteps: expected where each step begins, and the end; at least 2 numbers");
    for (size_t i = 0; i < times.size(); ++i)
      if (!(times[i] >= 0 && times[i] <= kFirst) || (i > 0 && times[i] >= times[i - 1]))
        throw usage_error(fmt::format("custom timesteps: expected a list that falls from at most {} to 0, found {}",
                                      kFirst, times[i]));
    return times;
  }

  const ScmConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_scm(const Json& json) {
  const auto config = read_config<ScmConfig>(kScmName, json);
  if (config.num_train_timesteps < 1)
    throw usage_error(
        fmt::format("{}: num_train_timesteps: expected at least 1, found {}", kScmName, config.num_train_timesteps));
  if (!(config.sigma_data > 0 && config.sigma_data < 1e18))
    throw usage_error(fmt::format("{}: sigma_data: expected above 0, found {}", kScmName, config.sigma_data));
  return std::make_shared<ScmScheduler>(config, json);
}

}  // namespace unnoise
