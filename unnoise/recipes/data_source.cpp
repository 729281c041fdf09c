#include "unnoise/recipes/data_source.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "unnoise/core/error.h"
#include "unnoise/data/known_sets.h"
#include "unnoise/io/image_convert.h"
#include "unnoise/io/image_write.h"

namespace unnoise {

std::vector<SplitDataset> open_source(const DataSource& source, const Observer& observer) {
  if (source.data.empty())
    throw usage_error("which pictures?", "Give a folder, an archive, a Parquet file, or a name such as fashion-mnist.");
  DatasetOptions options;
  options.path_or_name = source.data;
  options.config = source.dataset_config_name.value_or("");
  return open_splits(options, observer);
}

void check_new_folder(const std::string& folder, bool overwrite) {
  if (folder.empty()) throw usage_error("--output: which folder?");
  std::error_code ec;
  if (!fs::exists(folder, ec) || (fs::is_directory(folder, ec) && fs::is_empty(folder, ec))) return;
  if (!fs::is_directory(folder, ec)) throw usage_error(fmt::format("--output: \"{}\" is a file", folder));
  if (!overwrite)
    throw usage_error(fmt::format("--output: \"{}\" is there already", folder),
                      "Take another name, or replace the folder, with all that is in it, with --overwrite.");
}

void write_part(const fs::path& file, std::string_view bytes) {
  std::ofstream out(file, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw environment_error(fmt::format("cannot write \"{}\": {}", file.string(), std::strerror(errno)));
}

PictureFile picture_file(const Dataset& data, int64_t i) {
  if (auto file = data.file(i)) return std::move(*file);
  const DecodedImage image = data.read(i);
  const Image pixels{image.width, image.height, mode_channels(image.mode), image.pixels};
  return {encode_png(pixels), fmt::format("{:06}.png", i)};
}

}  // namespace unnoise
