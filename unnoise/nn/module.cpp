#include "unnoise/nn/module.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unordered_map>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

std::string join(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

/// "12 missing: a, b, c, d, e, ..." for an error's text.
std::string listed(std::string_view what, const std::vector<std::string>& keys) {
  constexpr size_t kShown = 5;
  const std::vector<std::string> shown(keys.begin(), keys.begin() + std::min(keys.size(), kShown));
  return fmt::format("{} {}: {}{}", keys.size(), what, fmt::join(shown, ", "), keys.size() > kShown ? ", ..." : "");
}

}  // namespace

StateDict Module::named_parameters() const {
  StateDict out;
  collect("", false, out);
  return out;
}

std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> out;
  for (const auto& [name, tensor] : named_parameters()) out.push_back(tensor);
  return out;
}

StateDict Module::state() const {
  StateDict out;
  collect("", true, out);
  return out;
}

int64_t Module::num_parameters() const {
  int64_t n = 0;
  for (const auto& tensor : parameters()) n += tensor.numel();
  return n;
}

void Module::collect(const std::string& prefix, bool with_buffers, StateDict& out) const {
  for (const auto& [name, tensor] : parameters_) out.emplace_back(join(prefix, name), tensor);
  if (with_buffers)
    for (const auto& [name, tensor] : buffers_) out.emplace_back(join(prefix, name), tensor);
  for (const auto& [name, child] : children_) child->collect(join(prefix, name), with_buffers, out);
}

void Module::load_state(const StateDict& weights, std::string_view where) {
  std::unordered_map<std::string_view, const Tensor*> given;
  for (const auto& [name, tensor] : weights) given.emplace(name, &tensor);

  const StateDict mine = state();
  std::vector<std::string> missing, unexpected, misshapen;
  for (const auto& [name, tensor] : mine) {
    const auto found = given.find(name);
    if (found == given.end()) {
      missing.push_back(name);
      continue;
    }
    if (found->second->sizes() != tensor.sizes())
      misshapen.push_back(fmt::format("{} (expected [{}], found [{}])", name, fmt::join(tensor.sizes(), ","),
                                      fmt::join(found->second->sizes(), ",")));
    given.erase(found);
  }
  for (const auto& [name, tensor] : weights)
    if (given.contains(name)) unexpected.push_back(name);

  std::vector<std::string> complaints;
  if (!missing.empty()) complaints.push_back(listed("missing", missing));
  if (!unexpected.empty()) complaints.push_back(listed("unexpected", unexpected));
  if (!misshapen.empty()) complaints.push_back(listed("of another shape", misshapen));
  if (!complaints.empty())
    throw data_error(fmt::format("{}: the weights do not fit the network: {}", where, fmt::join(complaints, "; ")),
                     "The config.json beside the weights must describe the network that they were trained with.");

  c10::NoGradGuard no_grad;
  std::unordered_map<std::string_view, const Tensor*> by_name;
  for (const auto& [name, tensor] : weights) by_name.emplace(name, &tensor);
  for (const auto& [name, tensor] : mine) Tensor(tensor).copy_(*by_name.at(name));
}

void Module::to(at::Device device) {
  for (auto* list : {&parameters_, &buffers_})
    for (auto& [name, tensor] : *list) tensor.set_data(tensor.detach().to(device));
  for (auto& [name, child] : children_) child->to(device);
}

void Module::to(at::ScalarType dtype) {
  for (auto* list : {&parameters_, &buffers_})
    for (auto& [name, tensor] : *list)
      if (tensor.is_floating_point()) tensor.set_data(tensor.detach().to(dtype));
  for (auto& [name, child] : children_) child->to(dtype);
}

void Module::requires_grad(bool on) {
  for (auto& [name, tensor] : parameters_) tensor.set_requires_grad(on && !frozen_.contains(name));
  for (auto& [name, child] : children_) child->requires_grad(on);
}

void Module::train(bool on) {
  training_ = on;
  for (auto& [name, child] : children_) child->train(on);
}

void Module::visit(const std::function<void(const std::string&, const Module&)>& f, const std::string& name) const {
  f(name, *this);
  for (const auto& [child_name, child] : children_) child->visit(f, join(name, child_name));
}

void Module::add_parameter(std::string name, const Tensor& tensor) {
  Tensor(tensor).set_requires_grad(true);
  parameters_.emplace_back(std::move(name), tensor);
}

void Module::add_frozen_parameter(std::string name, const Tensor& tensor) {
  frozen_.insert(name);
  parameters_.emplace_back(std::move(name), tensor);
}

void Module::add_buffer(std::string name, const Tensor& tensor) { buffers_.emplace_back(std::move(name), tensor); }

void Module::add_child(std::string name, Module& child) { children_.emplace_back(std::move(name), &child); }

}  // namespace unnoise
