// Parquet files by Arrow: what parquet_module.cpp hands to the program.
#pragma once

#include <memory>

#include "unnoise/containers/parquet.h"

namespace unnoise {

std::unique_ptr<ParquetFile> open_arrow_file(const fs::path& file);
std::unique_ptr<ParquetWriter> create_arrow_file(const fs::path& file, const PictureTable& table);

}  // namespace unnoise
