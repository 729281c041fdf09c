#include "unnoise/containers/parquet.h"

#include "unnoise/containers/module.h"

namespace unnoise {
namespace {

const ParquetModule& parquet_module() {
  static const auto* module = static_cast<const ParquetModule*>(load_container_module("unnoise_parquet"));
  return *module;
}

}  // namespace

std::unique_ptr<ParquetFile> open_parquet(const fs::path& file) { return parquet_module().open(file); }

std::unique_ptr<ParquetWriter> create_parquet(const fs::path& file, const PictureTable& table) {
  return parquet_module().create(file, table);
}

}  // namespace unnoise
