// Pictures drawn to be measured.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "unnoise/pipelines/unconditional.h"
#include "unnoise/recipes/picture_set.h"

namespace unnoise {

struct QualityDraw {
  int64_t num_images = 1000;
  int64_t batch_size = 16;
  std::string scheduler = "auto";     ///< a name; "as-saved"; "auto" = as saved, but ddim where that is DDPM
  std::optional<int64_t> steps;       ///< default: what the sampler usually takes
  std::vector<int64_t> class_labels;  ///< in turn; default: all classes in turn, of a class-conditional model
  uint64_t seed = 0;
};

struct DrawnPictures {
  PictureSet pictures;  ///< empty when stopped
  std::string how;      ///< "DDIMScheduler, 50 steps, seed 0"
};

/// Always the same pictures for the same weights and options.
DrawnPictures draw_to_measure(Unconditional pipe, const QualityDraw& draw, const Observer& observer,
                              const std::stop_token& stop);

}  // namespace unnoise
