// The way from noise to pictures on one sheet: what the sampler holds at a step, and below it what the network already
// sees in it.
#pragma once

#include <cstdint>
#include <vector>

#include "unnoise/io/image.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/recipes/labelled_grid.h"

namespace unnoise {

/// At most kColumns steps, evenly spaced, the first and the last among them; a pair of rows a picture, for the first
/// kPictures of a job's first batch.
class Frames {
 public:
  static constexpr int64_t kColumns = 10, kPictures = 4;

  void add(const SampleStep& at);
  /// Steps that the columns show, from 1.
  std::vector<int64_t> steps() const;
  /// A pair of rows a picture: x after each step, then the predicted x0; where a method predicts none, x alone. Needs
  /// one step at least.
  LabelledGrid grid() const;

 private:
  struct Frame {
    int64_t step;
    std::vector<Image> x, x0;
  };
  std::vector<Frame> chosen() const;

  std::vector<Frame> frames_;
};

/// x [B,C,H,W] as pictures of noise are best seen: where a picture's spread is above that of pure noise, as with
/// samplers that let the variance grow (k-diffusion, EDM), it is scaled down to it.
Tensor to_unit_spread(const Tensor& x);

}  // namespace unnoise
