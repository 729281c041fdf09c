// Gradient checkpointing: recompute instead of keep (Chen et al. 2016, "Training deep nets with sublinear memory
// cost").
#pragma once

#include <functional>
#include <vector>

#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// One output from the inputs; it may use weights beside them and draw from `rng`, but depends on nothing else that
/// changes.
using Recomputable = std::function<Tensor(const std::vector<Tensor>& inputs)>;

/// f(inputs), keeping only the inputs for the backward pass, which calls f again. `weights` are the trained tensors
/// that f uses (their gradients are returned through the graph, so backward() and grad() both work). The second call
/// sees what the first one saw: rng's state (nullptr: f draws nothing) and the autocast settings. Gradients can be
/// taken once, and not of themselves.
Tensor checkpoint(const Recomputable& f, const std::vector<Tensor>& inputs, const std::vector<Tensor>& weights,
                  Rng* rng);

}  // namespace unnoise
