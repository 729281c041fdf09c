#include "unnoise/recipes/labelled_grid.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/base64.h"
#include "unnoise/core/error.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/io/image_write.h"

namespace unnoise {
namespace {

constexpr int64_t kPadding = 2, kLabelWidth = 190, kHeadHeight = 48;
constexpr int64_t kReadableSize = 48;  // pixels a picture should have on the page

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else
      out += c;
  }
  return out;
}

}  // namespace

Image sheet_of(const LabelledGrid& grid) {
  std::vector<Image> all;
  for (const LabelledRow& row : grid.rows) all.insert(all.end(), row.pictures.begin(), row.pictures.end());
  if (all.empty()) throw usage_error("a grid without pictures");
  Image sheet = image_grid(all, static_cast<int64_t>(grid.rows.front().pictures.size()), kPadding);
  return grid.ink ? inverted(std::move(sheet)) : sheet;
}

std::string to_svg(const LabelledGrid& grid) {
  const Image sheet = sheet_of(grid);
  const Image& one = grid.rows.front().pictures.front();
  const int64_t zoom = (kReadableSize - 1) / std::max(one.width, one.height) + 1;
  const int64_t width = sheet.width * zoom, height = sheet.height * zoom;
  const int64_t cell_width = (one.width + kPadding) * zoom, cell_height = (one.height + kPadding) * zoom;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      "<text x=\"8\" y=\"20\" font-size=\"15\" font-weight=\"bold\">{2}</text>\n",
      kLabelWidth + width + 8, kHeadHeight + height + 8, escaped(grid.title));
  for (size_t i = 0; i < grid.columns.size(); ++i)
    svg += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n",
                       kLabelWidth + kPadding * zoom + static_cast<int64_t>(i) * grid.columns_each * cell_width,
                       kHeadHeight - 6, escaped(grid.columns[i]));
  for (size_t i = 0; i < grid.rows.size(); ++i)
    svg += fmt::format("<text x=\"8\" y=\"{}\" dominant-baseline=\"middle\">{}</text>\n",
                       kHeadHeight + static_cast<int64_t>(i) * cell_height + (kPadding + one.height / 2) * zoom,
                       escaped(grid.rows[i].label));
  svg += fmt::format(
      "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" style=\"image-rendering:pixelated\" "
      "href=\"data:image/png;base64,{}\"/>\n</svg>\n",
      kLabelWidth, kHeadHeight, width, height, base64(encode_png(sheet)));
  return svg;
}

}  // namespace unnoise
