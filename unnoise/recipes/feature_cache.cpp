#include "unnoise/recipes/feature_cache.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "unnoise/core/error.h"
#include "unnoise/core/fnv1a.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/recipes/quality.h"

namespace unnoise {
namespace {

constexpr const char* kKept = "features";

/// Of the pixels and their shape.
std::string hash_pixels(const Tensor& pixels) {
  const Tensor bytes = pixels.contiguous();
  Fnv1a hash;
  hash.add(bytes.const_data_ptr(), bytes.nbytes());
  return fmt::format("{:016x}-{}", hash.value(), fmt::join(pixels.sizes(), "x"));
}

}  // namespace

Tensor FeatureCache::features(const FeatureNetwork& network, const Tensor& pixels, const Observer& observer,
                              const std::stop_token& stop) const {
  if (folder_.empty()) return extract_features(network, pixels, observer, stop);
  const fs::path file =
      folder_ / fmt::format("{}-{}-{}.safetensors", network.name(), network.fingerprint(), hash_pixels(pixels));
  if (fs::exists(file)) try {
      const Tensor kept = SafetensorsFile::open(file).tensor(kKept);
      if (kept.dim() == 2 && kept.size(0) == pixels.size(0) && kept.scalar_type() == at::kFloat) return kept;
    } catch (const Error& error) {
      observer.warn(fmt::format("{}: extracting the features again", error.message()));
    }
  const Tensor found = extract_features(network, pixels, observer, stop);
  if (!found.defined()) return found;
  make_folders(folder_);
  save_safetensors(file, {{kKept, found}});
  return found;
}

}  // namespace unnoise
