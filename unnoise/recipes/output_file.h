// Files that a job is asked to write at its end.
#pragma once

#include <string>

#include "unnoise/io/image_write.h"
#include "unnoise/recipes/labelled_grid.h"

namespace unnoise {

/// Makes the folders above `file`, so that a job fails before its work rather than after. Error::usage when the name is
/// a folder's.
void prepare_output_file(const std::string& file);

/// With labels when the name ends in .svg; else the pictures alone as PNG, with `text` in it.
void write_grid(const std::string& file, const LabelledGrid& grid, const PngText& text);

}  // namespace unnoise
