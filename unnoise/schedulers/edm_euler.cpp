// EDM's sampler without its second order correction: Karras et al. 2022, algorithm 2, lines 4 to 8.
#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/churn.h"
#include "unnoise/schedulers/edm.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/weighted_sum.h"

namespace unnoise {
namespace {

constexpr auto kEdmEulerName = "EDMEulerScheduler";

class EdmEulerSolver final : public Solver {
 public:
  EdmEulerSolver(const EdmConfig& config, std::vector<float> sigmas, const Churn& churn)
      : config_(config), sigmas_(std::move(sigmas)), scales_(edm_scales(config, sigmas_)), churn_(churn) {}

  Tensor input(const Tensor& x, const Step& step) const override { return x.mul(scale(step).c_in); }

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const Tensor output = split_output(x, model_output).prediction;
    const float sigma = this->sigma(step), sigma_hat = churn_.sigma_hat(sigma, steps());
    const float sigma_next = sigmas_[static_cast<size_t>(step.index) + 1];
    if (sigma_hat == sigma) return euler(x, scale(step).x0(x, output), sigma, sigma_next);
    const float added = torch_sqrt(sigma_hat * sigma_hat - sigma * sigma);
    const Tensor x_hat = x + rng.normal_like(x) * churn_.noise * added;
    return euler(x_hat, edm_scale(config_, sigma_hat).x0(x_hat, output), sigma_hat, sigma_next);
  }

  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override {
    return scale(step).x0(x, split_output(x, model_output).prediction);
  }
  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override {
    return x0 + noise * sigma(step);
  }
  std::vector<double> sigmas() const override { return {sigmas_.begin(), sigmas_.end()}; }

 private:
  static StepResult euler(const Tensor& x, const Tensor& x0, float sigma, float sigma_next) {
    const Tensor d = weighted_sum(1, x, -1, x0, sigma);
    return {weighted_sum(1, x, sigma_next - sigma, d), x0};
  }

  int64_t steps() const { return static_cast<int64_t>(sigmas_.size()) - 1; }
  const EdmScale& scale(const Step& step) const { return scales_[static_cast<size_t>(step.index)]; }
  float sigma(const Step& step) const { return sigmas_[static_cast<size_t>(step.index)]; }

  const EdmConfig config_;
  const std::vector<float> sigmas_;
  const std::vector<EdmScale> scales_;
  const Churn churn_;
};

/// A list of a user, the last level included.
std::vector<float> float_sigmas(const std::vector<double>& sigmas) {
  if (sigmas.size() < 2) throw usage_error("own sigmas: expected at least two, the last level included");
  for (size_t i = 0; i < sigmas.size(); ++i)
    if (!(sigmas[i] >= 0 && sigmas[i] < 1e15) || (i > 0 && sigmas[i] >= sigmas[i - 1]))
      throw usage_error(fmt::format("own sigmas: expected a falling list that ends at 0 or above, found {}{}",
                                    sigmas[i], i > 0 ? fmt::format(" after {}", sigmas[i - 1]) : ""));
  return {sigmas.begin(), sigmas.end()};
}

class EdmEulerScheduler final : public Scheduler {
 public:
  EdmEulerScheduler(const EdmConfig& config, const Json& json)
      : Scheduler(config.num_train_timesteps, config.prediction_type, kEdmEulerName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override {
    return {"sigmas", "s_churn", "s_tmin", "s_tmax", "s_noise"};
  }

 private:
  Run make_run(const StartOptions& options) const override {
    std::vector<float> sigmas;
    if (options.sigmas) {
      sigmas = float_sigmas(*options.sigmas);
    } else {
      sigmas = edm_sigmas(config_, options.steps, true);
      sigmas.push_back(config_.final_sigmas_type == FinalSigmas::zero ? 0 : sigmas.back());
    }
    auto timesteps = edm_timesteps({sigmas.begin(), sigmas.end() - 1});
    return Run(std::move(timesteps), options.begin, edm_init_noise_sigma(config_),
               std::make_unique<EdmEulerSolver>(config_, std::move(sigmas), Churn(options)));
  }

  const EdmConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_edm_euler(const Json& json) {
  const auto config = read_config<EdmConfig>(kEdmEulerName, json);
  check_config(kEdmEulerName, config);
  return std::make_shared<EdmEulerScheduler>(config, json);
}

}  // namespace unnoise
