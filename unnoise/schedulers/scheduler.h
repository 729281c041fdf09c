// A scheduler turns a trained network into a sampler. It is immutable; all that changes lies in the Run that it starts,
// so that one scheduler serves any number of runs at once.
//
//   auto run = scheduler.start({.steps = 50});
//   auto x = run.first({8, 3, 32, 32}, rng);
//   for (const auto& step : run.steps())
//     x = run.next(x, unet(run.input(x, step), step.timestep), step, rng);
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/json.h"
#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"
#include "unnoise/schedulers/noise_schedule.h"

namespace unnoise {

class Solver;

/// What one run is to do. A member that the scheduler's method has no use for must keep its default (Error::usage).
struct StartOptions {
  int64_t steps = 50;                             ///< sampling steps, 1 to num_train_timesteps
  std::optional<std::vector<int64_t>> timesteps;  ///< these training timesteps, falling, instead of `steps` spaced ones
  int64_t begin = 0;                      ///< index of the first step to run: skips the noisiest, for image-to-image
  double eta = 0;                         ///< DDIM: 0 deterministic to 1 as noisy as DDPM
  bool use_clipped_model_output = false;  ///< DDIM: derive eps again from the clipped x0 (GLIDE)
};

/// One call of the network. A solver that calls it twice for a stretch of the path has two of these.
struct Step {
  int64_t index;    ///< position in the whole grid; begins at StartOptions::begin
  Tensor timestep;  ///< what the network is told: 0-dim, int64 or float32, on the CPU
};

struct StepResult {
  Tensor prev_sample;  ///< [B,C,H,W], the next, less noisy picture
  Tensor x0;  ///< [B,C,H,W], the clean picture as the solver now sees it (clipped as configured); may be undefined
};

/// One way from noise to pictures; owns the solver's history. Steps are taken in order, each once.
class Run {
 public:
  /// For schedulers: the whole grid of timesteps, the index to begin at, and the standard deviation of the initial
  /// noise.
  Run(std::vector<Tensor> timesteps, int64_t begin, double init_noise_sigma, std::unique_ptr<Solver> solver);
  ~Run();
  Run(Run&&) noexcept;
  Run& operator=(Run&&) noexcept;

  const std::vector<Step>& steps() const { return steps_; }

  /// Noise to start from, float32 on the CPU. The first draw of a run.
  Tensor first(const Shape& shape, Rng& rng) const;
  /// Image-to-image: x0 with `noise`, both [B,C,H,W], at the level of the first step.
  Tensor noised(const Tensor& x0, const Tensor& noise) const;

  /// What the network gets to see of x at this step.
  Tensor input(const Tensor& x, const Step& step) const;
  /// One step. x and the result [B,C,H,W]; model_output has x's shape, or 2C channels where the network also learned
  /// the variance. Draws from `rng` only if the method is stochastic there.
  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng);
  /// The same, when only the picture is wanted.
  Tensor next(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng);
  /// The clean picture that the network sees at this step; advances nothing and draws nothing.
  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const;

 private:
  std::vector<Step> steps_;
  double init_noise_sigma_;
  std::unique_ptr<Solver> solver_;
  size_t taken_ = 0;
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// The forward process that the network was trained on.
  const NoiseSchedule noise;
  /// What the network predicts.
  const PredictionType prediction_type;

  /// As in diffusers: "DDIMScheduler".
  const std::string& class_name() const { return class_name_; }
  /// What scheduler_config.json holds: every key of the class, and those of the source that the class does not know.
  Json config() const;
  /// config() less the keys that were nobody's choice but defaults of this class; what another class may take over.
  const Json& given_config() const { return given_; }

  /// Throws Error::usage when the options cannot be met (more steps than training timesteps, ...).
  virtual Run start(const StartOptions& options) const = 0;

 protected:
  /// `given`: the JSON that the scheduler was made from; `known`: every key of the class with its value.
  Scheduler(NoiseSchedule noise, PredictionType prediction_type, std::string class_name, Json given, Json known);

 private:
  std::string class_name_;
  Json given_;
  Json known_;
};

/// From a scheduler_config.json; `_class_name` says which. A missing key means the class's default, an unknown key is
/// kept, an impossible value is an Error::usage that names the key.
std::shared_ptr<const Scheduler> scheduler_from_config(const Json& scheduler_config);

/// By short name ("ddim") or class ("DDIMScheduler"); `config` may be one of another class, whose shared keys count.
std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const Json& config = {});
/// The same model under another method: takes over what was given to `like`, but not the defaults of its class.
std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const Scheduler& like);
/// Only the tables are taken over: predicts eps, everything else at the class's default.
std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const NoiseSchedule& noise);

/// "ddpm", "ddim": what make_scheduler takes.
std::vector<std::string> scheduler_names();

}  // namespace unnoise
