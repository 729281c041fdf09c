// What a new scheduler writes: one Solver (the method, as in its paper), one Scheduler that starts it, one row in
// registry.cpp.
#pragma once

#include "unnoise/schedulers/scheduler.h"
#include "unnoise/schedulers/timesteps.h"

namespace unnoise {

/// The method of one run, with its history. Run calls step() once for each step of the grid, in order.
class Solver {
 public:
  virtual ~Solver() = default;

  /// The network's input; k-diffusion's methods scale it by 1/sqrt(sigma^2 + 1).
  virtual Tensor input(const Tensor& x, const Step& step) const { return x; }
  virtual StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) = 0;
  virtual Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const = 0;
  /// x0 with noise at the level of `step`.
  virtual Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const = 0;

  /// The initial noise as the first step wants it; a method that adds noise before it calls the network does so here,
  /// and for all later steps at the end of step().
  virtual Tensor begin(const Tensor& x, const Step& first, Rng& rng) { return x; }
  /// Run::sigmas().
  virtual std::vector<double> sigmas() const { return {}; }
  /// An adaptive method's next call of the network, asked for after each step; nothing: done.
  virtual bool is_adaptive() const { return false; }
  virtual std::optional<Tensor> next_timestep() { return std::nullopt; }
};

/// The JSON as an object without the private keys; null counts as empty. Error::usage when it is something else.
Json public_config(std::string_view class_name, const Json& json);

/// Config's members from JSON; keys that Config does not have are left alone.
template <HasFields Config>
Config read_config(std::string_view class_name, const Json& json) {
  Config config;
  assign_json(config, public_config(class_name, json), class_name, UnknownKeys::ignore);
  return config;
}

/// Throws Error::usage when `type` is none of `allowed`.
void check_prediction_type(std::string_view class_name, PredictionType type,
                           std::initializer_list<PredictionType> allowed);

/// The user's timesteps if there are any, checked, else spaced ones.
std::vector<int64_t> choose_timesteps(const StartOptions& options, const GridOptions& grid,
                                      int64_t num_train_timesteps);

/// 0-dim tensors: int64, float32 and float64.
std::vector<Tensor> timestep_tensors(const std::vector<int64_t>& timesteps);
std::vector<Tensor> timestep_tensors(const std::vector<float>& timesteps);
std::vector<Tensor> timestep_tensors(const std::vector<double>& timesteps);

/// The picture's half of a network output that also holds a learned variance, [B,2C,H,W] to two [B,C,H,W]; where the
/// output has x's shape, `variance` stays undefined. Any other shape is an Error::usage.
struct SplitOutput {
  Tensor prediction;
  Tensor variance;
};
SplitOutput split_output(const Tensor& x, const Tensor& model_output);

}  // namespace unnoise
