#include "unnoise/data/idx.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr int64_t kMaxDeflateRatio = 1032;  // zlib cannot do better, so a header that claims more lies
constexpr int64_t kMaxDimensions = 4;

/// A file through zlib, which passes what is not gzipped through as it is.
class GzFile {
 public:
  explicit GzFile(const fs::path& path) : path_(path), file_(::gzopen(path.c_str(), "rb")) {
    if (!file_) throw data_error(fmt::format("cannot read \"{}\": {}", path.string(), std::strerror(errno)));
    ::gzbuffer(file_, 1 << 17);
  }
  ~GzFile() { ::gzclose_r(file_); }
  GzFile(const GzFile&) = delete;
  GzFile& operator=(const GzFile&) = delete;

  bool is_compressed() { return ::gzdirect(file_) == 0; }

  /// As many of `size` bytes as there are; Error::data when the compressed stream is damaged.
  int64_t read(uint8_t* out, int64_t size) {
    int64_t done = 0;
    while (done < size) {
      const auto part = static_cast<unsigned>(std::min<int64_t>(size - done, 1 << 26));
      const int count = ::gzread(file_, out + done, part);
      int code = Z_OK;
      const char* reason = ::gzerror(file_, &code);
      if (count < 0 && code != Z_BUF_ERROR)
        throw data_error(fmt::format("\"{}\": damaged gzip data ({})", path_.string(), reason), "Get the file again.");
      if (count <= 0) break;  // the end, or a stream that is cut short
      done += count;
    }
    return done;
  }

 private:
  fs::path path_;
  gzFile file_;
};

Error not_idx(const fs::path& path, std::string_view found) {
  return data_error(
      fmt::format("\"{}\" is no IDX file of bytes: expected a header 00 00 08 followed by 1 to {} sizes, found {}",
                  path.string(), kMaxDimensions, found));
}

/// The sizes that the header announces; throws unless they are sane and the file can hold them.
std::vector<int64_t> read_header(const fs::path& path, GzFile& file) {
  std::array<uint8_t, 4> magic{};
  if (const auto count = file.read(magic.data(), 4); count < 4) throw not_idx(path, fmt::format("{} bytes", count));
  const int64_t dimensions = magic[3];
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != 8 || dimensions < 1 || dimensions > kMaxDimensions)
    throw not_idx(path, fmt::format("{:02x}", fmt::join(magic, " ")));
  std::array<uint8_t, 4 * kMaxDimensions> raw{};
  if (file.read(raw.data(), 4 * dimensions) < 4 * dimensions)
    throw not_idx(path, "the end of the file within the sizes");

  const auto bytes_on_disk = static_cast<int64_t>(fs::file_size(path));
  const int64_t header = 4 + 4 * dimensions;
  const int64_t most = file.is_compressed() ? bytes_on_disk * kMaxDeflateRatio : bytes_on_disk - header;
  std::vector<int64_t> sizes;
  int64_t total = 1;
  for (int64_t d = 0; d < dimensions; ++d) {
    const uint8_t* at = raw.data() + 4 * d;
    sizes.push_back(int64_t{at[0]} << 24 | at[1] << 16 | at[2] << 8 | at[3]);
    if (sizes.back() > 0 && total > most / sizes.back())
      throw data_error(fmt::format("\"{}\": its header announces {} x ... values, more than its {} bytes can hold",
                                   path.string(), fmt::join(sizes, " x "), bytes_on_disk),
                       "The file is cut short or damaged. Get it again.");
    total *= sizes.back();
  }
  return sizes;
}

/// Where an images file's name says "images", and whether it says "idx3": the two words that change for the labels.
bool is_images_name(const std::string& name) {
  return name.find("images") != std::string::npos && name.find("idx3") != std::string::npos;
}

bool is_of_split(const std::string& name, const std::string& split) {
  const bool test = name.find("t10k") != std::string::npos || name.find("test") != std::string::npos;
  const bool validation = name.find("val") != std::string::npos;
  if (split == "test") return test;
  if (split == "validation") return validation;
  return !test && !validation;
}

std::vector<fs::path> images_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with('.') && is_images_name(name) && is_idx_images(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class IdxDataset final : public Dataset {
 public:
  IdxDataset(std::string file, IdxArray images, std::vector<uint8_t> labels, std::vector<std::string> names)
      : file_(std::move(file)), images_(std::move(images)), labels_(std::move(labels)), names_(std::move(names)) {}

  int64_t size() const override { return images_.sizes[0]; }
  std::string name(int64_t i) const override { return fmt::format("{}[{}]", file_, i); }
  std::vector<std::string> label_names() const override { return names_; }
  std::optional<int64_t> label(int64_t i) const override {
    if (labels_.empty()) return std::nullopt;
    return labels_.at(static_cast<size_t>(i));
  }
  DecodedImage read(int64_t i) const override {
    if (i < 0 || i >= size()) throw usage_error(fmt::format("\"{}\" has no picture {}", file_, i));
    const int64_t height = images_.sizes[1], width = images_.sizes[2];
    const auto begin = images_.values.begin() + i * height * width;
    return decoded_image({width, height, 1, {begin, begin + height * width}});
  }

 private:
  std::string file_;
  IdxArray images_;
  std::vector<uint8_t> labels_;
  std::vector<std::string> names_;
};

/// The labels of `count` pictures, and names for them.
std::vector<uint8_t> read_labels(const fs::path& path, int64_t count, std::vector<std::string>& names) {
  IdxArray labels = read_idx(path);
  if (labels.sizes.size() != 1)
    throw data_error(
        fmt::format("\"{}\": expected labels (1 dimension), found {} dimensions", path.string(), labels.sizes.size()));
  if (labels.sizes[0] != count)
    throw data_error(fmt::format("\"{}\" has {} labels for {} pictures", path.string(), labels.sizes[0], count));
  const int64_t highest = *std::max_element(labels.values.begin(), labels.values.end());
  if (names.empty())
    for (int64_t i = 0; i <= highest; ++i) names.push_back(std::to_string(i));
  if (highest >= static_cast<int64_t>(names.size()))
    throw data_error(fmt::format("\"{}\": label {} where there are {} classes", path.string(), highest, names.size()));
  return std::move(labels.values);
}

}  // namespace

IdxArray read_idx(const fs::path& path) {
  GzFile file(path);
  IdxArray array{read_header(path, file), {}};
  int64_t total = 1;
  for (const int64_t size : array.sizes) total *= size;
  array.values.resize(static_cast<size_t>(total));
  if (const int64_t found = file.read(array.values.data(), total); found < total)
    throw data_error(fmt::format("\"{}\" is cut short: expected {} values ({}), found {}", path.string(), total,
                                 fmt::join(array.sizes, " x "), found),
                     "Get the file again.");
  uint8_t extra = 0;
  if (file.read(&extra, 1) != 0)
    throw data_error(
        fmt::format("\"{}\" goes on after its {} values ({})", path.string(), total, fmt::join(array.sizes, " x ")),
        "The file is damaged. Get it again.");
  return array;
}

std::string gunzip(std::string_view packed, size_t max_size, std::string_view where) {
  std::string out(max_size, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK) throw environment_error("zlib does not start");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = inflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  if (status != Z_STREAM_END)
    throw data_error(fmt::format("{}: damaged gzip data, or more than {} bytes", where, max_size));
  return out;
}

bool is_idx_images(const fs::path& path) {
  std::error_code ec;
  if (!fs::is_regular_file(path, ec)) return false;
  const gzFile file = ::gzopen(path.c_str(), "rb");
  if (!file) return false;
  std::array<uint8_t, 4> magic{};
  const bool whole = ::gzread(file, magic.data(), 4) == 4;
  ::gzclose_r(file);
  return whole && magic == std::array<uint8_t, 4>{0, 0, 8, 3};
}

std::shared_ptr<const Dataset> open_idx_files(const fs::path& images_file, const std::optional<fs::path>& labels_file,
                                              std::vector<std::string> label_names) {
  IdxArray images = read_idx(images_file);
  if (images.sizes.size() != 3)
    throw data_error(
        fmt::format("\"{}\": expected pictures (3 dimensions), found {}", images_file.string(), images.sizes.size()));
  if (images.values.empty()) throw data_error(fmt::format("\"{}\" holds no pictures", images_file.string()));
  std::vector<uint8_t> labels;
  if (labels_file)
    labels = read_labels(*labels_file, images.sizes[0], label_names);
  else
    label_names.clear();
  return std::make_shared<IdxDataset>(images_file.filename().string(), std::move(images), std::move(labels),
                                      std::move(label_names));
}

std::optional<fs::path> labels_beside(const fs::path& images_file) {
  std::string name = images_file.filename().string();
  const size_t word = name.rfind("images");
  if (word == std::string::npos) return std::nullopt;
  name.replace(word, 6, "labels");
  if (const size_t rank = name.find("idx3", word); rank != std::string::npos) name.replace(rank, 4, "idx1");
  const std::string other = name.ends_with(".gz") ? name.substr(0, name.size() - 3) : name + ".gz";
  for (const auto& candidate : {name, other}) {
    std::error_code ec;
    const auto path = images_file.parent_path() / candidate;
    if (fs::is_regular_file(path, ec)) return path;
  }
  return std::nullopt;
}

std::optional<fs::path> idx_images_in(const fs::path& folder, const std::string& split) {
  for (const auto& path : images_files(folder))
    if (is_of_split(path.filename().string(), split)) return path;
  return std::nullopt;
}

bool has_idx_images(const fs::path& folder) { return !images_files(folder).empty(); }

}  // namespace unnoise
