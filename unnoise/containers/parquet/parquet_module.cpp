// libunnoise_parquet.so: Parquet by Arrow.
#include <cstring>

#include "unnoise/containers/module.h"
#include "unnoise/containers/parquet/arrow_file.h"
#include "unnoise/core/version.h"

extern "C" __attribute__((visibility("default"))) const void* unnoise_container(const char* version) {
  static constexpr unnoise::ParquetModule module{&unnoise::open_arrow_file, &unnoise::create_arrow_file};
  return std::strcmp(version, unnoise::kVersion) == 0 ? &module : nullptr;
}
