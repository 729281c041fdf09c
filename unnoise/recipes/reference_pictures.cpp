#include "unnoise/recipes/reference_pictures.h"

#include <utility>

namespace unnoise {
namespace {

constexpr int64_t kFewestUnseen = 100, kMostUnseen = 2000;

}  // namespace

std::optional<QualityReference> read_reference(const ReferenceSource& source,
                                               std::shared_ptr<const FeatureNetwork> network,
                                               const QualityOptions& options, const Observer& observer,
                                               const std::stop_token& stop) {
  const bool calibrates =
      options.wants(Metric::nn) && source.unseen && (source.trust_unseen || source.unseen->size() >= kFewestUnseen);
  ReferencePictures pictures{
      .training = read_pictures(source.training, source.reading, source.num_reference, observer, stop),
      .drawn_from = source.training->size(),
      .mirrored = source.mirrored,
      .unseen = calibrates ? read_pictures(source.unseen, source.reading, kMostUnseen, observer, stop) : PictureSet(),
      .trust_unseen = source.trust_unseen};
  QualityReference reference(std::move(pictures), std::move(network), options, observer, stop);
  if (!reference.is_complete()) return std::nullopt;
  return reference;
}

}  // namespace unnoise
