#include "unnoise/training/muon.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>

#include "unnoise/kernels/adamw.h"
#include "unnoise/kernels/gemm.h"
#include "unnoise/kernels/parallel.h"
#include "unnoise/nn/kernel_choice.h"

namespace unnoise {
namespace {

constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315;
constexpr int kSteps = 5;
constexpr double kLeastNorm = 1e-7;
constexpr double kMomentum = 0.95;
constexpr int64_t kGrain = 16384;  // numbers for which a thread is worth its while

/// x [rows <= columns] of norm 1, on LibTorch's operators.
Tensor newton_schulz(Tensor x) {
  for (int i = 0; i < kSteps; ++i) {
    const Tensor gram = at::mm(x, x.t());                       // A
    const Tensor update = at::addmm(gram, gram, gram, kB, kC);  // b A + c A^2
    x = at::addmm(x, update, x, kA);
  }
  return x;
}

/// The same on the kernels: a network has many small matrices, and LibTorch's threads would wake up for each product.
Tensor newton_schulz_fast(Tensor x) {
  const int64_t rows = x.size(0), columns = x.size(1);
  Tensor next = at::empty({rows, columns}), gram = at::empty({rows, rows}), update = at::empty({rows, rows});
  auto *a = gram.mutable_data_ptr<float>(), *u = update.mutable_data_ptr<float>();
  for (int step = 0; step < kSteps; ++step) {
    const float* from = x.const_data_ptr<float>();
    kernels::gemm(rows, rows, columns, {from, columns, 1}, {from, 1, columns}, a, rows);
    kernels::gemm(rows, rows, rows, {a, rows, 1}, {a, rows, 1}, u, rows);
    for (int64_t i = 0; i < rows * rows; ++i) u[i] = static_cast<float>(kB * a[i] + kC * u[i]);
    for (int64_t i = 0; i < rows; ++i) u[i * (rows + 1)] += static_cast<float>(kA);
    kernels::gemm(rows, columns, rows, {u, rows, 1}, {from, columns, 1}, next.mutable_data_ptr<float>(), columns);
    std::swap(x, next);
  }
  return x;
}

}  // namespace

bool muon_moves(const std::string& name, const Tensor& parameter) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  const bool is_matrix = parameter.dim() >= 2 && parameter.size(0) > 1 && parameter.numel() > parameter.size(0);
  return is_matrix && !has("conv_in") && !has("conv_out") && !has("class_embedding");
}

Tensor orthogonalized(const Tensor& g) {
  const bool tall = g.size(0) > g.size(1);
  const bool fast = use_fast_kernels(g) && g.scalar_type() == at::kFloat;
  Tensor x = g.is_cuda() ? g.to(at::kBFloat16) : g;
  if (tall) x = x.t();
  if (fast) {
    x = x.clone(at::MemoryFormat::Contiguous);
    auto* values = x.mutable_data_ptr<float>();
    const kernels::FloatSpan all{values, x.numel()};
    const double norm = std::sqrt(kernels::sum_of_squares({&all, 1}));
    const auto scale = static_cast<float>(1 / std::max(norm, kLeastNorm));
    for (int64_t i = 0; i < x.numel(); ++i) values[i] *= scale;
    x = newton_schulz_fast(x);
  } else {
    x = newton_schulz(x / x.norm().clamp_min(kLeastNorm));
  }
  return (tall ? x.t() : x).to(g.scalar_type());
}

Muon::Muon(const Tensor& parameter) : momentum_(at::zeros_like(parameter)) {}

void Muon::update(const Tensor& parameter, const Tensor& gradient, const OptimizerOptions& o) {
  const Shape matrix{parameter.size(0), parameter.numel() / parameter.size(0)};
  const double scale = 0.2 * std::sqrt(static_cast<double>(std::max(matrix[0], matrix[1]))) * o.learning_rate;
  const double keep = 1 - o.learning_rate * o.weight_decay;
  const bool fast = use_fast_kernels(parameter) && parameter.scalar_type() == at::kFloat && parameter.is_contiguous() &&
                    gradient.is_contiguous();
  if (!fast) {
    momentum_.lerp_(gradient, 1 - kMomentum);
    const Tensor u = orthogonalized(at::lerp(gradient, momentum_, kMomentum).reshape(matrix));
    if (o.weight_decay != 0) parameter.mul_(keep);
    parameter.sub_(u.reshape(parameter.sizes()), scale);
    return;
  }
  Tensor direction = at::empty(matrix);
  const float* g = gradient.const_data_ptr<float>();
  auto *m = momentum_.mutable_data_ptr<float>(), *d = direction.mutable_data_ptr<float>();
  kernels::parallel_for(parameter.numel(), kGrain, [&](int64_t begin, int64_t end) {
    constexpr auto kKeep = static_cast<float>(kMomentum);
    for (int64_t i = begin; i < end; ++i) {
      m[i] = kKeep * m[i] + (1 - kKeep) * g[i];
      d[i] = kKeep * m[i] + (1 - kKeep) * g[i];
    }
  });
  const Tensor u = orthogonalized(direction).contiguous();
  const float* step = u.const_data_ptr<float>();
  auto* p = parameter.mutable_data_ptr<float>();
  kernels::parallel_for(parameter.numel(), kGrain, [&](int64_t begin, int64_t end) {
    const auto kept = static_cast<float>(keep), factor = static_cast<float>(scale);
    for (int64_t i = begin; i < end; ++i) p[i] = kept * p[i] - factor * step[i];
  });
}

}  // namespace unnoise
