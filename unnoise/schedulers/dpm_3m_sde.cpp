// DPM++ 3M SDE of k-diffusion (Crowson 2023): the third order multistep solver of Lu et al. 2022, "DPM-Solver++",
// section 5, for the SDE. With h the step in lambda = -log sigma, h_eta = (1 + eta) h, and x0', x0'' the derivatives of
// x0 by lambda:
//
//   x' = e^-h_eta x + (1 - e^-h_eta) x0 + h phi_2 x0' - h^2 phi_3 x0'' + sigma' sqrt(1 - e^(-2 eta h)) z
//   phi_2 = (e^-h_eta - 1) / h_eta + 1,   phi_3 = phi_2 / h_eta - 1/2
//
// k-diffusion takes half of x0'' (a divided difference for the derivative), which leaves the method at second order.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <fmt/format.h>

#include <cmath>
#include <deque>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/brownian_tree.h"
#include "unnoise/schedulers/churn.h"
#include "unnoise/schedulers/k_diffusion.h"

namespace unnoise {
namespace {

constexpr auto kDpm3mSdeName = "DPMSolver3MSDEScheduler";

struct Dpm3mSdeConfig : KConfig {
  std::optional<int64_t> noise_sampler_seed;

  static constexpr auto fields() {
    return std::tuple_cat(
        KConfig::fields(),
        std::tuple{field("noise_sampler_seed", &Dpm3mSdeConfig::noise_sampler_seed,
                         "seed of the noise between the levels, 0 or more; default: drawn from the run's own")});
  }
};

class Dpm3mSdeSolver final : public SigmaSolver {
 public:
  Dpm3mSdeSolver(PredictionType prediction_type, const std::vector<float>& sigmas, double eta, double s_noise,
                 std::optional<int64_t> seed)
      : SigmaSolver(prediction_type, sigmas), sigmas_(sigmas), eta_(eta), s_noise_(s_noise), seed_(seed) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const auto i = static_cast<size_t>(step.index);
    const double sigma = sigmas_[i], sigma_next = sigmas_[i + 1];
    const Tensor x0 = this->x0(x, model_output, step);
    if (eta_ > 0 && !noise_ && sigmas_.size() > 2) noise_.emplace(x, lowest(), sigmas_.front(), seed_, rng);
    if (sigma_next == 0) return {x0, x0};

    const double h = std::log(sigma / sigma_next), h_eta = h * (1 + eta_);
    if (!(h > 0)) return {x, x0};  // two steps at one level
    Tensor next = at::add(x * std::exp(-h_eta), x0, -std::expm1(-h_eta));
    const double phi_2 = std::expm1(-h_eta) / h_eta + 1, phi_3 = phi_2 / h_eta - 0.5;
    if (past_.size() == 2) {
      const double r0 = past_[0].h / h, r1 = past_[1].h / h;
      const Tensor d0 = (x0 - past_[0].x0) / r0, d1 = (past_[0].x0 - past_[1].x0) / r1;
      const Tensor second = (d0 - d1) / (r0 + r1);  // h^2 x0'' / 2
      next = at::add(next, at::add(d0, second, r0), phi_2);
      next = at::add(next, second, -2 * phi_3);
    } else if (past_.size() == 1) {
      next = at::add(next, x0 - past_[0].x0, phi_2 * h / past_[0].h);
    }
    if (eta_ > 0)
      next = at::add(next, (*noise_)(sigmas_[i], sigmas_[i + 1]),
                     s_noise_ * sigma_next * std::sqrt(-std::expm1(-2 * h * eta_)));
    past_.push_front({x0, h});
    if (past_.size() > 2) past_.pop_back();
    return {next, x0};
  }

 private:
  struct Past {
    Tensor x0;
    double h;  // the step in lambda that followed it
  };

  float lowest() const { return sigmas_.back() > 0 ? sigmas_.back() : sigmas_[sigmas_.size() - 2]; }

  const std::vector<float> sigmas_;
  const double eta_, s_noise_;
  const std::optional<int64_t> seed_;
  std::optional<BrownianNoise> noise_;
  std::deque<Past> past_;  // the newest first
};

class Dpm3mSdeScheduler final : public SigmaScheduler<Dpm3mSdeConfig> {
 public:
  Dpm3mSdeScheduler(const Dpm3mSdeConfig& config, const Json& json) : SigmaScheduler(kDpm3mSdeName, config, json) {
    check_noise_seed(kDpm3mSdeName, config.noise_sampler_seed);
  }

  std::vector<std::string_view> run_options() const override { return {"timesteps", "sigmas", "eta", "s_noise"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const double eta = options.eta.value_or(1);
    if (!(eta >= 0 && std::isfinite(eta))) throw usage_error(fmt::format("eta: expected 0 or more, found {}", eta));
    check_s_noise(options.s_noise);
    const auto grid = k_grid(config_, table_, options);
    const auto sigmas = with_last(grid.sigmas, k_last(options));
    return Run(
        timestep_tensors(grid.timesteps), options.begin, init_noise_sigma(config_.timestep_spacing, sigmas),
        std::make_unique<Dpm3mSdeSolver>(prediction_type, sigmas, eta, options.s_noise, config_.noise_sampler_seed));
  }
};

}  // namespace

std::shared_ptr<const Scheduler> make_dpm_3m_sde(const Json& json) {
  return std::make_shared<Dpm3mSdeScheduler>(read_config<Dpm3mSdeConfig>(kDpm3mSdeName, json), json);
}

}  // namespace unnoise
