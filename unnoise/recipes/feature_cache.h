// Features of pictures that were looked at before, kept in a folder: an Inception network takes minutes for a data set.
#pragma once

#include <stop_token>

#include "unnoise/core/files.h"
#include "unnoise/core/observer.h"
#include "unnoise/metrics/feature_network.h"

namespace unnoise {

class FeatureCache {
 public:
  /// An empty path keeps nothing.
  explicit FeatureCache(fs::path folder) : folder_(std::move(folder)) {}

  /// extract_features, or what was kept of these very pixels under this very network. A file is named by both, so it
  /// never goes stale; one that is damaged is written anew. Undefined when stopped.
  Tensor features(const FeatureNetwork& network, const Tensor& pixels, const Observer& observer,
                  const std::stop_token& stop) const;

 private:
  fs::path folder_;
};

}  // namespace unnoise
