#include "unnoise/schedulers/scheduler.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {

Run::Run(std::vector<Tensor> timesteps, int64_t begin, double init_noise_sigma, std::unique_ptr<Solver> solver)
    : init_noise_sigma_(init_noise_sigma), solver_(std::move(solver)) {
  const auto count = static_cast<int64_t>(timesteps.size());
  if (begin < 0 || begin >= count)
    throw usage_error(fmt::format("first step to run: expected 0 to {}, found {}", count - 1, begin));
  for (int64_t i = begin; i < count; ++i) steps_.push_back({i, std::move(timesteps[static_cast<size_t>(i)])});
}

Run::~Run() = default;
Run::Run(Run&&) noexcept = default;
Run& Run::operator=(Run&&) noexcept = default;

Tensor Run::first(const Shape& shape, Rng& rng) const { return rng.normal(shape) * init_noise_sigma_; }

Tensor Run::noised(const Tensor& x0, const Tensor& noise) const { return solver_->noised(x0, noise, steps_.front()); }

Tensor Run::input(const Tensor& x, const Step& step) const { return solver_->input(x, step); }

StepResult Run::step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) {
  if (taken_ == steps_.size()) throw usage_error("this run is over: all its steps were taken", "Start a new run.");
  if (step.index != steps_[taken_].index)
    throw usage_error(
        fmt::format("steps are taken in order: expected step {}, found {}", steps_[taken_].index, step.index),
        "Start a new run to begin again.");
  ++taken_;
  return solver_->step(x, model_output, step, rng);
}

Tensor Run::next(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) {
  return this->step(x, model_output, step, rng).prev_sample;
}

Tensor Run::x0(const Tensor& x, const Tensor& model_output, const Step& step) const {
  return solver_->x0(x, model_output, step);
}

Scheduler::Scheduler(NoiseSchedule noise, PredictionType prediction_type, std::string class_name, Json given,
                     Json known)
    : noise(std::move(noise)),
      prediction_type(prediction_type),
      class_name_(std::move(class_name)),
      given_(std::move(given)),
      known_(std::move(known)) {
  if (given_.is_null()) given_ = Json::object();
  for (const auto* key : {"_class_name", "_diffusers_version", "_use_default_values", "_ignore_files"})
    given_.erase(key);
}

Json Scheduler::config() const {
  Json config = known_;
  config.update(given_);
  config["_class_name"] = class_name_;
  config["_diffusers_version"] = kDiffusersVersion;
  return config;
}

}  // namespace unnoise
