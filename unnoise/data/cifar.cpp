#include "unnoise/data/cifar.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr int64_t kSide = 32, kPlane = kSide * kSide, kPixels = 3 * kPlane;

struct Batches {
  std::vector<std::string> files;  // sorted
  int64_t label_bytes = 1;         // the last of them is the class
  std::string names_file;
};

bool has_name(const std::string& path, std::string_view name) {
  return path.ends_with(name) && (path.size() == name.size() || path[path.size() - name.size() - 1] == '/');
}

Batches find_batches(const FileTree& files, const std::string& split) {
  Batches ten, hundred{{}, 2, ""};
  for (const auto& path : files.files()) {
    if (has_name(path, "batches.meta.txt")) ten.names_file = path;
    if (has_name(path, "fine_label_names.txt")) hundred.names_file = path;
    const std::string name = fs::path(path).filename().string();
    const bool is_train = name.starts_with("data_batch_") && name.ends_with(".bin");
    if (split == "train" ? is_train : split == "test" && name == "test_batch.bin") ten.files.push_back(path);
    if ((split == "train" || split == "test") && name == split + ".bin") hundred.files.push_back(path);
  }
  if (!hundred.names_file.empty() && !hundred.files.empty()) return hundred;
  return ten;
}

std::vector<std::string> read_names(const FileTree& files, const std::string& path) {
  std::vector<std::string> names;
  if (path.empty()) return names;
  const SharedBytes bytes = files.read(path);
  std::string_view rest = bytes.view();
  while (!rest.empty()) {
    auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) names.emplace_back(line);
  }
  return names;
}

class CifarDataset final : public Dataset {
 public:
  CifarDataset(const FileTree& files, const Batches& batches)
      : record_(batches.label_bytes + kPixels), names_(read_names(files, batches.names_file)) {
    const int64_t classes = names_.empty() ? 256 : static_cast<int64_t>(names_.size());
    for (const auto& path : batches.files) {
      Part part{path, files.read(path), size_};
      const auto bytes = static_cast<int64_t>(part.bytes.size);
      if (bytes == 0 || bytes % record_ != 0)
        throw data_error(fmt::format("\"{}/{}\": {} bytes are no whole number of CIFAR's records of {}", files.where(),
                                     path, bytes, record_),
                         "The file is cut short or damaged. Get it again.");
      size_ += bytes / record_;
      parts_.push_back(std::move(part));
    }
    for (int64_t i = 0; i < size_; ++i)
      if (*label(i) >= classes)
        throw data_error(fmt::format("\"{}\": {} has label {} where there are {} classes", files.where(), name(i),
                                     *label(i), classes));
  }

  int64_t size() const override { return size_; }
  std::string name(int64_t i) const override {
    const Part& part = part_of(i);
    return fmt::format("{}[{}]", fs::path(part.path).filename().string(), i - part.first);
  }
  std::optional<int64_t> label(int64_t i) const override { return pixels(i)[-1]; }
  std::vector<std::string> label_names() const override { return names_; }
  DecodedImage read(int64_t i) const override {
    const uint8_t* from = pixels(i);
    Image image = blank_image(kSide, kSide, 3);
    for (int64_t p = 0; p < kPlane; ++p)
      for (int64_t c = 0; c < 3; ++c) image.pixels[static_cast<size_t>(3 * p + c)] = from[c * kPlane + p];
    return decoded_image(std::move(image));
  }

 private:
  struct Part {
    std::string path;
    SharedBytes bytes;
    int64_t first = 0;
  };

  const Part& part_of(int64_t i) const {
    if (i < 0 || i >= size_) throw usage_error(fmt::format("CIFAR: no picture {}", i));
    return *std::prev(
        std::upper_bound(parts_.begin(), parts_.end(), i, [](int64_t n, auto& p) { return n < p.first; }));
  }
  const uint8_t* pixels(int64_t i) const {
    const Part& part = part_of(i);
    return reinterpret_cast<const uint8_t*>(part.bytes.data.get()) + (i - part.first + 1) * record_ - kPixels;
  }

  int64_t record_;
  std::vector<std::string> names_;
  std::vector<Part> parts_;
  int64_t size_ = 0;
};

}  // namespace

bool is_cifar(const FileTree& files) {
  return !find_batches(files, "train").files.empty() || !find_batches(files, "test").files.empty();
}

std::shared_ptr<const Dataset> open_cifar(std::shared_ptr<const FileTree> files, const std::string& split) {
  const Batches batches = find_batches(*files, split);
  if (batches.files.empty())
    throw NoSuchSplit(fmt::format("\"{}\": CIFAR has no split \"{}\", only train and test", files->where(), split));
  return std::make_shared<CifarDataset>(*files, batches);
}

}  // namespace unnoise
