// Rows of pictures with a name beside each, as an SVG that any browser shows.
#pragma once

#include <string>
#include <vector>

#include "unnoise/io/image.h"

namespace unnoise {

struct LabelledRow {
  std::string label;
  std::vector<Image> pictures;
};

struct LabelledGrid {
  std::string title;
  std::vector<std::string> columns;  ///< a heading for every `columns_each` pictures
  int64_t columns_each = 1;
  std::vector<LabelledRow> rows;  ///< as many pictures in each; all of one size and number of channels
  bool ink = false;               ///< as ink on paper: 0 and the gaps are white
};

/// The pictures alone, one sheet.
Image sheet_of(const LabelledGrid& grid);
/// The sheet, embedded and enlarged where the pictures are small, with title, headings and labels.
std::string to_svg(const LabelledGrid& grid);

}  // namespace unnoise
