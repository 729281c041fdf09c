// The layers that hold weights. Each draws its weights as PyTorch does, so that a seed gives the same network there and
// here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "unnoise/nn/conv.h"
#include "unnoise/nn/module.h"
#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

struct Conv2dOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t kernel_size = 3;  ///< pixels, square
  int64_t stride = 1;
  int64_t padding = 0;                      ///< zeros on every side
  std::optional<int64_t> end_padding = {};  ///< below and right, where that differs
};

/// 2-D convolution with bias. [B,C_in,H,W] -> [B,C_out,H',W'].
/// Weight and bias are drawn from U(-1/sqrt(fan_in), 1/sqrt(fan_in)); with init = nullptr their memory is left unset,
/// to be loaded.
class Conv2d final : public Module {
 public:
  Conv2d(const Conv2dOptions& options, Rng* init);
  /// `sums` are added to every output, after the bias.
  Tensor operator()(const Remade& x, const ConvSums& sums = {}) const;
  std::string describe() const override;
  const Tensor& weight() const { return weight_; }  ///< [C_out,C_in,k,k]
  const Tensor& bias() const { return bias_; }      ///< [C_out]
  const Conv2dOptions& options() const { return options_; }

 private:
  Conv2dOptions options_;
  Tensor weight_, bias_;
  mutable PackCache packed_;
};

struct LinearOptions {
  int64_t in_features = 0;
  int64_t out_features = 0;
  bool bias = true;
};

/// [..., in] -> [..., out]; drawn as Conv2d.
class Linear final : public Module {
 public:
  Linear(const LinearOptions& options, Rng* init);
  /// `residual` [...,out] is added, where given.
  Tensor operator()(const Tensor& x, const Tensor& residual = {}) const;
  std::string describe() const override;
  const Tensor& weight() const { return weight_; }  ///< [out,in]
  const Tensor& bias() const { return bias_; }      ///< [out], undefined without bias

 private:
  LinearOptions options_;
  Tensor weight_, bias_;
  mutable PackCache packed_;
};

struct GroupNormOptions {
  int64_t groups = 32;
  int64_t channels = 0;
  double eps = 1e-5;
};

/// Wu and He 2018. [B,C,...] -> the same shape. Starts as weight 1, bias 0; draws nothing.
class GroupNorm final : public Module {
 public:
  /// Throws Error::usage when the groups do not divide the channels.
  explicit GroupNorm(const GroupNormOptions& options);
  Tensor operator()(const Tensor& x) const;
  /// x * sigmoid(x) of what operator() gives, in one go.
  Tensor with_silu(const Tensor& x) const;
  std::string describe() const override;
  const Tensor& weight() const { return weight_; }  ///< [C]
  const Tensor& bias() const { return bias_; }      ///< [C]
  const GroupNormOptions& options() const { return options_; }

 private:
  GroupNormOptions options_;
  Tensor weight_, bias_;
};

/// A learned row for each index. [...] int64 -> [..., dim]; drawn from N(0,1).
class Embedding final : public Module {
 public:
  Embedding(int64_t count, int64_t dim, Rng* init);
  /// Throws Error::usage, naming `what`, when an index is not in [0,count) (checked for CPU tensors).
  Tensor operator()(const Tensor& indices, const char* what) const;
  std::string describe() const override;
  const Tensor& weight() const { return weight_; }  ///< [count,dim]

 private:
  Tensor weight_;
};

/// Zeroes elements with probability p and scales the others by 1/(1-p), in training mode only. It draws from the Rng
/// that set_dropout_rng gave it, never from a global generator.
class Dropout final : public Module {
 public:
  explicit Dropout(double probability);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const override;
  /// Whether a call now would draw.
  bool is_active() const { return is_training() && probability_ > 0; }
  Rng* rng() const { return rng_; }
  void set_rng(Rng* rng) { rng_ = rng; }

 private:
  double probability_;
  Rng* rng_ = nullptr;
};

/// Gives every Dropout at or below `root` its random stream. `rng` must outlive their calls.
void set_dropout_rng(Module& root, Rng* rng);

}  // namespace unnoise
