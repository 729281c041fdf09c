#include "unnoise/training/ema.h"

#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/clone.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "unnoise/core/error.h"
#include "unnoise/training/named_tensors.h"
#include "unnoise/training/power_ema.h"

namespace unnoise {
namespace {

void check_options(const EmaOptions& o) {
  const auto in_unit = [](double v) { return v >= 0 && v <= 1; };
  if (!in_unit(o.decay)) throw usage_error(fmt::format("EMA decay: expected a number from 0 to 1, found {}", o.decay));
  if (!in_unit(o.min_decay))
    throw usage_error(fmt::format("EMA min_decay: expected a number from 0 to 1, found {}", o.min_decay));
  if (!(o.inv_gamma > 0))
    throw usage_error(fmt::format("EMA inv_gamma: expected a number above 0, found {}", o.inv_gamma));
  if (!(o.power > 0)) throw usage_error(fmt::format("EMA power: expected a number above 0, found {}", o.power));
  if (o.halflife && !(*o.halflife > 0))
    throw usage_error(fmt::format("EMA half-life: expected a number above 0, found {}", *o.halflife));
  if (!(o.rampup_ratio >= 0))
    throw usage_error(fmt::format("EMA rampup_ratio: expected 0 or more, found {}", o.rampup_ratio));
  if (o.halflife && o.sigma_rel) throw usage_error("EMA: a half-life and a sigma_rel exclude each other");
}

/// The value of `key`, or Error::data. T is bool, int64_t or double.
template <class T>
T read(const Json& config, const char* key, std::string_view where) {
  const auto found = config.find(key);
  if (found == config.end()) throw data_error(fmt::format("{}: \"{}\" is missing", where, key));
  bool fits = found->is_number();
  if constexpr (std::is_same_v<T, bool>) fits = found->is_boolean();
  if constexpr (std::is_same_v<T, int64_t>) fits = found->is_number_integer();
  if (!fits)
    throw data_error(fmt::format("{}: \"{}\" has the value {}, which is of the wrong type", where, key, found->dump()));
  return found->get<T>();
}

std::vector<Tensor> copies(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> out;
  for (const Tensor& t : tensors) out.push_back(t.detach().clone());
  return out;
}

}  // namespace

double ema_decay(const EmaOptions& o, int64_t optimization_step) {
  const int64_t n = optimization_step - o.update_after_step - 1;
  if (n <= 0) return 0.0;
  const auto steps = static_cast<double>(n);
  const double warming =
      o.use_ema_warmup ? 1.0 - std::pow(1.0 + steps / o.inv_gamma, -o.power) : (1.0 + steps) / (10.0 + steps);
  return std::max(std::min(warming, o.decay), o.min_decay);
}

Ema::Ema(const StateDict& named_parameters, const EmaOptions& options) : options_(options) {
  check_options(options);
  if (options.sigma_rel) gamma_ = gamma_of(*options.sigma_rel);
  for (const auto& [name, parameter] : named_parameters) {
    names_.push_back(name);
    parameters_.push_back(parameter);
  }
  averages_ = copies(parameters_);
}

double Ema::begin_step() {
  ++optimization_step_;
  const int64_t before = std::exchange(images_, images_ + std::max<int64_t>(1, new_images_));
  new_images_ = 0;
  current_decay_ = decay_of(before);
  return current_decay_;
}

double Ema::decay_of(int64_t images_before) const {
  const auto before = static_cast<double>(images_before), now = static_cast<double>(images_);
  if (options_.sigma_rel) return power_decay(gamma_, before, now);
  if (options_.halflife) return halflife_decay(*options_.halflife, options_.rampup_ratio, before, now);
  return ema_decay(options_, optimization_step_);
}

void Ema::step() {
  c10::NoGradGuard no_grad;
  begin_step();
  std::vector<Tensor> moving, moving_averages, frozen, frozen_averages;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const bool trains = parameters_[i].requires_grad();
    (trains ? moving : frozen).push_back(parameters_[i]);
    (trains ? moving_averages : frozen_averages).push_back(averages_[i]);
  }
  if (!moving.empty()) at::_foreach_lerp_(moving_averages, moving, 1.0 - current_decay_);
  if (!frozen.empty()) at::_foreach_copy_(frozen_averages, frozen);
}

void Ema::copy_to_parameters() {
  c10::NoGradGuard no_grad;
  at::_foreach_copy_(parameters_, averages_);
}

void Ema::store() {
  if (has_stored())
    throw usage_error("EMA store: the parameters are stored already, and restore() has not been called");
  stored_ = copies(parameters_);
}

void Ema::restore() {
  if (!has_stored()) throw usage_error("EMA restore: nothing is stored");
  c10::NoGradGuard no_grad;
  at::_foreach_copy_(parameters_, stored_);
  stored_.clear();
}

StateDict Ema::state() const {
  StateDict out;
  for (size_t i = 0; i < names_.size(); ++i) out.emplace_back(names_[i], averages_[i]);
  return out;
}

Json Ema::config() const {
  Json config{{"decay", options_.decay},
              {"min_decay", options_.min_decay},
              {"optimization_step", optimization_step_},
              {"update_after_step", options_.update_after_step},
              {"use_ema_warmup", options_.use_ema_warmup},
              {"inv_gamma", options_.inv_gamma},
              {"power", options_.power}};
  if (options_.halflife || options_.sigma_rel) config["images"] = images_;
  if (options_.halflife) {
    config["halflife_images"] = *options_.halflife;
    config["rampup_ratio"] = options_.rampup_ratio;
  }
  if (options_.sigma_rel) config["sigma_rel"] = *options_.sigma_rel;
  return config;
}

void Ema::load(const StateDict& averages, const Json& config, std::string_view where) {
  if (!config.is_object()) throw data_error(fmt::format("{}: expected a JSON object", where));
  EmaOptions options;
  options.decay = read<double>(config, "decay", where);
  options.min_decay = read<double>(config, "min_decay", where);
  options.update_after_step = read<int64_t>(config, "update_after_step", where);
  options.use_ema_warmup = read<bool>(config, "use_ema_warmup", where);
  options.inv_gamma = read<double>(config, "inv_gamma", where);
  options.power = read<double>(config, "power", where);
  const auto steps = read<int64_t>(config, "optimization_step", where);
  if (steps < 0) throw data_error(fmt::format("{}: \"optimization_step\" is {}", where, steps));
  if (config.contains("halflife_images")) {
    options.halflife = read<double>(config, "halflife_images", where);
    options.rampup_ratio = read<double>(config, "rampup_ratio", where);
  }
  if (config.contains("sigma_rel")) options.sigma_rel = read<double>(config, "sigma_rel", where);
  const bool counts_images = options.halflife || options.sigma_rel;  // diffusers counts updates alone
  const auto images = counts_images ? read<int64_t>(config, "images", where) : steps;
  if (images < steps) throw data_error(fmt::format("{}: \"images\" is {} after {} updates", where, images, steps));
  double gamma = 0;
  try {
    check_options(options);
    if (options.sigma_rel) gamma = gamma_of(*options.sigma_rel);
  } catch (const Error& e) {
    throw data_error(fmt::format("{}: {}", where, e.message()));
  }
  copy_by_name(averages, state(), fmt::format("{}: the averaged weights do not fit the network", where), "");
  options_ = options;
  gamma_ = gamma;
  optimization_step_ = steps;
  images_ = images;
  new_images_ = 0;
  current_decay_ = counts_images ? 0.0 : ema_decay(options, steps);
}

EmaScope::EmaScope(Ema& ema) : ema_(ema) {
  ema_.store();
  ema_.copy_to_parameters();
}

EmaScope::~EmaScope() {
  if (ema_.has_stored()) ema_.restore();
}

}  // namespace unnoise
