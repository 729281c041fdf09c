// What k-diffusion's methods have in common: they walk in sigma, the standard deviation of the noise on a picture that
// is not scaled down (x / alpha), x = x0 + sigma eps. Karras et al. 2022, "Elucidating the Design Space of
// Diffusion-Based Generative Models".
#pragma once

#include <optional>

#include "unnoise/schedulers/sigma_grids.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {

/// Config keys that most of the classes share, in diffusers' names and with its defaults.
struct SigmaConfig : NoiseOptions, GridOptions, SigmaGridOptions {
  PredictionType prediction_type = PredictionType::epsilon;

  SigmaConfig() { timestep_spacing = TimestepSpacing::linspace; }

  static constexpr auto prediction_field() {
    return std::tuple{field("prediction_type", &SigmaConfig::prediction_type, "what the network predicts")};
  }
  static constexpr auto fields() {
    return std::tuple_cat(NoiseOptions::beta_fields(), prediction_field(), SigmaGridOptions::fields(),
                          GridOptions::fields());
  }
};

/// The same with Stable Diffusion's betas, which diffusers' second order classes start from.
struct LatentSigmaConfig : SigmaConfig {
  LatentSigmaConfig() {
    beta_start = 0.00085;
    beta_end = 0.012;
  }
};

/// Throws Error::usage that names the key whose value cannot be, and where a level of the table is not finite.
void check_config(std::string_view class_name, const SigmaConfig& config, const SigmaTable& table);

/// The user's timesteps, checked (0 to T-1, falling; fractions are fine), else spaced ones, from noise to picture. The
/// spacing "linspace" is not rounded to whole timesteps here.
std::vector<double> sigma_timesteps(const SigmaConfig& config, const StartOptions& options);
/// The user's noise levels, checked: at least two, falling, above 0 but for the last.
std::vector<double> checked_sigmas(const std::vector<double>& sigmas);
/// To float32, as the classes of diffusers hold their timesteps.
std::vector<double> rounded_to_float(std::vector<double> values);

/// N levels, falling, and what the network is told at each.
struct SigmaGrid {
  std::vector<double> timesteps;
  std::vector<double> sigmas;
};

/// What the Karras, exponential and beta grids span; diffusers takes the ends of the spaced timesteps.
struct SigmaRange {
  double min;
  double max;
};

/// The levels of `timesteps`, or those of the config's grid between the first and the last of them.
SigmaGrid sigma_grid(const SigmaConfig& config, const SigmaTable& table, std::vector<double> timesteps);
/// n levels of the config's Karras, exponential or beta grid. Error::usage unless 0 < min <= max.
SigmaGrid converted_grid(const SigmaConfig& config, const SigmaTable& table, SigmaRange range, int64_t n,
                         double rho = 7);

/// The levels as float32 and behind them where the last step leads.
std::vector<float> with_last(const std::vector<double>& sigmas, double last = 0);

/// The standard deviation of the noise that a run begins with: the highest level, or, where the spacing begins below
/// full noise, that of x0 (about 1) and the noise together.
double init_noise_sigma(TimestepSpacing spacing, const std::vector<float>& sigmas);

/// Methods with two calls of the network a stretch share one network call's index between them: a run that is told to
/// begin at the second call begins with the next stretch.
inline int64_t stretch_begin(int64_t begin) { return begin > 0 ? begin + begin % 2 : begin; }

/// The table and the config of one scheduler.
template <class Config>
class SigmaScheduler : public Scheduler {
 protected:
  SigmaScheduler(const char* class_name, const Config& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, class_name, json, to_json(config)),
        config_(config),
        table_(noise()) {
    check_config(class_name, config, table_);
  }

  const Config config_;
  const SigmaTable table_;
};

class SigmaSolver : public Solver {
 public:
  /// `levels`: sigma at each call of the network; `sigmas`: what sigmas() tells.
  SigmaSolver(PredictionType prediction_type, std::vector<float> levels, std::vector<float> sigmas);
  /// One call a step: the levels are the sigmas but for the last.
  SigmaSolver(PredictionType prediction_type, std::vector<float> sigmas);

  Tensor input(const Tensor& x, const Step& step) const override;
  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override;
  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override;
  std::vector<double> sigmas() const override { return {sigmas_.begin(), sigmas_.end()}; }

 protected:
  float level(const Step& step) const { return levels_[static_cast<size_t>(step.index)]; }
  /// x0 where x was noised up to `sigma` after the network saw it; v still belongs to the level that the network saw.
  Tensor denoised(const Tensor& x, const Tensor& model_output, const Step& step, float sigma) const;

 private:
  const PredictionType prediction_type_;
  const std::vector<float> levels_, sigmas_;
  std::vector<float> input_scale_;  // sqrt(sigma^2 + 1)
};

/// Euler's step of dx/dsigma = (x - x0) / sigma (Karras et al. 2022, eq. 3) from sigma to sigma_next: a part of the way
/// from x to x0, all of it where sigma_next = 0.
Tensor toward(const Tensor& x, const Tensor& x0, double sigma, double sigma_next);

/// An ancestral step from sigma to sigma_next goes down further, to `down`, and adds noise of standard deviation `up`:
/// down^2 + up^2 = sigma_next^2. eta 0 is deterministic, 1 is DDPM's posterior.
struct AncestralStep {
  float down;
  float up;
};
AncestralStep ancestral_step(float sigma, float sigma_next, double eta = 1);

}  // namespace unnoise
