#include "unnoise/training/muon.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>

namespace unnoise {

bool muon_moves(const std::string& name, const Tensor& parameter) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  return parameter.dim() >= 2 && !has("conv_in") && !has("conv_out") && !has("class_embedding");
}

Tensor orthogonalized(const Tensor& g) {
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
  constexpr int kSteps = 5;
  constexpr double kEpsilon = 1e-7;
  const bool tall = g.size(0) > g.size(1);
  Tensor x = g.is_cuda() ? g.to(at::kBFloat16) : g;
  if (tall) x = x.t();
  x = x / x.norm().clamp_min(kEpsilon);
  for (int i = 0; i < kSteps; ++i) {
    const Tensor gram = at::mm(x, x.t());                     // A
    const Tensor update = at::addmm(gram, gram, gram, b, c);  // b A + c A^2
    x = at::addmm(x, update, x, a);
  }
  return (tall ? x.t() : x).to(g.scalar_type());
}

Muon::Muon(const Tensor& parameter) : momentum_(at::zeros_like(parameter)) {}

void Muon::update(const Tensor& parameter, const Tensor& gradient, const OptimizerOptions& o) {
  constexpr double kMomentum = 0.95;
  momentum_.lerp_(gradient, 1 - kMomentum);
  const Tensor u = orthogonalized(at::lerp(gradient, momentum_, kMomentum).flatten(1));
  const auto larger = static_cast<double>(std::max(u.size(0), u.size(1)));
  if (o.weight_decay != 0) parameter.mul_(1 - o.learning_rate * o.weight_decay);
  parameter.sub_(u.reshape(parameter.sizes()), 0.2 * std::sqrt(larger) * o.learning_rate);
}

}  // namespace unnoise
