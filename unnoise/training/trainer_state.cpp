#include "unnoise/training/trainer_state.h"

#include <fmt/format.h>

#include <string>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr std::string_view kRandom = "random.";
constexpr std::string_view kOptimizer = "optimizer.";
constexpr std::string_view kUncertainty = "uncertainty.";

int64_t read_count(const Json& numbers, const char* key, std::string_view where) {
  const auto found = numbers.find(key);
  if (found == numbers.end()) throw data_error(fmt::format("{}: \"{}\" is missing", where, key));
  if (!found->is_number_integer() || found->get<int64_t>() < 0)
    throw data_error(fmt::format("{}: \"{}\": expected a whole number from 0, found {}", where, key, found->dump()));
  return found->get<int64_t>();
}

}  // namespace

Json trainer_numbers(const TrainerState& state) {
  Json numbers{{"epoch", state.epoch}, {"global_step", state.global_step}, {"micro_batch", state.micro_batch}};
  if (!state.health.is_null()) numbers["health"] = state.health;
  if (!state.grad_scaler.is_null()) numbers["grad_scaler"] = state.grad_scaler;
  return numbers;
}

StateDict trainer_tensors(const TrainerState& state) {
  StateDict out;
  for (const auto& [name, tensor] : state.random) out.emplace_back(std::string(kRandom) + name, tensor);
  for (const auto& [name, tensor] : state.optimizer) out.emplace_back(std::string(kOptimizer) + name, tensor);
  for (const auto& [name, tensor] : state.uncertainty) out.emplace_back(std::string(kUncertainty) + name, tensor);
  return out;
}

TrainerState trainer_state(const Json& numbers, const StateDict& tensors, std::string_view where) {
  if (!numbers.is_object()) throw data_error(fmt::format("{}: expected a JSON object", where));
  TrainerState state;
  state.epoch = read_count(numbers, "epoch", where);
  state.global_step = read_count(numbers, "global_step", where);
  state.micro_batch = read_count(numbers, "micro_batch", where);
  state.health = numbers.value("health", Json());
  state.grad_scaler = numbers.value("grad_scaler", Json());
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(kRandom)) {
      state.random.emplace_back(name.substr(kRandom.size()), tensor);
    } else if (name.starts_with(kOptimizer)) {
      state.optimizer.emplace_back(name.substr(kOptimizer.size()), tensor);
    } else if (name.starts_with(kUncertainty)) {
      state.uncertainty.emplace_back(name.substr(kUncertainty.size()), tensor);
    } else {
      throw data_error(fmt::format("{}: unexpected tensor \"{}\"", where, name));
    }
  }
  return state;
}

}  // namespace unnoise
