// The loss of a network's own objective on pictures that it was not trained on, with the same pictures, noise and
// timesteps each time it is asked: differences between averages of one run are then far smaller than the loss's own
// spread. Networks of different objectives are compared by held_out_eps_error.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

#include "unnoise/core/observer.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/recipes/held_out_pictures.h"

namespace unnoise {

struct HeldOutOptions {
  int64_t num_images = 1024;  ///< 0 = all
  int64_t batch_size = 64;
  uint64_t seed = 0;
};

class HeldOutObjectiveLoss {
 public:
  /// Pictures as the pipeline's network takes them: its size, its channels, cut in the middle. The network is borrowed.
  /// Error::usage when it takes others than square grey or colour ones.
  HeldOutObjectiveLoss(const std::shared_ptr<const Dataset>& data, const HeldOutOptions& options,
                       const Unconditional& pipe, const Observer& observer);

  int64_t num_images() const { return pictures_.x0.size(0); }

  /// Of the network as it is now, [num_images] float32: each picture's mean squared error of what the network is asked
  /// for, with the objective's standard weight, at levels of noise that are spread evenly over its own distribution.
  /// Undefined when stopped. `done` hears how many pictures are through.
  Tensor per_image(const std::function<void(int64_t)>& done, const std::stop_token& stop);

 private:
  const UNet2D& network_;
  std::shared_ptr<const NoiseProcess> process_;
  HeldOutPictures pictures_;
  AddedNoise noise_;
  int64_t batch_size_;
  bool self_conditioning_;
};

}  // namespace unnoise
