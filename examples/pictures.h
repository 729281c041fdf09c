// A whole small data set as one tensor: what fits in memory needs no loader.
#pragma once

#include <ATen/ops/cat.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/data/loader.h"

namespace examples {

/// The first `count` pictures, or all, in grey, [N,1,size,size] in [-1,1]. "fashion-mnist", an IDX file or a folder of
/// them (MNIST's own files), or a folder of pictures, which are shrunk to `size`.
inline at::Tensor load_pictures(const std::string& path, int64_t size, std::optional<int64_t> count) {
  constexpr int64_t kPart = 1000;
  unnoise::Loader loader(unnoise::open_dataset({.path_or_name = path}),
                         {.resolution = size, .mode = unnoise::ImageMode::grey, .batch_size = kPart, .shuffle = false});
  const int64_t wanted = count.value_or(std::numeric_limits<int64_t>::max());
  if (wanted < 1) throw unnoise::usage_error("--pictures: expected at least 1");
  std::vector<at::Tensor> parts;
  for (int64_t i = 0; i < loader.batches_per_epoch() && i * kPart < wanted; ++i) parts.push_back(loader.next().images);
  return at::cat(parts).slice(0, 0, wanted);
}

}  // namespace examples
