// A Brownian path that can be asked for any stretch of it, in any order, and always answers alike: noise for methods
// that look at a stretch and at its half. The numbers are those of torchsde's BrownianInterval (Kidger et al. 2021,
// "Efficient and Accurate Gradients for Neural SDEs"; Li et al. 2020, "Scalable Gradients for SDEs", section 4) as
// diffusers and k-diffusion use it.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// NumPy's SeedSequence with a pool of 24 words: from one seed the independent seeds of a tree's nodes.
class SeedSequence {
 public:
  explicit SeedSequence(uint64_t entropy);
  /// n words of this sequence, and of its child `spawn_key` (numbers below 2^64).
  std::vector<uint32_t> words(size_t n) const;
  std::vector<uint32_t> child_words(const std::vector<uint64_t>& spawn_key, size_t n) const;

 private:
  std::vector<uint32_t> pool_;
  uint32_t hash_;
};

/// W on [t0, t1], halved as far as a question needs it, to 1e-6.
class BrownianTree {
 public:
  BrownianTree(double t0, double t1, Shape shape, uint64_t seed);

  /// W(b) - W(a) for a <= b, float32 of the tree's shape; what lies outside of [t0, t1] counts as its end.
  Tensor increment(double a, double b);

 private:
  struct Node {
    double start, end;
    uint64_t key;  // the path to it: the parent's key doubled, plus 1 for the right half
    uint64_t depth;
  };
  using Halves = std::pair<Tensor, Tensor>;

  void collect(const Node& node, const Tensor& w, double a, double b, std::vector<Tensor>& parts);
  Halves halves(const Node& node, double middle, const Tensor& w);
  Tensor normal(uint32_t seed) const;

  const SeedSequence seeds_;
  const Shape shape_;
  const Node root_;
  Tensor root_w_;
  std::map<std::pair<uint64_t, uint64_t>, Halves> now_, before_;  // what this question and the last one halved
};

/// Standard normal noise for a step from one sigma to another: (W(to) - W(from)) / sqrt|to - from|.
class BrownianNoise {
 public:
  /// Pictures like x ([B,C,H,W]) between the two levels. Without a seed, one is drawn from `rng` as one int64 below
  /// 2^63 - 1; from an Rng with a stream an image, one each, so that no picture depends on its batch.
  BrownianNoise(const Tensor& x, float sigma_min, float sigma_max, std::optional<int64_t> seed, Rng& rng);

  /// Of x's shape, dtype and device.
  Tensor operator()(float sigma, float sigma_next);

 private:
  std::vector<BrownianTree> trees_;  // one, or one a picture
  at::TensorOptions options_;
};

/// Throws Error::usage when the seed is negative.
void check_noise_seed(std::string_view class_name, std::optional<int64_t> seed);

}  // namespace unnoise
