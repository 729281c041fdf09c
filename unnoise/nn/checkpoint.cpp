#include "unnoise/nn/checkpoint.h"

#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <memory>
#include <optional>

namespace unnoise {
namespace {

/// The autocast settings of this thread, to be met again on the way back. The cache of cast weights stays off
/// meanwhile: it would hand the weights that were cast without a graph to the pass that needs one.
class AutocastScope {
 public:
  struct Settings {
    bool cpu, cuda;
    at::ScalarType cpu_dtype, cuda_dtype;
  };

  static Settings current() {
    namespace autocast = at::autocast;
    return {autocast::is_autocast_enabled(at::kCPU), autocast::is_autocast_enabled(at::kCUDA),
            autocast::get_autocast_dtype(at::kCPU), autocast::get_autocast_dtype(at::kCUDA)};
  }

  explicit AutocastScope(const Settings& settings)
      : outer_(current()), cached_(at::autocast::is_autocast_cache_enabled()) {
    set(settings);
    at::autocast::set_autocast_cache_enabled(false);
  }
  ~AutocastScope() {
    set(outer_);
    at::autocast::set_autocast_cache_enabled(cached_);
  }
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  static void set(const Settings& s) {
    namespace autocast = at::autocast;
    autocast::set_autocast_enabled(at::kCPU, s.cpu);
    autocast::set_autocast_enabled(at::kCUDA, s.cuda);
    autocast::set_autocast_dtype(at::kCPU, s.cpu_dtype);
    autocast::set_autocast_dtype(at::kCUDA, s.cuda_dtype);
  }

  Settings outer_;
  bool cached_;
};

/// Sets a stream back to `state` for a while.
class RewoundRng {
 public:
  RewoundRng(Rng* rng, const Tensor& state) : rng_(rng) {
    if (!rng_) return;
    now_ = rng_->state();
    rng_->set_state(state);
  }
  ~RewoundRng() {
    if (rng_) rng_->set_state(now_);
  }
  RewoundRng(const RewoundRng&) = delete;
  RewoundRng& operator=(const RewoundRng&) = delete;

 private:
  Rng* rng_;
  Tensor now_;
};

/// What the second call needs beside the inputs.
struct Job : torch::CustomClassHolder {
  Recomputable f;
  std::vector<Tensor> weights;
  size_t inputs = 0;
  Rng* rng = nullptr;
  Tensor rng_state;
  AutocastScope::Settings autocast;
};

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct CheckpointFunction : torch::autograd::Function<CheckpointFunction> {
  /// `tensors`: the inputs, then the weights.
  static Tensor forward(AutogradContext* context, const c10::intrusive_ptr<Job>& job, at::TensorList tensors) {
    const std::vector<Tensor> inputs(tensors.begin(), tensors.begin() + static_cast<int64_t>(job->inputs));
    context->save_for_backward(inputs);
    context->saved_data["job"] = c10::IValue::make_capsule(job);
    const AutocastScope autocast(job->autocast);
    return job->f(inputs);
  }

  static variable_list backward(AutogradContext* context, const variable_list& output_gradients) {
    const auto capsule = context->saved_data["job"].toCapsule();
    const Job& job = static_cast<const Job&>(*capsule);
    variable_list wanted;
    std::vector<Tensor> inputs;
    for (const Tensor& saved : context->get_saved_variables()) {
      inputs.push_back(saved.detach().set_requires_grad(saved.requires_grad()));
      wanted.push_back(inputs.back());
    }
    wanted.insert(wanted.end(), job.weights.begin(), job.weights.end());

    Tensor output;
    {
      const at::AutoGradMode with_graph(true);
      const AutocastScope autocast(job.autocast);
      const RewoundRng rewound(job.rng, job.rng_state);
      output = job.f(inputs);
    }
    variable_list trained;
    for (const Tensor& tensor : wanted)
      if (tensor.requires_grad()) trained.push_back(tensor);
    auto gradients = torch::autograd::grad({output}, trained, output_gradients, /*retain_graph=*/false,
                                           /*create_graph=*/false, /*allow_unused=*/true);
    variable_list result{Tensor()};  // the job has none
    size_t next = 0;
    for (const Tensor& tensor : wanted) result.push_back(tensor.requires_grad() ? gradients[next++] : Tensor());
    return result;
  }
};

}  // namespace

Tensor checkpoint(const Recomputable& f, const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights,
                  Rng* rng) {
  auto job = c10::make_intrusive<Job>();
  job->f = f;
  job->weights = weights;
  job->inputs = inputs.size();
  job->rng = rng;
  if (rng) job->rng_state = rng->state();
  job->autocast = AutocastScope::current();
  std::vector<Tensor> tensors = inputs;
  tensors.insert(tensors.end(), weights.begin(), weights.end());
  return CheckpointFunction::apply(job, at::TensorList(tensors));
}

}  // namespace unnoise
