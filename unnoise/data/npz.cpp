#include "unnoise/data/npz.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "unnoise/core/error.h"
#include "unnoise/io/mapped_file.h"
#include "unnoise/io/zip.h"

namespace unnoise {
namespace {

/// NumPy, "NEP 1: A Simple File Format for NumPy Arrays": magic, version, a Python dict as text, the values.
struct NpyArray {
  std::string type;  // "|u1"
  std::vector<int64_t> shape;
  std::string_view values;
};

/// The text after `key` in the header's dict, up to its closing character or a comma.
std::string_view dict_value(std::string_view header, std::string_view key) {
  const size_t at = header.find(key);
  if (at == std::string_view::npos) return {};
  auto rest = header.substr(at + key.size());
  rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(" :")));
  if (rest.starts_with('(')) return rest.substr(1, rest.find(')') - 1);
  if (rest.starts_with('\'')) return rest.substr(1, rest.find('\'', 1) - 1);
  return rest.substr(0, rest.find_first_of(",}"));
}

NpyArray parse_npy(std::string_view bytes, const std::string& where) {
  const auto damaged = [&](std::string_view what) {
    return data_error(fmt::format("{}: no NumPy array: {}", where, what), "Save the file again with numpy.savez.");
  };
  if (bytes.size() < 12 || !bytes.starts_with("\x93NUMPY")) throw damaged("its first bytes are others");
  const bool wide = bytes[6] >= 2;  // the header's length has 2 bytes in version 1, 4 in 2 and 3
  uint32_t length = 0;
  std::memcpy(&length, bytes.data() + 8, wide ? 4 : 2);
  const size_t begin = wide ? 12 : 10;
  if (length > bytes.size() - begin) throw damaged("it ends within its header");
  const auto header = bytes.substr(begin, length);
  NpyArray array{std::string(dict_value(header, "'descr'")), {}, bytes.substr(begin + length)};
  if (dict_value(header, "'fortran_order'").starts_with("True"))
    throw damaged("it is in Fortran's order; save numpy.ascontiguousarray of it");

  int64_t most = static_cast<int64_t>(array.values.size());
  const int64_t item = array.type.size() == 3 ? array.type[2] - '0' : 0;
  if (item < 1 || item > 8 || std::string_view("uif").find(array.type[1]) == std::string_view::npos)
    throw damaged(fmt::format("its type is {}; expected whole numbers", array.type));
  int64_t total = item;
  for (auto rest = dict_value(header, "'shape'"); !rest.empty();) {
    int64_t size = -1;
    rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(" ,")));
    if (rest.empty()) break;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), size);
    if (error != std::errc() || size < 0) throw damaged("its shape cannot be read");
    if (size > 0 && total > most / size) throw damaged(fmt::format("its shape needs more than its {} bytes", most));
    total *= size;
    array.shape.push_back(size);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  }
  if (total != most) throw damaged(fmt::format("its shape needs {} bytes, it has {}", total, most));
  return array;
}

int64_t number_at(const NpyArray& array, int64_t i) {
  const auto size = static_cast<size_t>(array.type[2] - '0');
  uint64_t value = 0;
  std::memcpy(&value, array.values.data() + static_cast<size_t>(i) * size,
              size);  // little-endian: checked by the caller
  if (array.type[1] == 'i' && size < 8 && value >> (8 * size - 1)) return -1;
  return static_cast<int64_t>(value);
}

class NpzDataset final : public Dataset {
 public:
  NpzDataset(std::string name, SharedBytes keep, NpyArray images, const NpyArray* labels)
      : name_(std::move(name)), keep_(std::move(keep)), images_(std::move(images)) {
    const auto is_channels = [](int64_t c) { return c == 1 || c == 3 || c == 4; };
    const auto& s = images_.shape;
    const bool fits =
        images_.type == "|u1" && (s.size() == 3 || (s.size() == 4 && (is_channels(s[3]) || is_channels(s[1]))));
    if (!fits)
      throw data_error(
          fmt::format("\"{}\": expected pictures of uint8, [N,H,W], [N,H,W,C] or [N,C,H,W] with C = 1, 3 or "
                      "4; found {} [{}]",
                      name_, images_.type, fmt::join(s, ",")),
          "Pictures of float would have to be turned into 0 ... 255 first.");
    planar_ = s.size() == 4 && !is_channels(s[3]);
    channels_ = s.size() == 3 ? 1 : planar_ ? s[1] : s[3];
    height_ = planar_ ? s[2] : s[1];
    width_ = planar_ ? s[3] : s[2];
    if (s[0] < 1 || height_ < 1 || width_ < 1) throw data_error(fmt::format("\"{}\" holds no pictures", name_));
    if (labels) read_labels(*labels);
  }

  int64_t size() const override { return images_.shape[0]; }
  std::string name(int64_t i) const override { return fmt::format("{}[{}]", name_, i); }
  std::optional<int64_t> label(int64_t i) const override {
    return labels_.empty() ? std::nullopt : std::optional(labels_.at(static_cast<size_t>(i)));
  }
  DecodedImage read(int64_t i) const override {
    if (i < 0 || i >= size()) throw usage_error(fmt::format("\"{}\" has no picture {}", name_, i));
    Image image = blank_image(width_, height_, channels_);
    const int64_t plane = width_ * height_;
    const auto* from = reinterpret_cast<const uint8_t*>(images_.values.data()) + i * plane * channels_;
    if (!planar_) {
      std::copy_n(from, plane * channels_, image.pixels.begin());
    } else {
      for (int64_t p = 0; p < plane; ++p)
        for (int64_t c = 0; c < channels_; ++c)
          image.pixels[static_cast<size_t>(p * channels_ + c)] = from[c * plane + p];
    }
    return decoded_image(std::move(image));
  }

 private:
  void read_labels(const NpyArray& labels) {
    int64_t count = 1;
    for (const int64_t n : labels.shape) count *= n;  // [N] or [N,1]
    if (count != size() || labels.type[1] == 'f' || labels.type[0] == '>')
      throw data_error(fmt::format("\"{}\": labels of type {} [{}] for {} pictures", name_, labels.type,
                                   fmt::join(labels.shape, ","), size()));
    for (int64_t i = 0; i < count; ++i) {
      labels_.push_back(number_at(labels, i));
      if (labels_.back() < 0 || labels_.back() > 1'000'000)
        throw data_error(fmt::format("\"{}\": picture {} has the label {}", name_, i, labels_.back()));
    }
  }

  std::string name_;
  SharedBytes keep_;  // the file, or the array unpacked
  NpyArray images_;
  std::vector<int64_t> labels_;
  bool planar_ = false;
  int64_t channels_ = 1, height_ = 0, width_ = 0;
};

/// The entry for `split` whose name is one of `words` with the split before or after it, or, for train, alone.
const ZipEntry* find_entry(const std::vector<ZipEntry>& entries, const std::string& split,
                           const std::vector<std::string>& words) {
  std::vector<std::string> names;
  const std::vector<std::string> spellings =
      split == "validation" ? std::vector<std::string>{"val", "valid", "validation"} : std::vector<std::string>{split};
  for (const auto& word : words)
    for (const auto& s : spellings) names.insert(names.end(), {word + "_" + s, s + "_" + word});
  if (split == "train") names.insert(names.end(), words.begin(), words.end());
  for (const auto& name : names)
    for (const auto& entry : entries)
      if (entry.name == name + ".npy") return &entry;
  return nullptr;
}

/// The content of an entry: in place where it is stored, else unpacked.
SharedBytes content(const ZipEntry& entry, const SharedBytes& file, const std::string& where) {
  if (!entry.is_deflated) return {{file.data, const_cast<char*>(entry.packed.data())}, entry.packed.size()};
  return copy_bytes(unpack(entry, uint64_t{64} << 30, where));
}

}  // namespace

std::shared_ptr<const Dataset> open_npz(const fs::path& path, const std::string& split) {
  const std::string where = fmt::format("\"{}\"", path.string());
  const SharedBytes file = map_file(path);
  if (!is_zip(file.view())) throw data_error(fmt::format("{} is no npz file", where));
  const auto entries = read_zip(file.view(), where);
  const ZipEntry* images = find_entry(entries, split, {"images", "x", "data", "arr_0"});
  const ZipEntry* labels = find_entry(entries, split, {"labels", "label", "y", "arr_1"});
  if (!images) {
    std::vector<std::string> names;
    for (const auto& entry : entries) names.push_back(entry.name);
    throw NoSuchSplit(
        fmt::format("{}: expected pictures of the split \"{}\" in an array images, x_{}, {}_images or arr_0; "
                    "found {}",
                    where, split, split, split, fmt::join(names, ", ")),
        "Save it with numpy.savez(file, images=..., labels=...).");
  }
  SharedBytes keep = content(*images, file, where);
  NpyArray pictures = parse_npy(keep.view(), fmt::format("{}, {}", where, images->name));
  SharedBytes label_bytes;
  std::optional<NpyArray> label_values;
  if (labels) {
    label_bytes = content(*labels, file, where);
    label_values = parse_npy(label_bytes.view(), fmt::format("{}, {}", where, labels->name));
  }
  return std::make_shared<NpzDataset>(path.filename().string(), std::move(keep), std::move(pictures),
                                      label_values ? &*label_values : nullptr);
}

}  // namespace unnoise
