// The networks of "The Annotated Diffusion Model" (Rogge and Rasul 2022, a Hugging Face blog post after
// github.com/lucidrains/denoising-diffusion-pytorch), of which two versions went round: residual blocks with
// standardised weights, and before that ConvNeXT blocks. Keys are those of the post's modules.
//
// One thing is put right: the post multiplies weights by their deviation where it means to divide by it
// (StandardizedConv2d divides), so weights trained with its code load here but mean something else.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "unnoise/nn/module.h"
#include "unnoise/nn/rng.h"

namespace unnoise {

enum class AnnotatedBlock { resnet, convnext };
constexpr auto enum_names(AnnotatedBlock) {
  return std::array{std::pair{AnnotatedBlock::resnet, "resnet"}, std::pair{AnnotatedBlock::convnext, "convnext"}};
}

/// The defaults are the post's network for Fashion-MNIST: 2,020,257 parameters, with convnext 2,996,315.
struct AnnotatedUNetOptions {
  AnnotatedBlock block = AnnotatedBlock::resnet;
  int64_t dim = 28;                            ///< channels, times dim_mults at each level; even
  std::vector<int64_t> dim_mults = {1, 2, 4};  ///< one a level; each next level has half the size
  int64_t channels = 1;                        ///< of the picture
  int64_t groups = 4;                          ///< of resnet's norms
  /// The network sees its last guess beside the picture (Chen, Zhang and Hinton 2022, "Analog Bits", section 3.2).
  bool self_condition = false;
};

class AnnotatedUNet : public Module {
 public:
  /// x [B,channels,H,W], H and W multiples of 2^(levels-1); timesteps [B], of any dtype; x_self_cond as x, only where
  /// the network is self-conditioned; without it zeros. -> [B,channels,H,W], the noise in x, or what else it is trained
  /// for. Throws Error::usage when something does not fit.
  Tensor operator()(const Tensor& x, const Tensor& timesteps, const Tensor& x_self_cond = {}) const;

  const AnnotatedUNetOptions& options() const { return options_; }
  std::string describe() const override { return "AnnotatedUNet"; }

 protected:
  explicit AnnotatedUNet(const AnnotatedUNetOptions& options) : options_(options) {}
  int64_t input_channels() const { return options_.channels * (options_.self_condition ? 2 : 1); }
  virtual Tensor forward(const Tensor& x, const Tensor& timesteps) const = 0;

 private:
  AnnotatedUNetOptions options_;
};

/// Draws the weights from `init` in the order of the post's constructors; with nullptr they are left unset, to be
/// loaded. Throws Error::usage for options that make no network.
std::unique_ptr<AnnotatedUNet> make_annotated_unet(const AnnotatedUNetOptions& options, Rng* init);

}  // namespace unnoise
