// The denoising loss on pictures that a network was not trained on, with the same pictures, noise and timesteps for
// every network that is asked: differences between networks are then far smaller than the loss's own spread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "unnoise/core/observer.h"
#include "unnoise/data/loader.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/training/noise_process.h"

namespace unnoise {

struct HeldOutOptions {
  std::string data;  ///< as DatasetOptions::path_or_name
  std::string split = "test";
  int64_t num_images = 1024;  ///< 0 = all
  int64_t batch_size = 64;
  uint64_t seed = 0;
};

class HeldOutLoss {
 public:
  /// Pictures as the pipeline's network takes them: its size, its channels, cut in the middle. The network is borrowed.
  /// Error::usage when it takes others than square grey or colour ones.
  HeldOutLoss(const HeldOutOptions& options, const Unconditional& pipe, const Observer& observer);

  int64_t num_images() const { return num_images_; }

  /// Of the network as it is now, [num_images] float32: each picture's mean squared error of what the network is asked
  /// for, with the objective's standard weight, at levels of noise that are spread evenly over its own distribution.
  /// Undefined when stopped. `done` hears how many pictures are through.
  Tensor per_image(const std::function<void(int64_t)>& done, const std::stop_token& stop);

 private:
  const UNet2D& network_;
  std::shared_ptr<const NoiseProcess> process_;
  std::unique_ptr<Loader> loader_;
  uint64_t seed_;
  int64_t num_images_;
  bool self_conditioning_;
  bool with_labels_;
};

}  // namespace unnoise
