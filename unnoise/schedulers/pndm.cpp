// PNDM: Liu, Ren, Lin & Zhao 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds". A linear multistep
// method that needs three steps of history; Runge-Kutta makes them (four calls a step), or, with skip_prk_steps as in
// Stable Diffusion, one extra call and a growing order. Names below: abar = alphas_cumprod.
#include <ATen/TensorOperators.h>

#include <algorithm>

#include "unnoise/schedulers/adams_bashforth.h"
#include "unnoise/schedulers/discrete.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/weighted_sum.h"

namespace unnoise {
namespace {

constexpr auto kPndmName = "PNDMScheduler";

struct PndmConfig : DiscreteConfig {
  bool skip_prk_steps = false;
  bool set_alpha_to_one = false;

  PndmConfig() { clip_sample = false; }

  static constexpr auto fields() {
    return std::tuple_cat(NoiseOptions::beta_fields(),
                          std::tuple{field("skip_prk_steps", &PndmConfig::skip_prk_steps,
                                           "begin with an Euler step that is taken twice, not with Runge-Kutta"),
                                     field("set_alpha_to_one", &PndmConfig::set_alpha_to_one,
                                           "the last step leads to abar = 1 (else to abar of timestep 0)")},
                          prediction_field(), GridOptions::fields());
  }
};

/// What the network is told, call by call.
struct PndmGrid {
  std::vector<int64_t> timesteps;
  size_t warm_up = 0;  ///< so many of them are Runge-Kutta's, four a step
};

constexpr size_t kWarmUpSteps = 3;  // the fourth-order multistep method looks back at three
constexpr size_t kStages = 4;

/// t1 t2 t2 t3 t4 ...
PndmGrid with_second_twice(std::vector<int64_t> spaced) {
  if (spaced.size() > 1) spaced.insert(spaced.begin() + 1, spaced[1]);
  return {std::move(spaced), 0};
}

/// The stages of each warm-up step lie at its begin, twice halfway, and at its end; then come the other timesteps.
PndmGrid with_runge_kutta(const std::vector<int64_t>& spaced, int64_t stride) {
  const size_t steps = std::min(kWarmUpSteps, spaced.size());
  PndmGrid grid;
  for (size_t i = 0; i < steps; ++i) {
    const int64_t end = i + 1 < spaced.size() ? spaced[i + 1] : spaced[i] - stride;
    const int64_t middle = std::max<int64_t>(end + stride / 2, 0);
    grid.timesteps.insert(grid.timesteps.end(), {spaced[i], middle, middle, std::max<int64_t>(end, 0)});
  }
  grid.warm_up = grid.timesteps.size();
  grid.timesteps.insert(grid.timesteps.end(), spaced.begin() + static_cast<std::ptrdiff_t>(steps), spaced.end());
  return grid;
}

class PndmSolver final : public DiscreteSolver {
 public:
  /// `stride`: each step leads from t to t - stride, whatever the grid holds, as in diffusers.
  PndmSolver(const PndmConfig& config, NoiseSchedule noise, const PndmGrid& grid, int64_t stride)
      : DiscreteSolver(config, std::move(noise), grid.timesteps),
        final_abar_(config.set_alpha_to_one ? 1.0f : noise_.alpha_bar(0)),
        stride_(stride),
        warm_up_(grid.warm_up),
        second_twice_(config.skip_prk_steps) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng&) override {
    const Tensor prediction = split_output(x, model_output).prediction;
    const Tensor x0 = raw_x0(x, prediction, step);
    if (static_cast<size_t>(step.index) < warm_up_) return {runge_kutta(x, prediction, step), x0};
    return {multistep(x, prediction, step), x0};
  }

 private:
  /// Algorithm 1: the classical method, each stage a transfer from the step's begin.
  Tensor runge_kutta(const Tensor& x, const Tensor& prediction, const Step& step) {
    const size_t stage = static_cast<size_t>(step.index) % kStages;
    const size_t first = static_cast<size_t>(step.index) - stage;
    const int64_t begin = timesteps_[first], middle = timesteps_[first + 1];
    const bool is_last = first + kStages == timesteps_.size();
    const int64_t end = is_last ? begin - stride_ : timesteps_[first + 3];
    switch (stage) {
      case 0:
        history_.add(prediction);
        anchor_ = x;
        mean_ = (1. / 6) * prediction;
        return transfer(anchor_, begin, begin - stride_ / 2, prediction);
      case 1:
        mean_ = mean_ + (1. / 3) * prediction;
        return transfer(anchor_, begin, middle, prediction);
      case 2:
        mean_ = mean_ + (1. / 3) * prediction;
        return transfer(anchor_, begin, end, prediction);
      default:
        return transfer(anchor_, begin, end, mean_ + (1. / 6) * prediction);
    }
  }

  /// Algorithm 2. The first step, of order 1, is taken again with the mean of the slopes at both its ends.
  Tensor multistep(const Tensor& x, const Tensor& prediction, const Step& step) {
    const int64_t t = this->t(step);
    const int64_t call = calls_++;
    if (second_twice_ && call == 0) anchor_ = x;
    if (second_twice_ && call == 1) {
      const int64_t begin = std::min(t + stride_, noise_.num_train_timesteps() - 1);
      return transfer(anchor_, begin, t, (prediction + history_.newest()) / 2);
    }
    history_.add(prediction);
    return transfer(x, t, t - stride_, history_.combined());
  }

  /// Eq. 11: along a constant eps from t to `to`, below 0 = the end.
  Tensor transfer(const Tensor& x, int64_t t, int64_t to, const Tensor& prediction) const {
    const float abar = noise_.alpha_bar(t), abar_to = to >= 0 ? noise_.alpha_bar(to) : final_abar_;
    const float divisor = abar * torch_sqrt(1 - abar_to) + torch_sqrt(abar * (1 - abar) * abar_to);
    if (divisor == 0) return x;  // both are 1: a beta that float32 loses
    const Tensor eps = eps_from(config_.prediction_type, x, prediction, noise_.level(t));
    // In diffusers' order: near pure noise the two terms are large and cancel.
    const Tensor change = ((abar_to - abar) * eps).div_(divisor);
    return weighted_sum(torch_sqrt(abar_to / abar), x, -1, change);
  }

  const float final_abar_;
  const int64_t stride_;
  const size_t warm_up_;
  const bool second_twice_;
  AdamsBashforth history_;
  Tensor anchor_;  ///< where the step began that later calls take again
  Tensor mean_;    ///< of the stages so far, weighted
  int64_t calls_ = 0;
};

class PndmScheduler final : public Scheduler {
 public:
  PndmScheduler(const PndmConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kPndmName, json, to_json(config)), config_(config) {}

  std::vector<std::string_view> run_options() const override { return {}; }

 private:
  Run make_run(const StartOptions& options) const override {
    auto spaced = spaced_timesteps(config_, options.steps, num_train_timesteps());
    const int64_t stride = num_train_timesteps() / options.steps;
    const PndmGrid grid =
        config_.skip_prk_steps ? with_second_twice(std::move(spaced)) : with_runge_kutta(spaced, stride);
    int64_t begin = options.begin;
    // Runge-Kutta's four stages belong together.
    if (begin > 0 && static_cast<size_t>(begin) < grid.warm_up) begin -= begin % static_cast<int64_t>(kStages);
    return Run(timestep_tensors(grid.timesteps), begin, 1.0,
               std::make_unique<PndmSolver>(config_, noise(), grid, stride));
  }

  const PndmConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_pndm(const Json& json) {
  const auto config = read_config<PndmConfig>(kPndmName, json);
  check_prediction_type(kPndmName, config.prediction_type, {PredictionType::epsilon, PredictionType::v_prediction});
  return std::make_shared<PndmScheduler>(config, json);
}

}  // namespace unnoise
