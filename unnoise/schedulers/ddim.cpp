// DDIM: Song, Meng & Ermon 2021, "Denoising Diffusion Implicit Models". Deterministic for eta = 0, DDPM's posterior for
// eta = 1. Names below: abar = alphas_cumprod (the paper's alpha), prev = the timestep that the step leads to.
#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/discrete.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/weighted_sum.h"

namespace unnoise {
namespace {

constexpr auto kDdimName = "DDIMScheduler";

struct DdimConfig : DiscreteConfig {
  bool set_alpha_to_one = true;

  static constexpr auto fields() {
    return std::tuple_cat(DiscreteConfig::fields(),
                          std::tuple{field("set_alpha_to_one", &DdimConfig::set_alpha_to_one,
                                           "the last step leads to abar = 1 (else to abar of timestep 0)")});
  }
};

class DdimSolver final : public DiscreteSolver {
 public:
  /// `stride` > 0: each step leads from t to t - stride, whatever the grid holds; 0: to the grid's next timestep.
  DdimSolver(const DdimConfig& config, NoiseSchedule noise, std::vector<int64_t> timesteps, int64_t stride,
             const StartOptions& options)
      : DiscreteSolver(config, std::move(noise), std::move(timesteps)),
        final_abar_(config.set_alpha_to_one ? 1.0f : noise_.alpha_bar(0)),
        final_level_(config.set_alpha_to_one ? NoiseLevel{1, 0} : noise_.level(0)),
        stride_(stride),
        eta_(static_cast<float>(options.eta.value_or(0))),
        use_clipped_model_output_(options.use_clipped_model_output) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const Tensor prediction = split_output(x, model_output).prediction;
    const int64_t t = this->t(step), prev = stride_ > 0 ? t - stride_ : next_t(step);
    const float abar_t = noise_.alpha_bar(t);
    const float abar_prev = prev >= 0 ? noise_.alpha_bar(prev) : final_abar_;

    const Tensor x0 = limited(raw_x0(x, prediction, step));
    const Tensor eps = use_clipped_model_output_ ? eps_from(PredictionType::sample, x, x0, noise_.level(t))
                                                 : eps_from(config_.prediction_type, x, prediction, noise_.level(t));

    const float sigma = eta_ == 0 ? 0 : this->sigma(abar_t, abar_prev);
    // eq. 12: "predicted x0" + "direction pointing to x_t" + "random noise"
    const NoiseLevel at_prev = prev >= 0 ? noise_.level(prev) : final_level_;
    const float direction = eta_ == 0 ? at_prev.sigma : torch_sqrt(std::max(1 - abar_prev - sigma * sigma, 0.0f));
    Tensor next = weighted_sum(at_prev.alpha, x0, direction, eps);
    if (eta_ > 0) next = weighted_sum(1, next, sigma, rng.normal_like(x));
    return {next, x0};
  }

 private:
  /// eq. 16
  float sigma(float abar_t, float abar_prev) const {
    return eta_ * torch_sqrt((1 - abar_prev) / (1 - abar_t) * (1 - abar_t / abar_prev));
  }

  const float final_abar_;
  const NoiseLevel final_level_;
  const int64_t stride_;
  const float eta_;
  const bool use_clipped_model_output_;
};

class DdimScheduler final : public Scheduler {
 public:
  DdimScheduler(const DdimConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kDdimName, json, to_json(config)), config_(config) {}

  std::vector<std::string_view> run_options() const override {
    return {"eta", "use_clipped_model_output", "timesteps"};
  }

 private:
  Run make_run(const StartOptions& options) const override {
    const double eta = options.eta.value_or(0);
    if (!(eta >= 0 && eta <= 1))
      throw usage_error(fmt::format("eta: expected 0 to 1, found {}", eta),
                        "0 is deterministic, 1 is as noisy as DDPM.");
    const int64_t train = num_train_timesteps();
    auto timesteps = choose_timesteps(options, config_, train);
    refuse_pure_noise(config_, noise(), timesteps, options.begin);
    auto tensors = timestep_tensors(timesteps);
    // diffusers steps by T/N even where the spacing is another one; the pictures of a seed depend on it.
    const int64_t stride = options.timesteps ? 0 : train / options.steps;
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<DdimSolver>(config_, noise(), std::move(timesteps), stride, options));
  }

  const DdimConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_ddim(const Json& json) {
  const auto config = read_config<DdimConfig>(kDdimName, json);
  check_config(kDdimName, config);
  return std::make_shared<DdimScheduler>(config, json);
}

}  // namespace unnoise
