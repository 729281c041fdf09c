// What drawn pictures are compared with, read from the model's data: by one rule for `unnoise evaluate`, the trainer
// and `unnoise ema`, so that they come to the same numbers.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>

#include "unnoise/data/loader.h"
#include "unnoise/recipes/quality.h"

namespace unnoise {

struct ReferenceSource {
  std::shared_ptr<const Dataset> training;  ///< what the model learnt from
  std::shared_ptr<const Dataset> unseen;    ///< what it did not; nullptr = there is none
  bool trust_unseen = false;                ///< as in ReferencePictures; else fewer than 100 are not used: too coarse
  LoaderOptions reading;                    ///< how pictures are brought to one size
  int64_t num_reference = 0;                ///< compare with only so many, drawn at random; 0 = all
  bool mirrored = false;                    ///< the model learnt from mirror images too
};

/// Reads the pictures, and extracts their features. nullopt when stopped.
std::optional<QualityReference> read_reference(const ReferenceSource& source,
                                               std::shared_ptr<const FeatureNetwork> network,
                                               const QualityOptions& options, const Observer& observer,
                                               const std::stop_token& stop);

}  // namespace unnoise
