// The networks whose features the metrics compare pictures by, behind one interface.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "unnoise/models/classifier.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

class FeatureNetwork {
 public:
  virtual ~FeatureNetwork() = default;

  /// x [B,C,H,W] in [-1,1], C = 1 or 3, any size -> [B,D] float32 on the CPU. Pictures of another size or number
  /// of channels than the network's are resized (antialiased bilinear), turned to grey (ITU-R 601-2) or repeated.
  virtual Tensor operator()(const Tensor& x) const = 0;

  /// "fmnist", "inception", "pixels": the distances are called FD-fmnist, FID, FD-pixels.
  virtual std::string name() const = 0;
  /// For reports: what becomes of pictures [channels,size,size] on their way in; "" when they fit.
  virtual std::string adaptation(int64_t channels, int64_t size) const = 0;
  virtual void to(at::Device device) = 0;
  /// Changes when any weight does: tells kept features of another network apart.
  virtual std::string fingerprint() const = 0;
};

/// - "fmnist": the classifier that comes with unnoise, trained on Fashion-MNIST;
/// - "pixels": no network, the pixels themselves, of pictures of more than 16 pixels a side after reduction to 16;
/// - a file: a classifier that `unnoise classifier` made, or the Inception network of the FID as pytorch-fid and
///   torch-fidelity distribute it (.safetensors, .pt or .pth).
/// Error::usage for an unknown name, Error::data for a file that holds neither.
std::unique_ptr<FeatureNetwork> load_feature_network(const std::string& name_or_file);

/// A classifier's file: half-precision weights, the options and `about` as JSON in the metadata.
void save_classifier(const std::string& file, const Classifier& classifier, const Json& about);

/// The same file, read. Error::data when it holds something else.
std::unique_ptr<Classifier> load_classifier(const std::string& file);

/// Pictures [B,C,H,W] as [B,channels,size,size], float32.
Tensor adapt_pictures(const Tensor& x, int64_t channels, int64_t size);

}  // namespace unnoise
