// A scheduler turns a trained network into a sampler. It is immutable; all that changes lies in the Run that it starts,
// so that one scheduler serves any number of runs at once.
//
//   auto run = scheduler.start({.steps = 50});
//   auto x = run.first({8, 3, 32, 32}, rng);
//   for (const auto& step : run.steps())
//     x = run.next(x, unet(run.input(x, step), step.timestep), step, rng);
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/json.h"
#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"
#include "unnoise/schedulers/noise_schedule.h"
#include "unnoise/schedulers/start_options.h"

namespace unnoise {

class Solver;

/// RePaint's picture whose missing part is to be drawn.
struct KnownPixels {
  Tensor image;  ///< [1 or B,C,H,W] in [-1,1]
  Tensor mask;   ///< of the same shape, or with one channel: 1 = known, 0 = to be drawn
};

/// One call of the network. A solver that calls it twice for a stretch of the path has two of these.
struct Step {
  int64_t index;    ///< position in the whole grid; begins at StartOptions::begin
  Tensor timestep;  ///< what the network is told: 0-dim, int64, float32 or float64, on the CPU
};

/// The steps of a run, to be taken in order. An adaptive method knows its next step only when the one before was
/// taken: a loop over them sees it, size() is what is known so far.
class Steps {
 public:
  struct End {};
  class Iterator {
   public:
    Iterator(const Steps* steps, size_t i) : steps_(steps), i_(i) {}
    const Step& operator*() const { return (*steps_)[i_]; }
    Iterator& operator++() { return ++i_, *this; }
    bool operator==(End) const { return i_ >= steps_->size(); }

   private:
    const Steps* steps_;
    size_t i_;
  };

  Iterator begin() const { return {this, 0}; }
  End end() const { return {}; }
  size_t size() const { return steps_.size(); }
  const Step& operator[](size_t i) const { return steps_[i]; }
  const Step& front() const { return steps_.front(); }
  const Step& back() const { return steps_.back(); }

 private:
  friend class Run;
  std::deque<Step> steps_;  // references stay valid while it grows
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

  const Steps& steps() const { return steps_; }
  /// The method finds its next steps while it runs.
  bool is_adaptive() const;
  /// sigma / alpha at each step of the whole grid and, last, where it leads; empty where a method has none.
  std::vector<double> sigmas() const;

  /// Noise to start from, float32 on the CPU. The first draw of a run.
  Tensor first(const Shape& shape, Rng& rng);
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
  Steps steps_;
  double init_noise_sigma_;
  std::unique_ptr<Solver> solver_;
  size_t taken_ = 0;
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// What the network predicts.
  const PredictionType prediction_type;

  /// The forward process that the network was trained on. Error::usage where the class has no table of betas (EDM, flow
  /// matching, consistency models).
  const NoiseSchedule& noise() const;
  bool has_noise() const { return noise_.has_value(); }
  /// Timesteps that the network was trained with.
  int64_t num_train_timesteps() const { return num_train_timesteps_; }

  /// As in diffusers: "DDIMScheduler".
  const std::string& class_name() const { return class_name_; }
  /// What scheduler_config.json holds: every key of the class, and those of the source that the class does not know.
  Json config() const;
  /// config() less the keys that were nobody's choice but defaults of this class; what another class may take over.
  const Json& given_config() const { return given_; }

  /// Throws Error::usage when the options cannot be met (more steps than training timesteps, ...) and when one is set
  /// that the method has no use for.
  Run start(const StartOptions& options) const;
  /// The fields of StartOptions that the method has a use for, besides `steps` and `begin`.
  virtual std::vector<std::string_view> run_options() const = 0;

 protected:
  virtual Run make_run(const StartOptions& options) const = 0;

  /// `given`: the JSON that the scheduler was made from; `known`: every key of the class with its value.
  Scheduler(NoiseSchedule noise, PredictionType prediction_type, std::string class_name, Json given, Json known);
  /// A class without a table of betas.
  Scheduler(int64_t num_train_timesteps, PredictionType prediction_type, std::string class_name, Json given,
            Json known);

 private:
  std::optional<NoiseSchedule> noise_;
  int64_t num_train_timesteps_;
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
