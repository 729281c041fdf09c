// Random numbers: torch's CPU stream (mt19937), so that a seed means here what it means in diffusers.
#pragma once

#include <ATen/core/Generator.h>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// One CPU generator, or one an image of a batch. All draws are made on the CPU in float32 (or int64) and count in
/// order: the same seed and the same calls give the numbers that a torch.Generator("cpu") gives.
class Rng {
 public:
  explicit Rng(uint64_t seed = 0);
  Rng(Rng&&) = default;
  Rng& operator=(Rng&&) = default;
  Rng(const Rng&) = delete;  // a copy would share the stream
  Rng& operator=(const Rng&) = delete;
  /// A stream an image: normal({B,...}) then draws one [1,...] tensor from each, so a picture does not depend on its
  /// batch.
  static Rng per_image(const std::vector<uint64_t>& seeds);

  Tensor normal(const Shape& shape);         ///< N(0,1), float32; torch.randn
  Tensor normal_like(const Tensor& x);       ///< N(0,1) of x's shape, dtype and device (drawn on the CPU)
  Tensor uniform(const Shape& shape);        ///< [0,1), float32; torch.rand
  Tensor integers(int64_t high, int64_t n);  ///< [n] int64 in [0,high); torch.randint
  Tensor permutation(int64_t n);             ///< [n] int64; torch.randperm

  /// How many streams there are: 1, or the number of images.
  size_t streams() const { return generators_.size(); }
  /// The generator itself, for calls of LibTorch that take one. One stream only.
  at::Generator& generator();

  /// Everything that decides the next draws, to be saved and set again. [streams, n] uint8.
  Tensor state() const;
  void set_state(const Tensor& state);

 private:
  std::vector<at::Generator> generators_;
};

}  // namespace unnoise
