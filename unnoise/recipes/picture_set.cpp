#include "unnoise/recipes/picture_set.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/nn/rng.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

constexpr double kMostBytes = 8e9;

}  // namespace

Tensor to_bytes(const Tensor& x) {
  const Tensor unit = x.detach().cpu().to(at::kFloat).div(2).add(0.5).nan_to_num(0.0).clamp(0, 1);
  return unit.mul(255).round().to(at::kByte);
}

Tensor from_bytes(const Tensor& pixels) { return pixels.to(at::kFloat).div_(127.5).sub_(1); }

PictureSet read_pictures(const std::shared_ptr<const Dataset>& data, LoaderOptions options, int64_t count,
                         const Observer& observer, const std::stop_token& stop) {
  count = count == 0 ? data->size() : std::min(count, data->size());
  const double bytes = static_cast<double>(count * image_channels(options.mode)) *
                       static_cast<double>(options.resolution * options.resolution);
  if (bytes > kMostBytes)
    throw usage_error(fmt::format("{} pictures of {} pixels would take {} of memory", human_count(count),
                                  options.resolution, human_bytes(bytes)),
                      "Take fewer: --num-reference.");
  options.shuffle = count < data->size();
  options.random_flip = false;
  options.cache_bytes = 0;
  options.batch_size = std::min<int64_t>(count, 256);
  Loader loader(data, options, observer);
  std::vector<Tensor> pixels, labels;
  const auto started = std::chrono::steady_clock::now();
  for (int64_t done = 0; done < count && !stop.stop_requested();) {
    const Batch batch = loader.next();
    const int64_t take = std::min(batch.images.size(0), count - done);
    pixels.push_back(to_bytes(batch.images.narrow(0, 0, take)));
    if (batch.labels.defined()) labels.push_back(batch.labels.narrow(0, 0, take));
    done += take;
    const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    observer.progress({.stage = "read pictures",
                       .done = done,
                       .total = count,
                       .detail = {},
                       .per_second = static_cast<double>(done) / passed,
                       .seconds_left = passed / static_cast<double>(done) * static_cast<double>(count - done)});
  }
  PictureSet set;
  if (!pixels.empty()) set.pixels = at::cat(pixels);
  if (!labels.empty()) set.labels = at::cat(labels);
  return set;
}

PictureSet with_mirrored(const PictureSet& set) {
  return {at::cat({set.pixels, set.pixels.flip({3})}),
          set.labels.defined() ? at::cat({set.labels, set.labels}) : Tensor()};
}

PictureSet draw_pictures(const PictureSet& set, int64_t count, uint64_t seed) {
  if (count >= set.size()) return set;
  const Tensor places = Rng(seed).permutation(set.size()).narrow(0, 0, count);
  return {set.pixels.index_select(0, places), set.labels.defined() ? set.labels.index_select(0, places) : Tensor()};
}

}  // namespace unnoise
