#include "unnoise/models/inception_v3.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr double kNormEps = 1e-3;

Tensor average_3x3(const Tensor& x) {
  return at::avg_pool2d(x, {3, 3}, {1, 1}, {1, 1}, /*ceil_mode=*/false, /*count_include_pad=*/false);
}

Tensor halve(const Tensor& x) { return at::max_pool2d(x, {3, 3}, {2, 2}); }

}  // namespace

/// Takes each layer's weights out of the file, in the order of the network.
class InceptionV3::Builder {
 public:
  Builder(std::map<std::string, Conv>& convs, const StateDict& weights, std::string_view where)
      : convs_(convs), where_(where) {
    for (const auto& [name, tensor] : weights) weights_.emplace(name, tensor);
  }

  enum class Edge { same, valid };
  void add(const std::string& name, Shape4 s, int64_t stride = 1, Edge edge = Edge::same) {
    const Tensor weight = find(name + ".conv.weight", {s.out, s.in, s.height, s.width});
    const auto norm = [&](const char* part) { return find(name + ".bn." + part, {s.out}); };
    // y = (conv(x) - mean) / sqrt(var + eps) * gamma + beta, as one convolution with a bias.
    const Tensor scale = norm("weight") / (norm("running_var") + kNormEps).sqrt();
    const Tensor bias = norm("bias") - norm("running_mean") * scale;
    convs_[name] = {(weight * scale.view({-1, 1, 1, 1})).to(at::kFloat), bias.to(at::kFloat), stride,
                    edge == Edge::same};
  }

  void add_a(const std::string& block, int64_t in, int64_t pool) {
    add(block + ".branch1x1", {in, 64, 1, 1});
    add(block + ".branch5x5_1", {in, 48, 1, 1});
    add(block + ".branch5x5_2", {48, 64, 5, 5});
    add(block + ".branch3x3dbl_1", {in, 64, 1, 1});
    add(block + ".branch3x3dbl_2", {64, 96, 3, 3});
    add(block + ".branch3x3dbl_3", {96, 96, 3, 3});
    add(block + ".branch_pool", {in, pool, 1, 1});
  }
  void add_b(const std::string& block) {
    add(block + ".branch3x3", {288, 384, 3, 3}, 2, Edge::valid);
    add(block + ".branch3x3dbl_1", {288, 64, 1, 1});
    add(block + ".branch3x3dbl_2", {64, 96, 3, 3});
    add(block + ".branch3x3dbl_3", {96, 96, 3, 3}, 2, Edge::valid);
  }
  void add_c(const std::string& block, int64_t mid) {
    add(block + ".branch1x1", {768, 192, 1, 1});
    add(block + ".branch7x7_1", {768, mid, 1, 1});
    add(block + ".branch7x7_2", {mid, mid, 1, 7});
    add(block + ".branch7x7_3", {mid, 192, 7, 1});
    add(block + ".branch7x7dbl_1", {768, mid, 1, 1});
    add(block + ".branch7x7dbl_2", {mid, mid, 7, 1});
    add(block + ".branch7x7dbl_3", {mid, mid, 1, 7});
    add(block + ".branch7x7dbl_4", {mid, mid, 7, 1});
    add(block + ".branch7x7dbl_5", {mid, 192, 1, 7});
    add(block + ".branch_pool", {768, 192, 1, 1});
  }
  void add_d(const std::string& block) {
    add(block + ".branch3x3_1", {768, 192, 1, 1});
    add(block + ".branch3x3_2", {192, 320, 3, 3}, 2, Edge::valid);
    add(block + ".branch7x7x3_1", {768, 192, 1, 1});
    add(block + ".branch7x7x3_2", {192, 192, 1, 7});
    add(block + ".branch7x7x3_3", {192, 192, 7, 1});
    add(block + ".branch7x7x3_4", {192, 192, 3, 3}, 2, Edge::valid);
  }
  void add_e(const std::string& block, int64_t in) {
    add(block + ".branch1x1", {in, 320, 1, 1});
    add(block + ".branch3x3_1", {in, 384, 1, 1});
    add(block + ".branch3x3_2a", {384, 384, 1, 3});
    add(block + ".branch3x3_2b", {384, 384, 3, 1});
    add(block + ".branch3x3dbl_1", {in, 448, 1, 1});
    add(block + ".branch3x3dbl_2", {448, 384, 3, 3});
    add(block + ".branch3x3dbl_3a", {384, 384, 1, 3});
    add(block + ".branch3x3dbl_3b", {384, 384, 3, 1});
    add(block + ".branch_pool", {in, 192, 1, 1});
  }

 private:
  /// As float64, so that folding loses nothing.
  Tensor find(const std::string& name, const Shape& shape) const {
    const auto found = weights_.find(name);
    if (found == weights_.end())
      throw data_error(fmt::format("{}: the Inception network's \"{}\" is missing", where_, name),
                       "Expected the weights that pytorch-fid and torch-fidelity distribute "
                       "(pt_inception-2015-12-05), not torchvision's.");
    if (found->second.sizes() != at::IntArrayRef(shape))
      throw data_error(fmt::format("{}: \"{}\": expected [{}], found [{}]", where_, name, fmt::join(shape, ","),
                                   fmt::join(found->second.sizes(), ",")));
    return found->second.to(at::kDouble);
  }

  std::map<std::string, Conv>& convs_;
  std::string_view where_;
  std::unordered_map<std::string, Tensor> weights_;
};

InceptionV3::InceptionV3(const StateDict& weights, std::string_view where) {
  Builder build(convs_, weights, where);
  build.add("Conv2d_1a_3x3", {3, 32, 3, 3}, 2, Builder::Edge::valid);
  build.add("Conv2d_2a_3x3", {32, 32, 3, 3}, 1, Builder::Edge::valid);
  build.add("Conv2d_2b_3x3", {32, 64, 3, 3});
  build.add("Conv2d_3b_1x1", {64, 80, 1, 1});
  build.add("Conv2d_4a_3x3", {80, 192, 3, 3}, 1, Builder::Edge::valid);
  build.add_a("Mixed_5b", 192, 32);
  build.add_a("Mixed_5c", 256, 64);
  build.add_a("Mixed_5d", 288, 64);
  build.add_b("Mixed_6a");
  build.add_c("Mixed_6b", 128);
  build.add_c("Mixed_6c", 160);
  build.add_c("Mixed_6d", 160);
  build.add_c("Mixed_6e", 192);
  build.add_d("Mixed_7a");
  build.add_e("Mixed_7b", 1280);
  build.add_e("Mixed_7c", 2048);
}

bool InceptionV3::knows(const StateDict& weights) {
  return std::any_of(weights.begin(), weights.end(),
                     [](const auto& entry) { return entry.first == "Conv2d_1a_3x3.conv.weight"; });
}

void InceptionV3::to(at::Device device) {
  for (auto& [name, layer] : convs_) {
    layer.weight = layer.weight.to(device);
    layer.bias = layer.bias.to(device);
  }
}

Tensor InceptionV3::conv(const std::string& name, const Tensor& x) const {
  const Conv& layer = convs_.at(name);
  const int64_t down = layer.same_size ? layer.weight.size(2) / 2 : 0;
  const int64_t right = layer.same_size ? layer.weight.size(3) / 2 : 0;
  return at::conv2d(x, layer.weight, layer.bias, {layer.stride, layer.stride}, at::IntArrayRef{down, right}).relu_();
}

Tensor InceptionV3::block_a(const std::string& name, const Tensor& x) const {
  const auto c = [&](const char* part, const Tensor& in) { return conv(name + "." + part, in); };
  return at::cat({c("branch1x1", x), c("branch5x5_2", c("branch5x5_1", x)),
                  c("branch3x3dbl_3", c("branch3x3dbl_2", c("branch3x3dbl_1", x))), c("branch_pool", average_3x3(x))},
                 1);
}

Tensor InceptionV3::block_b(const std::string& name, const Tensor& x) const {
  const auto c = [&](const char* part, const Tensor& in) { return conv(name + "." + part, in); };
  return at::cat({c("branch3x3", x), c("branch3x3dbl_3", c("branch3x3dbl_2", c("branch3x3dbl_1", x))), halve(x)}, 1);
}

Tensor InceptionV3::block_c(const std::string& name, const Tensor& x) const {
  const auto c = [&](const char* part, const Tensor& in) { return conv(name + "." + part, in); };
  const Tensor twice = c("branch7x7dbl_3", c("branch7x7dbl_2", c("branch7x7dbl_1", x)));
  return at::cat({c("branch1x1", x), c("branch7x7_3", c("branch7x7_2", c("branch7x7_1", x))),
                  c("branch7x7dbl_5", c("branch7x7dbl_4", twice)), c("branch_pool", average_3x3(x))},
                 1);
}

Tensor InceptionV3::block_d(const std::string& name, const Tensor& x) const {
  const auto c = [&](const char* part, const Tensor& in) { return conv(name + "." + part, in); };
  const Tensor seven = c("branch7x7x3_3", c("branch7x7x3_2", c("branch7x7x3_1", x)));
  return at::cat({c("branch3x3_2", c("branch3x3_1", x)), c("branch7x7x3_4", seven), halve(x)}, 1);
}

Tensor InceptionV3::block_e(const std::string& name, const Tensor& x, Pool pool) const {
  const auto c = [&](const char* part, const Tensor& in) { return conv(name + "." + part, in); };
  const Tensor three = c("branch3x3_1", x), twice = c("branch3x3dbl_2", c("branch3x3dbl_1", x));
  const Tensor pooled = pool == Pool::average ? average_3x3(x) : at::max_pool2d(x, {3, 3}, {1, 1}, {1, 1});
  return at::cat({c("branch1x1", x), c("branch3x3_2a", three), c("branch3x3_2b", three), c("branch3x3dbl_3a", twice),
                  c("branch3x3dbl_3b", twice), c("branch_pool", pooled)},
                 1);
}

Tensor InceptionV3::features(const Tensor& x) const {
  if (x.dim() != 4 || x.size(1) != 3) throw usage_error("Inception: expected pictures [B,3,H,W]");
  Tensor h = x.to(convs_.at("Conv2d_1a_3x3").weight.device(), at::kFloat);
  if (h.size(2) != kResolution || h.size(3) != kResolution)
    h = at::upsample_bilinear2d(h, {kResolution, kResolution}, /*align_corners=*/false);
  h = conv("Conv2d_2b_3x3", conv("Conv2d_2a_3x3", conv("Conv2d_1a_3x3", h)));
  h = conv("Conv2d_4a_3x3", conv("Conv2d_3b_1x1", halve(h)));
  h = block_a("Mixed_5d", block_a("Mixed_5c", block_a("Mixed_5b", halve(h))));
  h = block_c("Mixed_6c", block_c("Mixed_6b", block_b("Mixed_6a", h)));
  h = block_c("Mixed_6e", block_c("Mixed_6d", h));
  h = block_e("Mixed_7b", block_d("Mixed_7a", h), Pool::average);
  h = block_e("Mixed_7c", h, Pool::maximum);
  return h.mean(at::IntArrayRef{2, 3});
}

}  // namespace unnoise
