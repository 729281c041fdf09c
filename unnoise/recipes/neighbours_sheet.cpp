#include "unnoise/recipes/neighbours_sheet.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "unnoise/io/image_grid.h"

namespace unnoise {
namespace {

constexpr int64_t kGroupsARow = 5, kRows = 8;

/// 1 at the threshold, 0 for a copy.
Tensor over_threshold(const CopyCheck& check) { return check.scores / std::max(check.threshold, 1e-9); }

}  // namespace

LabelledGrid neighbours_sheet(const PictureSet& generated, const QualityReference& reference, const Quality& quality) {
  const CopyReport& by_pixels = *quality.pixel_copies;
  const CopyReport& by_features = *quality.feature_copies;
  const Tensor suspicion = at::minimum(over_threshold(by_pixels.check), over_threshold(by_features.check));
  const Tensor order = std::get<1>(suspicion.sort(0));
  const int64_t row_size = std::min(kGroupsARow, order.numel());
  const int64_t rows = std::min(kRows, order.numel() / row_size);

  LabelledGrid grid{
      .title = fmt::format("Drawn pictures beside the nearest training pictures, by pixels and by features "
                           "({}); most suspicious first, 1.00 is the threshold",
                           quality.features),
      .columns = std::vector<std::string>(static_cast<size_t>(row_size), "drawn, by pixels, by features"),
      .columns_each = 4,
      .rows = {}};
  const Tensor& training = reference.training().pixels;
  const Tensor white = at::full_like(generated.pixels.narrow(0, 0, row_size), 255);
  for (int64_t row = 0; row < rows; ++row) {
    const Tensor drawn = order.narrow(0, row * row_size, row_size);
    const Tensor groups = at::stack({generated.pixels.index_select(0, drawn),
                                     training.index_select(0, by_pixels.nearest.index_select(0, drawn)),
                                     training.index_select(0, by_features.nearest.index_select(0, drawn)), white},
                                    1)
                              .flatten(0, 1)
                              .slice(0, 0, 4 * row_size - 1);  // [4 row_size - 1,C,H,W], no gap behind the last group
    const Tensor scores = suspicion.index_select(0, drawn);
    grid.rows.push_back({fmt::format("{:.2f} to {:.2f}", scores[0].item<double>(), scores[-1].item<double>()),
                         to_images(from_bytes(groups))});
  }
  return grid;
}

}  // namespace unnoise
