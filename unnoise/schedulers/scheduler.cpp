#include "unnoise/schedulers/scheduler.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {

Run::Run(std::vector<Tensor> timesteps, int64_t begin, double init_noise_sigma, std::unique_ptr<Solver> solver)
    : init_noise_sigma_(init_noise_sigma), solver_(std::move(solver)) {
  const auto count = static_cast<int64_t>(timesteps.size());
  if (begin < 0 || begin >= count)
    throw usage_error(fmt::format("first step to run: expected 0 to {}, found {}", count - 1, begin));
  for (int64_t i = begin; i < count; ++i) steps_.steps_.push_back({i, std::move(timesteps[static_cast<size_t>(i)])});
}

bool Run::is_adaptive() const { return solver_->is_adaptive(); }

std::vector<double> Run::sigmas() const { return solver_->sigmas(); }

Run::~Run() = default;
Run::Run(Run&&) noexcept = default;
Run& Run::operator=(Run&&) noexcept = default;

Tensor Run::first(const Shape& shape, Rng& rng) {
  return solver_->begin(rng.normal(shape) * init_noise_sigma_, steps_.front(), rng);
}

Tensor Run::noised(const Tensor& x0, const Tensor& noise) const { return solver_->noised(x0, noise, steps_.front()); }

Tensor Run::input(const Tensor& x, const Step& step) const { return solver_->input(x, step); }

StepResult Run::step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) {
  if (taken_ == steps_.size()) throw usage_error("this run is over: all its steps were taken", "Start a new run.");
  if (step.index != steps_[taken_].index)
    throw usage_error(
        fmt::format("steps are taken in order: expected step {}, found {}", steps_[taken_].index, step.index),
        "Start a new run to begin again.");
  auto result = solver_->step(x, model_output, step, rng);
  if (++taken_ == steps_.size())
    if (auto timestep = solver_->next_timestep()) steps_.steps_.push_back({step.index + 1, std::move(*timestep)});
  return result;
}

Tensor Run::next(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) {
  return this->step(x, model_output, step, rng).prev_sample;
}

Tensor Run::x0(const Tensor& x, const Tensor& model_output, const Step& step) const {
  return solver_->x0(x, model_output, step);
}

Scheduler::Scheduler(NoiseSchedule noise, PredictionType prediction_type, std::string class_name, Json given,
                     Json known)
    : Scheduler(noise.num_train_timesteps(), prediction_type, std::move(class_name), std::move(given),
                std::move(known)) {
  noise_.emplace(std::move(noise));
}

Scheduler::Scheduler(int64_t num_train_timesteps, PredictionType prediction_type, std::string class_name, Json given,
                     Json known)
    : prediction_type(prediction_type),
      num_train_timesteps_(num_train_timesteps),
      class_name_(std::move(class_name)),
      given_(std::move(given)),
      known_(std::move(known)) {
  if (given_.is_null()) given_ = Json::object();
  for (const auto* key : {"_class_name", "_diffusers_version", "_use_default_values", "_ignore_files"})
    given_.erase(key);
}

const NoiseSchedule& Scheduler::noise() const {
  if (noise_) return *noise_;
  throw usage_error(fmt::format("{} has no table of betas", class_name_),
                    "Training and what follows from alphas_cumprod need a scheduler with one, such as \"ddpm\".");
}

Run Scheduler::start(const StartOptions& options) const {
  if (options.timesteps && options.sigmas) throw usage_error("timesteps and sigmas: give one of them");
  const auto used = run_options();
  const auto is_used = [&](std::string_view name) { return std::find(used.begin(), used.end(), name) != used.end(); };
  const Json given = to_json(options), defaults = to_json(StartOptions{});
  for_each_field<StartOptions>([&](const auto& f) {
    const std::string name(f.name);
    if (name == "steps" || name == "begin" || is_used(name) || given[name] == defaults[name]) return;
    throw usage_error(fmt::format("{}: {} has no use for it", name, class_name_), fmt::format("{}", f.help));
  });
  if (options.known && !is_used("known")) throw usage_error(fmt::format("{} cannot keep known pixels", class_name_));
  return make_run(options);
}

Json Scheduler::config() const {
  Json config = known_;
  config.update(given_);
  config["_class_name"] = class_name_;
  config["_diffusers_version"] = kDiffusersVersion;
  return config;
}

}  // namespace unnoise
