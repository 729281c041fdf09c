#include "unnoise/recipes/output_file.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"

namespace unnoise {

void prepare_output_file(const std::string& file) {
  const fs::path path = file;
  if (!path.has_filename() || fs::is_directory(path))
    throw usage_error(fmt::format("\"{}\" is a folder; give a file's name", file));
  if (path.has_parent_path()) make_folders(path.parent_path());
}

void write_grid(const std::string& file, const LabelledGrid& grid, const PngText& text) {
  if (fs::path(file).extension() == ".svg")
    write_file_atomic(file, to_svg(grid));
  else
    write_png(file, sheet_of(grid), text);
}

}  // namespace unnoise
