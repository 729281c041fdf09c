// The Inception network of the Fréchet Inception Distance: Szegedy et al. 2016 as its weights of 2015-12-05 want it,
// with the averages over borders that pytorch-fid's port copies from the original graph.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Weights are not ours to ship; the user brings the file.
class InceptionV3 {
 public:
  /// The weights under their names in pytorch-fid's pt_inception-2015-12-05 (and torch-fidelity's):
  /// "Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch_pool.bn.running_mean" ...; the decision ("fc") and counters are not
  /// needed. Error::data, naming `where`, for what is missing or of another shape.
  InceptionV3(const StateDict& weights, std::string_view where);

  /// Whether these look like its weights.
  static bool knows(const StateDict& weights);

  /// x [B,3,H,W] in [-1,1] -> [B,2048] float32: the mean over the pixels of the last maps ("pool3"). Other sizes than
  /// 299 x 299 are resized bilinearly without antialiasing, as pytorch-fid does.
  Tensor features(const Tensor& x) const;

  void to(at::Device device);
  static constexpr int64_t kFeatures = 2048, kResolution = 299;

 private:
  struct Conv {
    Tensor weight, bias;  // with the batch norm folded in
    int64_t stride;
    bool same_size;  // padded, else valid
  };
  struct Shape4 {
    int64_t in, out, height, width;
  };
  class Builder;

  Tensor conv(const std::string& name, const Tensor& x) const;
  Tensor block_a(const std::string& name, const Tensor& x) const;
  Tensor block_b(const std::string& name, const Tensor& x) const;
  Tensor block_c(const std::string& name, const Tensor& x) const;
  Tensor block_d(const std::string& name, const Tensor& x) const;
  enum class Pool { average, maximum };
  Tensor block_e(const std::string& name, const Tensor& x, Pool pool) const;

  std::map<std::string, Conv> convs_;
};

}  // namespace unnoise
