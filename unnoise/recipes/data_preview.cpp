#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "unnoise/core/error.h"
#include "unnoise/data/transforms.h"
#include "unnoise/nn/rng.h"
#include "unnoise/recipes/data_jobs.h"
#include "unnoise/recipes/data_source.h"
#include "unnoise/recipes/evenly_spaced.h"
#include "unnoise/recipes/labelled_grid.h"
#include "unnoise/recipes/output_file.h"

namespace unnoise {
namespace {

constexpr int64_t kUsualColumns = 8, kLargestDefault = 128, kMostPictures = 100'000;

void check_preview_options(const DataPreviewOptions& o) {
  const auto check = [](std::string_view flag, int64_t value, int64_t least, int64_t most) {
    if (value < least || value > most)
      throw usage_error(fmt::format("{}: expected {} to {}, found {}", flag, least, most, value));
  };
  check("--num-images", o.num_images, 1, kMostPictures);
  if (o.columns) check("--columns", *o.columns, 1, kMostPictures);
  if (o.resolution) check("--resolution", *o.resolution, 1, 4096);
  check("--zoom", o.zoom, 1, 64);
  if (o.seed) check("--seed", *o.seed, 0, INT64_MAX);
}

/// `count` of `from`, evenly spread or drawn.
std::vector<int64_t> choose(const std::vector<int64_t>& from, int64_t count, const std::optional<int64_t>& seed) {
  std::vector<int64_t> chosen;
  const auto n = static_cast<int64_t>(from.size());
  if (!seed) {
    for (const int64_t k : evenly_spaced(n, count)) chosen.push_back(from[static_cast<size_t>(k)]);
    return chosen;
  }
  const Tensor order = Rng(static_cast<uint64_t>(*seed)).permutation(n);
  for (int64_t k = 0; k < std::min(count, n); ++k)
    chosen.push_back(from[static_cast<size_t>(order.const_data_ptr<int64_t>()[k])]);
  return chosen;
}

/// Every pixel `zoom` times as wide and high.
Image enlarged(const Image& image, int64_t zoom) {
  if (zoom == 1) return image;
  Image large = blank_image(image.width * zoom, image.height * zoom, image.channels);
  for (int64_t y = 0; y < large.height; ++y)
    for (int64_t x = 0; x < large.width; ++x)
      std::copy_n(image.row(y / zoom) + x / zoom * image.channels, image.channels, large.row(y) + x * image.channels);
  return large;
}

/// The middle square of picture i, as training with --center-crop sees it.
Image square_view(const Dataset& data, int64_t i, int64_t resolution) {
  const Image image =
      resize_for_training(data.read(i), {.resolution = resolution, .mode = ImageMode::rgb, .center_crop = true}).image;
  const int64_t top = (image.height - resolution) / 2, left = (image.width - resolution) / 2;
  Image square = blank_image(resolution, resolution, 3);
  for (int64_t y = 0; y < resolution; ++y) std::copy_n(image.row(top + y) + 3 * left, 3 * resolution, square.row(y));
  return square;
}

/// Views of the chosen pictures; damaged ones are named and grey.
std::vector<Image> views_of(const Dataset& data, const std::vector<int64_t>& chosen, const DataPreviewOptions& o,
                            int64_t resolution, const Observer& observer, const std::stop_token& stop) {
  std::vector<Image> views;
  observer.progress({.stage = "preview", .detail = fmt::format("{} pictures", chosen.size())});
  for (const int64_t i : chosen) {
    if (stop.stop_requested()) break;
    Image view = blank_image(resolution, resolution, 3);
    try {
      view = square_view(data, i, resolution);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::data) throw;
      observer.warn(e.message());
      std::fill(view.pixels.begin(), view.pixels.end(), uint8_t{128});
    }
    views.push_back(enlarged(view, o.zoom));
  }
  return views;
}

LabelledGrid grid_by_class(const Dataset& data, const DataPreviewOptions& o, int64_t resolution,
                           const Observer& observer, const std::stop_token& stop) {
  std::map<int64_t, std::vector<int64_t>> members;
  for (int64_t i = 0; i < data.size(); ++i) {
    const auto label = data.label(i);
    if (!label) throw usage_error("--by-class: these pictures have no classes");
    members[*label].push_back(i);
  }
  const int64_t columns = o.columns.value_or(std::min(o.num_images, kUsualColumns));
  LabelledGrid grid{fmt::format("{}: {}", o.data, o.split), {}, 1, {}};
  const auto names = data.label_names();
  const Image empty = blank_image(resolution * o.zoom, resolution * o.zoom, 3);
  for (const auto& [label, pictures] : members) {
    auto views = views_of(data, choose(pictures, columns, o.seed), o, resolution, observer, stop);
    views.resize(static_cast<size_t>(columns), empty);
    const bool named = label < static_cast<int64_t>(names.size());
    grid.rows.push_back({named ? names[static_cast<size_t>(label)] : std::to_string(label), std::move(views)});
  }
  return grid;
}

LabelledGrid grid_of_all(const Dataset& data, const DataPreviewOptions& o, int64_t resolution, const Observer& observer,
                         const std::stop_token& stop) {
  std::vector<int64_t> all(static_cast<size_t>(data.size()));
  std::iota(all.begin(), all.end(), 0);
  auto views = views_of(data, choose(all, o.num_images, o.seed), o, resolution, observer, stop);
  const auto columns = static_cast<size_t>(
      std::min(o.columns.value_or(kUsualColumns), static_cast<int64_t>(std::max<size_t>(views.size(), 1))));
  LabelledGrid grid{fmt::format("{}: {} of {} pictures ({})", o.data, views.size(), data.size(), o.split), {}, 1, {}};
  const Image empty = blank_image(resolution * o.zoom, resolution * o.zoom, 3);
  for (size_t at = 0; at < views.size(); at += columns) {
    LabelledRow row;
    for (size_t k = at; k < at + columns; ++k) row.pictures.push_back(k < views.size() ? views[k] : empty);
    grid.rows.push_back(std::move(row));
  }
  return grid;
}

}  // namespace

DataReport preview_data(const DataPreviewOptions& options, const Observer& observer, std::stop_token stop) {
  check_preview_options(options);
  if (options.data.empty()) throw usage_error("which pictures?", "Give a folder, an archive, or a name such as emoji.");
  prepare_output_file(options.output);
  const auto data = open_dataset(
      {.path_or_name = options.data, .split = options.split, .config = options.dataset_config_name.value_or("")},
      observer);
  int64_t resolution = options.resolution.value_or(0);
  if (resolution == 0) {
    const DecodedImage first = data->read(0);
    resolution = std::min({first.width, first.height, kLargestDefault});
  }
  const LabelledGrid grid = options.by_class ? grid_by_class(*data, options, resolution, observer, stop)
                                             : grid_of_all(*data, options, resolution, observer, stop);
  if (stop.stop_requested() || grid.rows.empty()) return {JobStatus::interrupted, ""};
  write_grid(options.output, grid, {{"Title", grid.title}});
  return {JobStatus::done, options.output + "\n"};
}

}  // namespace unnoise
