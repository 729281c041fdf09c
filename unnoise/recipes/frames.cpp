#include "unnoise/recipes/frames.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/nn/beside.h"
#include "unnoise/recipes/evenly_spaced.h"

namespace unnoise {
namespace {

constexpr size_t kMostKept = 64;  // of an adaptive method, whose last step nobody knows before

std::vector<Image> first_pictures(const Tensor& x) {
  return to_images(x.narrow(0, 0, std::min(x.size(0), Frames::kPictures)));
}

}  // namespace

Tensor to_unit_spread(const Tensor& x) {
  const Tensor spread = x.flatten(1).std(1, /*unbiased=*/false).clamp_min(1.0);
  return x / beside(spread, x);
}

void Frames::add(const SampleStep& at) {
  if (at.first_image != 0) return;
  const auto wanted = evenly_spaced(at.steps, kColumns);
  if (std::find(wanted.begin(), wanted.end(), at.step - 1) == wanted.end()) return;
  if (frames_.size() == kMostKept)  // every second stays
    std::erase_if(frames_, [i = 0](const Frame&) mutable { return i++ % 2 == 1; });
  frames_.push_back(
      {at.step, first_pictures(to_unit_spread(at.x)), at.x0.defined() ? first_pictures(at.x0) : std::vector<Image>{}});
}

std::vector<Frames::Frame> Frames::chosen() const {
  std::vector<Frame> out;
  for (const int64_t i : evenly_spaced(static_cast<int64_t>(frames_.size()), kColumns))
    out.push_back(frames_[static_cast<size_t>(i)]);
  return out;
}

std::vector<int64_t> Frames::steps() const {
  std::vector<int64_t> out;
  for (const Frame& frame : chosen()) out.push_back(frame.step);
  return out;
}

LabelledGrid Frames::grid() const {
  const auto columns = chosen();
  if (columns.empty()) throw usage_error("frames: no step was taken");
  const bool has_x0 = std::none_of(columns.begin(), columns.end(), [](const Frame& f) { return f.x0.empty(); });
  LabelledGrid grid{.title = "From noise to pictures", .columns = {}, .rows = {}};
  for (const Frame& frame : columns) grid.columns.push_back(fmt::format("step {}", frame.step));
  for (size_t picture = 0; picture < columns[0].x.size(); ++picture) {
    LabelledRow x{"x after the step", {}}, x0{"x0 that the network sees", {}};
    for (const Frame& frame : columns) {
      x.pictures.push_back(frame.x[picture]);
      if (has_x0) x0.pictures.push_back(frame.x0[picture]);
    }
    grid.rows.push_back(std::move(x));
    if (has_x0) grid.rows.push_back(std::move(x0));
  }
  return grid;
}

}  // namespace unnoise
