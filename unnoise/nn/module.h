// A network part: named tensors and named children, in the order of diffusers' checkpoints.
//
// Why not torch::nn::Module (docs/adr/0002): a child's name may hold what the checkpoint's key needs, parameters are
// drawn from an Rng that the caller passes, calls are const, and a file that uses it compiles in 3 s instead of 15.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Base of every layer, block and network. Parts are plain members, declared in the order in which diffusers
/// *constructs* them (the order of the random draws), and added in the constructor's body in the order in which it
/// *registers* them (the order of keys, of the optimizer's parameters and of the gradient norm's sum). Modules are
/// neither copied nor moved.
class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  /// "down_blocks.0.resnets.0.conv1.weight" and its tensor, depth first in registration order. Buffers that are saved
  /// count as entries of state() only.
  StateDict named_parameters() const;
  std::vector<Tensor> parameters() const;
  /// Parameters and saved buffers: what a checkpoint holds.
  StateDict state() const;
  int64_t num_parameters() const;

  /// Copies values into the tensors of state(), converting dtype. Keys must match exactly: an Error::data lists what is
  /// missing, unexpected or of another shape, and `where` the weights came from. Nothing is changed when it throws.
  void load_state(const StateDict& weights, std::string_view where);

  /// Moves or converts every tensor in place; handles that others hold follow. Buffers keep integer dtypes.
  void to(at::Device device);
  void to(at::ScalarType dtype);
  void requires_grad(bool on);  ///< of all but the frozen parameters

  /// Dropout draws only in training mode.
  void train(bool on = true);
  void eval() { train(false); }
  bool is_training() const { return training_; }

  /// A word for trees: "Conv2d(3, 64, kernel_size=3, padding=1)".
  virtual std::string describe() const = 0;
  const std::vector<std::pair<std::string, Module*>>& children() const { return children_; }
  /// Visits this module and all below it with their dotted names, parents first.
  void visit(const std::function<void(const std::string& name, const Module&)>& f, const std::string& name = "") const;

 protected:
  /// `tensor` must be a member of the derived class that stays the same handle.
  void add_parameter(std::string name, const Tensor& tensor);
  /// Counted, listed and saved like the others, but never trained (its gradient stays undefined).
  void add_frozen_parameter(std::string name, const Tensor& tensor);
  void add_buffer(std::string name, const Tensor& tensor);
  void add_child(std::string name, Module& child);

 private:
  void collect(const std::string& prefix, bool with_buffers, StateDict& out) const;

  std::vector<std::pair<std::string, Tensor>> parameters_;
  std::set<std::string> frozen_;  // names among parameters_
  std::vector<std::pair<std::string, Tensor>> buffers_;
  std::vector<std::pair<std::string, Module*>> children_;
  bool training_ = false;
};

/// Modules of one type, named "0", "1", ...
template <class M>
class ModuleList final : public Module {
 public:
  template <class... Args>
  M& emplace_back(Args&&... args) {
    return push_back(std::make_unique<M>(std::forward<Args>(args)...));
  }
  M& push_back(std::unique_ptr<M> item) {
    items_.push_back(std::move(item));
    add_child(std::to_string(items_.size() - 1), *items_.back());
    return *items_.back();
  }
  size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  const M& operator[](size_t i) const { return *items_[i]; }
  M& operator[](size_t i) { return *items_[i]; }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  std::string describe() const override { return "ModuleList"; }

 private:
  std::vector<std::unique_ptr<M>> items_;
};

}  // namespace unnoise
