// EDM's scale of noise and its preconditioned network: Karras et al. 2022, "Elucidating the Design Space of
// Diffusion-Based Generative Models". x = x0 + sigma n, no table of betas, any number of steps.
#pragma once

#include <vector>

#include "unnoise/schedulers/dpm_config.h"
#include "unnoise/schedulers/dpm_solver.h"
#include "unnoise/schedulers/prediction.h"

namespace unnoise {

enum class EdmSchedule { karras, exponential };

constexpr auto enum_names(EdmSchedule) {
  using enum EdmSchedule;
  return std::array{std::pair{karras, "karras"}, std::pair{exponential, "exponential"}};
}

/// Config keys of the EDM classes, in diffusers' names and with its defaults.
struct EdmConfig {
  double sigma_min = 0.002;
  double sigma_max = 80;
  double sigma_data = 0.5;
  EdmSchedule sigma_schedule = EdmSchedule::karras;
  int64_t num_train_timesteps = 1000;
  PredictionType prediction_type = PredictionType::epsilon;
  double rho = 7;
  FinalSigmas final_sigmas_type = FinalSigmas::zero;

  static constexpr auto fields() {
    using C = EdmConfig;
    return std::tuple{
        field("sigma_min", &C::sigma_min, "lowest level of noise, above 0"),
        field("sigma_max", &C::sigma_max, "highest level of noise"),
        field("sigma_data", &C::sigma_data, "standard deviation of the pictures"),
        field("sigma_schedule", &C::sigma_schedule,
              "karras: equal steps in sigma^(1/rho), eq. 5; exponential: in log sigma"),
        field("num_train_timesteps", &C::num_train_timesteps, "not used: levels are continuous"),
        field("prediction_type", &C::prediction_type, "epsilon: table 1; v_prediction: the other sign"),
        field("rho", &C::rho, "of karras: 7 = more steps at low noise"),
        field("final_sigmas_type", &C::final_sigmas_type, "where the last step leads: zero or sigma_min")};
  }
};

/// Throws Error::usage that names the key whose value cannot be.
void check_config(std::string_view class_name, const EdmConfig& config);

/// n levels, falling, float32. The classes of diffusers compute Karras' in float32 or, `wide`, in double. Error::usage
/// when n < 1.
std::vector<float> edm_sigmas(const EdmConfig& config, int64_t n, bool wide);
/// They and the level that the last step leads to; lambda = -log sigma.
DpmGrid edm_grid(std::vector<float> sigmas, float final_sigma);
/// What the network is told of each level, table 1: c_noise = log(sigma) / 4. 0-dim float32.
std::vector<Tensor> edm_timesteps(const std::vector<float>& sigmas);

/// Standard deviation of the initial noise.
double edm_init_noise_sigma(const EdmConfig& config);

/// Table 1: the network sees c_in x, and x0 = c_skip x + c_out F (eq. 7).
struct EdmScale {
  float c_in, c_skip, c_out;

  Tensor x0(const Tensor& x, const Tensor& output) const;
};
EdmScale edm_scale(const EdmConfig& config, float sigma);
std::vector<EdmScale> edm_scales(const EdmConfig& config, const std::vector<float>& sigmas);

/// A multistep method over the x0 of such a network.
class EdmMultistepSolver : public DpmMultistepSolver {
 public:
  EdmMultistepSolver(const EdmConfig& config, const ThresholdOptions& threshold, DpmGrid grid, DpmPlan plan,
                     bool stochastic)
      : DpmMultistepSolver(config.prediction_type, threshold, Integrand::x0, std::move(grid), std::move(plan),
                           stochastic),
        config_(config),
        scales_(edm_scales(config, grid_.sigmas)) {}

  Tensor input(const Tensor& x, const Step& step) const override { return x.mul(scale(step).c_in); }

 protected:
  Tensor raw_x0(const Tensor& x, const Tensor& prediction, const Step& step) const override {
    return scale(step).x0(x, prediction);
  }

  const EdmConfig config_;

 private:
  const EdmScale& scale(const Step& step) const { return scales_[static_cast<size_t>(step.index)]; }

  const std::vector<EdmScale> scales_;
};

}  // namespace unnoise
