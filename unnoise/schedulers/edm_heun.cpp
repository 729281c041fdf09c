// EDM's stochastic sampler: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models",
// algorithm 2, on a network that was trained with a table of betas. The fresh noise comes before the network's call.
#include <cmath>

#include "unnoise/schedulers/churn.h"
#include "unnoise/schedulers/heun.h"
#include "unnoise/schedulers/k_diffusion.h"

namespace unnoise {
namespace {

constexpr auto kEdmHeunName = "EDMHeunScheduler";

class EdmHeunScheduler final : public SigmaScheduler<KConfig> {
 public:
  EdmHeunScheduler(const KConfig& config, const Json& json) : SigmaScheduler(kEdmHeunName, config, json) {}

  std::vector<std::string_view> run_options() const override {
    return {"timesteps", "sigmas", "s_churn", "s_tmin", "s_tmax", "s_noise"};
  }

 private:
  Run make_run(const StartOptions& options) const override {
    const auto sigmas = with_last(k_grid(config_, table_, options).sigmas, k_last(options));
    const Churn churn(options);
    const auto n = static_cast<int64_t>(sigmas.size()) - 1;
    const auto fresh = [&](float sigma) -> std::optional<float> {  // what lifts sigma to sigma_hat
      const double hat = churn.sigma_hat(sigma, n);
      if (hat == sigma) return std::nullopt;
      return static_cast<float>(churn.noise * std::sqrt(hat * hat - static_cast<double>(sigma) * sigma));
    };
    std::vector<Stretch> stretches;
    for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
      const bool is_last = i + 2 == sigmas.size();
      stretches.push_back(
          {churn.sigma_hat(sigmas[i], n), sigmas[i + 1], is_last ? std::nullopt : fresh(sigmas[i + 1])});
    }
    // The initial noise is at the first level; a run that begins later is given a picture at its step's own level.
    const auto first_noise = options.begin == 0 ? fresh(sigmas.front()) : std::nullopt;
    return Run(heun_timesteps(table_, stretches), stretch_begin(options.begin),
               init_noise_sigma(config_.timestep_spacing, sigmas),
               std::make_unique<HeunSolver>(prediction_type, stretches, first_noise));
  }
};

}  // namespace

std::shared_ptr<const Scheduler> make_edm_heun(const Json& json) {
  return std::make_shared<EdmHeunScheduler>(with_karras_default(read_config<KConfig>(kEdmHeunName, json), json), json);
}

}  // namespace unnoise
