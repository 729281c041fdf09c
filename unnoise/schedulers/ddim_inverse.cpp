// DDIM run backwards, from a picture to the noise that DDIM turns into it: Song, Meng & Ermon 2021, section 5.4; Mokady
// et al. 2023, "Null-text Inversion", eq. 2. Start it from a picture, not from Run::first.
#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/discrete.h"

namespace unnoise {
namespace {

constexpr auto kDdimInverseName = "DDIMInverseScheduler";

struct DdimInverseConfig : DiscreteConfig {
  bool set_alpha_to_one = true;

  static constexpr auto fields() {
    return std::tuple_cat(NoiseOptions::fields(), GridOptions::fields(), prediction_field(), ClipOptions::fields(),
                          std::tuple{field("set_alpha_to_one", &DdimInverseConfig::set_alpha_to_one,
                                           "the first step begins at abar = 1 (else at abar of timestep 0)")});
  }
};

class DdimInverseSolver final : public DiscreteSolver {
 public:
  DdimInverseSolver(const DdimInverseConfig& config, NoiseSchedule noise, std::vector<int64_t> timesteps,
                    int64_t stride)
      : DiscreteSolver(config, std::move(noise), std::move(timesteps)),
        initial_abar_(config.set_alpha_to_one ? 1.0f : noise_.alpha_bar(0)),
        stride_(stride) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng&) override {
    const Tensor prediction = split_output(x, model_output).prediction;
    const NoiseLevel from = begin_of(step), to = noise_.level(t(step));
    // eq. 12 with eta = 0, read from right to left
    const Tensor x0 = limited(x0_from(config_.prediction_type, x, prediction, from));
    // The first x is clean, and x0 says nothing about eps there: take x for the picture at the level that the network
    // is told.
    const bool tells_eps = from.sigma > 0 || config_.prediction_type != PredictionType::sample;
    const Tensor eps = eps_from(config_.prediction_type, x, prediction, tells_eps ? from : to);
    return {to.alpha * x0 + to.sigma * eps, x0};
  }

  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override {
    return limited(x0_from(config_.prediction_type, x, split_output(x, model_output).prediction, begin_of(step)));
  }

 private:
  /// The network is told where the step leads to; x is T/N timesteps below.
  NoiseLevel begin_of(const Step& step) const {
    const int64_t from = t(step) - stride_;
    return from >= 0 ? noise_.level(from) : level_of(initial_abar_);
  }

  const float initial_abar_;
  const int64_t stride_;
};

class DdimInverseScheduler final : public Scheduler {
 public:
  DdimInverseScheduler(const DdimInverseConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kDdimInverseName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {}; }

 private:
  Run make_run(const StartOptions& options) const override {
    auto timesteps = spaced_timesteps(config_, options.steps, num_train_timesteps());
    std::reverse(timesteps.begin(), timesteps.end());
    auto tensors = timestep_tensors(timesteps);
    const int64_t stride = num_train_timesteps() / options.steps;
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<DdimInverseSolver>(config_, noise(), std::move(timesteps), stride));
  }

  const DdimInverseConfig config_;
};

/// The name that the first versions gave to set_alpha_to_one.
Json with_old_key_renamed(const Json& json) {
  if (!json.is_object() || !json.contains("set_alpha_to_zero")) return json;
  Json out = json;
  if (!out["set_alpha_to_zero"].is_null()) out["set_alpha_to_one"] = out["set_alpha_to_zero"];
  out.erase("set_alpha_to_zero");
  return out;
}

}  // namespace

std::shared_ptr<const Scheduler> make_ddim_inverse(const Json& json) {
  const Json renamed = with_old_key_renamed(json);
  const auto config = read_config<DdimInverseConfig>(kDdimInverseName, renamed);
  check_config(kDdimInverseName, config);
  if (config.timestep_spacing == TimestepSpacing::linspace)
    throw usage_error(
        fmt::format("{}: timestep_spacing: \"linspace\" is not one of leading, trailing", kDdimInverseName),
        "Set timestep_spacing to that of the DDIM run which is to lead back.");
  return std::make_shared<DdimInverseScheduler>(config, renamed);
}

}  // namespace unnoise
