// A small convolutional network that tells classes of pictures apart. Its last features before the decision are what
// the metrics compare pictures by, as the FID does with the Inception network's.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/nn/layers.h"

namespace unnoise {

/// Everything that the weights do not say; kept in the metadata of their file.
struct ClassifierOptions {
  int64_t channels = 1;     ///< of the pictures: 1 grey, 3 RGB
  int64_t resolution = 28;  ///< pixels a side that it was trained at
  int64_t num_classes = 10;
  std::vector<int64_t> widths = {16, 32, 64, 96};  ///< channels at the full resolution and after each halving
  int64_t norm_groups = 8;
  double mean = 0.5;       ///< of the training pictures, in [0,1]: what the network sees is (v - mean) / deviation
  double deviation = 0.5;  ///< likewise

  bool operator==(const ClassifierOptions&) const = default;

  static constexpr auto fields() {
    using O = ClassifierOptions;
    return std::tuple{field("channels", &O::channels, "channels of the pictures"),
                      field("resolution", &O::resolution, "pixels a side"),
                      field("num_classes", &O::num_classes, "classes"),
                      field("widths", &O::widths, "channels at the full resolution and after each halving"),
                      field("norm_groups", &O::norm_groups, "groups of the norms"),
                      field("mean", &O::mean, "mean of the training pictures in [0,1]"),
                      field("deviation", &O::deviation, "their standard deviation")};
  }
};

class Classifier final : public Module {
 public:
  /// A convolution, then for each further width a halving and a residual convolution, all 3x3 with GroupNorm and SiLU;
  /// the mean over the pixels; a linear decision. With nullptr the weights are left unset, to be loaded. Error::usage
  /// for options that make no network.
  Classifier(const ClassifierOptions& options, Rng* init);

  /// x [B,channels,H,W] in [-1,1] -> [B,num_features] float32. Other sizes than `resolution` give features, but not
  /// those of the training.
  Tensor features(const Tensor& x) const;
  /// [B,num_features] -> [B,num_classes], not normalised.
  Tensor logits(const Tensor& features) const { return decision_(features); }
  Tensor operator()(const Tensor& x) const { return logits(features(x)); }

  int64_t num_features() const { return options_.widths.back(); }
  const ClassifierOptions& options() const { return options_; }
  std::string describe() const override { return "Classifier"; }

 private:
  ClassifierOptions options_;
  Conv2d conv_in_;
  ModuleList<GroupNorm> halving_norms_, norms_;
  ModuleList<Conv2d> halvings_, convs_;
  GroupNorm norm_out_;
  Linear decision_;
};

}  // namespace unnoise
