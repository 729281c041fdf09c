// Euler: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", algorithm 2 without
// its second order correction: the straight step along dx/dsigma, after fresh noise if asked for.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/linspace.h>
#include "unnoise/core/error.h"
#include "unnoise/schedulers/churn.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/sigma_solver.h"

namespace unnoise {
namespace {

constexpr auto kEulerName = "EulerDiscreteScheduler";

/// How the levels of the spaced timesteps come about where no grid is chosen.
enum class Interpolation {
  linear,      ///< from the table, linear between whole timesteps
  log_linear,  ///< equal steps in log sigma over the whole table, one more than there are timesteps
};
constexpr auto enum_names(Interpolation) {
  return std::array{std::pair{Interpolation::linear, "linear"}, std::pair{Interpolation::log_linear, "log_linear"}};
}

/// What the network is told.
enum class TimestepType {
  discrete,    ///< the training timestep
  continuous,  ///< log(sigma) / 4, for networks that predict v (Stable Video Diffusion)
};
constexpr auto enum_names(TimestepType) {
  return std::array{std::pair{TimestepType::discrete, "discrete"}, std::pair{TimestepType::continuous, "continuous"}};
}

/// Where the last step leads.
enum class FinalSigma {
  zero,       ///< to the clean picture
  sigma_min,  ///< to the lowest level of the table
};
constexpr auto enum_names(FinalSigma) {
  return std::array{std::pair{FinalSigma::zero, "zero"}, std::pair{FinalSigma::sigma_min, "sigma_min"}};
}

struct EulerConfig : SigmaConfig {
  Interpolation interpolation_type = Interpolation::linear;
  std::optional<double> sigma_min;
  std::optional<double> sigma_max;
  TimestepType timestep_type = TimestepType::discrete;
  FinalSigma final_sigmas_type = FinalSigma::zero;

  static constexpr auto fields() {
    using C = EulerConfig;
    return std::tuple_cat(
        SigmaConfig::fields(),
        std::tuple{
            field("rescale_betas_zero_snr", &C::rescale_betas_zero_snr,
                  "make the last timestep (all but) pure noise (Lin et al. 2023, algorithm 1)"),
            field("interpolation_type", &C::interpolation_type, "how sigma runs between the table's values"),
            field("sigma_min", &C::sigma_min, "lowest level of a Karras, exponential or beta grid, above 0"),
            field("sigma_max", &C::sigma_max, "highest level of such a grid"),
            field("timestep_type", &C::timestep_type, "continuous: v_prediction networks are told log(sigma) / 4"),
            field("final_sigmas_type", &C::final_sigmas_type, "where the last step leads"),
        });
  }
};

class EulerSolver final : public SigmaSolver {
 public:
  EulerSolver(PredictionType prediction_type, std::vector<float> sigmas, const Churn& churn)
      : SigmaSolver(prediction_type, sigmas), sigmas_(std::move(sigmas)), churn_(churn) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const auto i = static_cast<size_t>(step.index);
    const float sigma = sigmas_[i], sigma_next = sigmas_[i + 1];
    const float sigma_hat = churn_.sigma_hat(sigma, static_cast<int64_t>(sigmas_.size()) - 1);

    // diffusers adds the noise after the network's call, not before it as the paper does
    Tensor x_hat = x;
    if (sigma_hat > sigma)
      x_hat = at::add(x, rng.normal_like(x), churn_.noise * torch_sqrt(sigma_hat * sigma_hat - sigma * sigma));
    const Tensor x0 = denoised(x_hat, model_output, step, sigma_hat);
    return {toward(x_hat, x0, sigma_hat, sigma_next), x0};
  }

 private:
  const std::vector<float> sigmas_;
  const Churn churn_;
};

class EulerScheduler final : public SigmaScheduler<EulerConfig> {
 public:
  EulerScheduler(const EulerConfig& config, const Json& json) : SigmaScheduler(kEulerName, config, json) {}

  std::vector<std::string_view> run_options() const override {
    return {"timesteps", "sigmas", "s_churn", "s_tmin", "s_tmax", "s_noise"};
  }

 private:
  Run make_run(const StartOptions& options) const override {
    auto [timesteps, levels] = grid(options);
    double last = config_.final_sigmas_type == FinalSigma::zero ? 0 : table_.sigmas().front();
    if (options.sigmas) last = options.sigmas->back();
    auto sigmas = with_last(levels, last);

    std::vector<float> told(timesteps.begin(), timesteps.end());
    if (is_continuous())
      for (size_t i = 0; i < told.size(); ++i) told[i] = 0.25f * torch_log(sigmas[i]);
    const double first = init_noise_sigma(config_.timestep_spacing, sigmas);
    return Run(timestep_tensors(told), options.begin, first,
               std::make_unique<EulerSolver>(prediction_type, std::move(sigmas), Churn(options)));
  }

  bool is_continuous() const {
    return config_.timestep_type == TimestepType::continuous && prediction_type == PredictionType::v_prediction;
  }

  /// Without the level that the last step leads to; log_linear: one level more than timesteps, which is where it leads.
  SigmaGrid grid(const StartOptions& options) const {
    if (options.sigmas) {
      SigmaGrid out{{}, checked_sigmas(*options.sigmas)};
      out.sigmas.pop_back();
      for (const double sigma : out.sigmas) out.timesteps.push_back(table_.timestep(sigma));
      return out;
    }
    if (options.timesteps && is_continuous())
      throw usage_error("timesteps: a network with continuous timesteps is told log(sigma) / 4", "Give sigmas.");
    auto timesteps = rounded_to_float(sigma_timesteps(config_, options));
    const auto n = static_cast<int64_t>(timesteps.size());
    std::vector<double> sigmas =
        config_.interpolation_type == Interpolation::log_linear ? log_linear(n) : std::vector<double>{};
    if (sigmas.empty())
      for (const double t : timesteps) sigmas.push_back(table_.sigma(t));
    if (one_grid(kEulerName, config_).empty()) return {std::move(timesteps), std::move(sigmas)};
    return converted_grid(config_, table_,
                          {config_.sigma_min.value_or(sigmas.back()), config_.sigma_max.value_or(sigmas.front())}, n);
  }

  /// n + 1 levels, so that the last step leads to the table's lowest: models were tuned with it.
  std::vector<double> log_linear(int64_t n) const {
    const auto& logs = table_.log_sigmas();
    const Tensor sigmas = at::linspace(logs.back(), logs.front(), n + 1, at::kFloat).exp();
    return {sigmas.const_data_ptr<float>(), sigmas.const_data_ptr<float>() + n + 1};
  }
};

}  // namespace

std::shared_ptr<const Scheduler> make_euler(const Json& json) {
  return std::make_shared<EulerScheduler>(read_config<EulerConfig>(kEulerName, json), json);
}

}  // namespace unnoise
