#include "unnoise/nn/layers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/nn/group_norm.h"
#include "unnoise/nn/init.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

void expect_positive(const char* layer, const char* what, int64_t value) {
  if (value < 1) throw usage_error(fmt::format("{}: {} must be at least 1, found {}", layer, what, value));
}

}  // namespace

Conv2d::Conv2d(const Conv2dOptions& options, Rng* init) : options_(options) {
  const auto [in, out, kernel, stride, padding, end_padding] = options;
  expect_positive("Conv2d", "in_channels", in);
  expect_positive("Conv2d", "out_channels", out);
  expect_positive("Conv2d", "kernel_size", kernel);
  expect_positive("Conv2d", "stride", stride);
  weight_ = at::empty({out, in, kernel, kernel}, at::kFloat);
  bias_ = at::empty({out}, at::kFloat);
  if (init) {
    const int64_t fan_in = in * kernel * kernel;
    draw_weight(weight_, fan_in, *init);
    draw_bias(bias_, fan_in, *init);
  }
  add_parameter("weight", weight_);
  add_parameter("bias", bias_);
}

Tensor Conv2d::operator()(const Remade& x, const ConvSums& sums) const {
  const auto& o = options_;
  Tensor y = conv2d(x, weight_, bias_, {o.stride, o.padding, o.end_padding.value_or(o.padding)}, sums, &packed_);
  if (Trace::is_on())
    Trace::note(*this, y, y.numel() * options_.in_channels * options_.kernel_size * options_.kernel_size);
  return y;
}

std::string Conv2d::describe() const {
  const auto& o = options_;
  std::string text = fmt::format("Conv2d({}, {}, kernel_size={}", o.in_channels, o.out_channels, o.kernel_size);
  if (o.stride != 1) text += fmt::format(", stride={}", o.stride);
  if (o.padding != 0) text += fmt::format(", padding={}", o.padding);
  return text + ")";
}

Linear::Linear(const LinearOptions& options, Rng* init) : options_(options) {
  const auto [in, out, with_bias] = options;
  expect_positive("Linear", "in_features", in);
  expect_positive("Linear", "out_features", out);
  weight_ = at::empty({out, in}, at::kFloat);
  if (with_bias) bias_ = at::empty({out}, at::kFloat);
  if (init) {
    draw_weight(weight_, in, *init);
    if (with_bias) draw_bias(bias_, in, *init);
  }
  add_parameter("weight", weight_);
  if (with_bias) add_parameter("bias", bias_);
}

Tensor Linear::operator()(const Tensor& x, const Tensor& residual) const {
  Tensor y = linear(x, weight_, bias_, &packed_, residual);
  if (Trace::is_on()) Trace::note(*this, y, y.numel() * options_.in_features);
  return y;
}

std::string Linear::describe() const {
  return fmt::format("Linear({}, {}{})", options_.in_features, options_.out_features,
                     options_.bias ? "" : ", bias=false");
}

GroupNorm::GroupNorm(const GroupNormOptions& options) : options_(options) {
  const auto [groups, channels, eps] = options;
  if (groups < 1 || channels < 1 || channels % groups != 0)
    throw usage_error(fmt::format("group norm: {} groups do not divide {} channels", groups, channels));
  weight_ = at::ones({channels}, at::kFloat);
  bias_ = at::zeros({channels}, at::kFloat);
  add_parameter("weight", weight_);
  add_parameter("bias", bias_);
}

Tensor GroupNorm::operator()(const Tensor& x) const {
  Tensor y = group_norm(x, weight_, bias_, options_.groups, options_.eps, /*silu=*/false);
  Trace::note(*this, y);
  return y;
}

Tensor GroupNorm::with_silu(const Tensor& x) const {
  Tensor y = group_norm(x, weight_, bias_, options_.groups, options_.eps, /*silu=*/true);
  Trace::note(*this, y);
  return y;
}

std::string GroupNorm::describe() const {
  return fmt::format("GroupNorm({}, {}, eps={:g})", options_.groups, options_.channels, options_.eps);
}

Embedding::Embedding(int64_t count, int64_t dim, Rng* init) {
  expect_positive("Embedding", "its number of rows", count);
  expect_positive("Embedding", "its width", dim);
  weight_ = at::empty({count, dim}, at::kFloat);
  if (init) weight_.normal_(0, 1, init->generator());
  add_parameter("weight", weight_);
}

Tensor Embedding::operator()(const Tensor& indices, const char* what) const {
  const int64_t count = weight_.size(0);
  if (indices.scalar_type() != at::kLong && indices.scalar_type() != at::kInt)
    throw usage_error(fmt::format("{}: expected whole numbers (int64), found {}", what, indices.dtype().name()));
  if (indices.is_cpu() && indices.numel() > 0) {
    const int64_t low = indices.min().item<int64_t>();
    const int64_t high = indices.max().item<int64_t>();
    if (low < 0 || high >= count)
      throw usage_error(fmt::format("{}: expected 0 to {}, found {}", what, count - 1, low < 0 ? low : high));
  }
  Tensor y = at::embedding(weight_, indices);
  Trace::note(*this, y);
  return y;
}

std::string Embedding::describe() const { return fmt::format("Embedding({}, {})", weight_.size(0), weight_.size(1)); }

Dropout::Dropout(double probability) : probability_(probability) {
  if (!(probability >= 0 && probability < 1))
    throw usage_error(fmt::format("dropout: expected a probability from 0 to below 1, found {:g}", probability));
}

Tensor Dropout::operator()(const Tensor& x) const {
  if (!is_active()) return x;
  if (!rng_)
    throw usage_error("dropout: a network in training mode has no random stream to draw from",
                      "Call set_dropout_rng(&rng) before training, or eval() for sampling.");
  const double keep = 1 - probability_;
  Tensor mask = at::empty(x.sizes(), x.options().device(at::kCPU)).bernoulli_(keep, rng_->generator());
  return x * mask.div_(keep).to(x.device());
}

std::string Dropout::describe() const { return fmt::format("Dropout(p={:g})", probability_); }

void set_dropout_rng(Module& root, Rng* rng) {
  if (auto* dropout = dynamic_cast<Dropout*>(&root)) dropout->set_rng(rng);
  for (const auto& [name, child] : root.children()) set_dropout_rng(*child, rng);
}

}  // namespace unnoise
