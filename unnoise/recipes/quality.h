// How good drawn pictures are, in all the numbers of unnoise/metrics: what `unnoise evaluate` prints and the trainer
// logs.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "unnoise/core/json.h"
#include "unnoise/core/observer.h"
#include "unnoise/metrics/bootstrap.h"
#include "unnoise/metrics/copying.h"
#include "unnoise/metrics/feature_network.h"
#include "unnoise/metrics/frechet_distance.h"
#include "unnoise/recipes/metric.h"
#include "unnoise/recipes/picture_set.h"

namespace unnoise {

struct QualityOptions {
  std::vector<Metric> metrics;
  uint64_t seed = 0;    ///< of everything that is drawn: subsets, directions, bootstrap
  fs::path cache = {};  ///< folder in which the reference's features are kept; empty = none

  bool wants(Metric metric) const;
};

/// The pictures that drawn ones are compared with (reference_pictures.h reads them).
struct ReferencePictures {
  PictureSet training;     ///< the model learnt from them
  int64_t drawn_from = 0;  ///< number of training pictures that there are, of which those may be some; 0 = no others
  bool mirrored = false;   ///< their mirror images are training pictures too
  PictureSet unseen;  ///< it has not seen these, which calibrate the check for copies; empty = the training pictures
                      ///< do, each against the others
  bool trust_unseen = false;  ///< a set that is mostly training pictures is then an error, else left out with a warning
};

/// What drawn pictures are compared with, its features extracted once.
class QualityReference {
 public:
  /// When stopped, is_complete() is false. Error::usage for too few pictures.
  QualityReference(ReferencePictures pictures, std::shared_ptr<const FeatureNetwork> network,
                   const QualityOptions& options, const Observer& observer, const std::stop_token& stop);

  bool is_complete() const { return complete_; }
  const PictureSet& training() const { return pictures_.training; }
  const FeatureNetwork& network() const { return *network_; }
  const QualityOptions& options() const { return options_; }

 private:
  friend class QualityMeasurement;

  /// Scores of pictures that are no copies; false when stopped.
  bool calibrate(const Observer& observer, const std::stop_token& stop);

  QualityOptions options_;
  ReferencePictures pictures_;
  int64_t originals_ = 0;  // of the training pictures; the others are their mirror images
  std::shared_ptr<const FeatureNetwork> network_;
  Tensor features_;  // [N,D]
  std::optional<FrechetReference> frechet_;
  Tensor unseen_pixel_scores_, unseen_feature_scores_;  // [M]
  bool complete_ = false;
};

/// The nearest training picture of each drawn one, in one space.
struct CopyReport {
  CopyCheck check;
  Tensor nearest;  ///< [N] int64 into QualityReference::training()
};

struct Quality {
  std::string features;  ///< the network's name
  int64_t num_images = 0, num_reference = 0, compared = 0;
  int64_t num_features = 0;
  std::optional<Estimate> fd, fd_infinity, kd, precision, recall, density, coverage, swd, mmd;
  double swd_real = 0;  ///< what two sets of training pictures of the same number are apart; 0 = too few to tell
  double mmd_bandwidth = 0;
  std::optional<CopyReport> pixel_copies, feature_copies;
  bool calibrated_by_unseen = false;
  std::vector<std::string> notes;  ///< what was adapted or left out, and why

  bool copies() const;
};

/// Fewer drawn pictures than this say nothing.
inline constexpr int64_t kLeastPictures = 16;

/// `generated` [N,C,H,W] uint8 of the reference's channels and size. Nothing when stopped. Error::usage when there are
/// too few.
std::optional<Quality> measure_quality(const PictureSet& generated, const QualityReference& reference,
                                       const Observer& observer, const std::stop_token& stop);

/// What `unnoise evaluate --json` prints and log.jsonl keeps; quality_numbers.h reads it.
Json to_json(const Quality& quality);
/// A table for people, with notes and the verdict on copying.
std::string to_text(const Quality& quality);

/// The features of pictures [N,C,H,W] uint8, [N,D] float32; undefined when stopped.
Tensor extract_features(const FeatureNetwork& network, const Tensor& pixels, const Observer& observer,
                        const std::stop_token& stop);

}  // namespace unnoise
