#include "unnoise/training/gradient_sum.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <span>

namespace unnoise {
namespace {

constexpr int64_t kPiece = int64_t{4} << 20;  // values that travel at once, 16 MiB

std::span<float> values_of(Tensor& flat) { return {flat.mutable_data_ptr<float>(), static_cast<size_t>(flat.numel())}; }

/// Gives the parameters that some process has a gradient of a zero gradient here too.
void fill_missing(ProcessGroup& group, const std::vector<Tensor>& parameters) {
  std::vector<float> present;
  for (const Tensor& p : parameters) present.push_back(p.grad().defined() ? 1.0f : 0.0f);
  group.sum(present);
  for (size_t i = 0; i < parameters.size(); ++i)
    if (present[i] > 0 && !parameters[i].grad().defined()) parameters[i].mutable_grad() = at::zeros_like(parameters[i]);
}

/// One sum for several small gradients.
void sum_together(ProcessGroup& group, const std::vector<Tensor>& gradients) {
  std::vector<Tensor> flat;
  for (const Tensor& g : gradients) flat.push_back(g.reshape({-1}).to(at::kCPU, at::kFloat));
  Tensor all = at::cat(flat);
  group.sum(values_of(all));
  int64_t begin = 0;
  for (const Tensor& g : gradients) {
    g.copy_(all.narrow(0, begin, g.numel()).view(g.sizes()));
    begin += g.numel();
  }
}

}  // namespace

void sum_gradients(ProcessGroup& group, const std::vector<Tensor>& parameters) {
  if (group.size() == 1) return;
  const c10::NoGradGuard no_grad;
  fill_missing(group, parameters);
  std::vector<Tensor> piece;
  int64_t in_piece = 0;
  for (const Tensor& p : parameters) {
    if (!p.grad().defined()) continue;
    if (in_piece > 0 && in_piece + p.numel() > kPiece) {
      sum_together(group, piece);
      piece.clear();
      in_piece = 0;
    }
    piece.push_back(p.grad());
    in_piece += p.numel();
  }
  if (!piece.empty()) sum_together(group, piece);
}

}  // namespace unnoise
