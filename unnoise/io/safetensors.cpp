#include "unnoise/io/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/core/fields.h"
#include "unnoise/core/json.h"
#include "unnoise/io/tensor_bytes.h"

namespace unnoise {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian and is mapped as it is");

constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own limit
constexpr std::string_view kAgain = "Download or copy the file again.";

struct Dtype {
  std::string_view name;
  at::ScalarType type;
};
// In the order in which the Python package writes tensors: wide ones first, so that every one is aligned.
constexpr std::array kDtypes{
    Dtype{"U64", at::kUInt64},
    Dtype{"I64", at::kLong},
    Dtype{"F64", at::kDouble},
    Dtype{"C64", at::kComplexFloat},
    Dtype{"F32", at::kFloat},
    Dtype{"U32", at::kUInt32},
    Dtype{"I32", at::kInt},
    Dtype{"BF16", at::kBFloat16},
    Dtype{"F16", at::kHalf},
    Dtype{"U16", at::kUInt16},
    Dtype{"I16", at::kShort},
    Dtype{"F8_E5M2FNUZ", at::kFloat8_e5m2fnuz},
    Dtype{"F8_E4M3FNUZ", at::kFloat8_e4m3fnuz},
    Dtype{"F8_E4M3", at::kFloat8_e4m3fn},
    Dtype{"F8_E5M2", at::kFloat8_e5m2},
    Dtype{"I8", at::kChar},
    Dtype{"U8", at::kByte},
    Dtype{"BOOL", at::kBool},
};

std::string dtype_names() {
  std::vector<std::string_view> names;
  for (const auto& dtype : kDtypes) names.push_back(dtype.name);
  return fmt::format("{}", fmt::join(names, " "));
}

/// The header as JSON, where nlohmann alone would take the last of two equal keys.
Json parse_header(std::string_view header, std::string_view where) {
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > 4) throw data_error(fmt::format("{}: the header is nested deeper than the format allows", where));
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw data_error(fmt::format("{}: the header has two entries named \"{}\"", where, parsed.get<std::string>()));
    return true;
  };
  try {
    return Json::parse(header, check);
  } catch (const nlohmann::json::exception& e) {
    throw data_error(fmt::format("{}: the header is not valid JSON: {}", where, e.what()), std::string(kAgain));
  }
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const fs::path& path) {
  return {map_file(path), fmt::format("\"{}\"", path.string())};
}

SafetensorsFile SafetensorsFile::parse(std::string_view bytes, std::string_view where) {
  return {copy_bytes(bytes), std::string(where)};
}

SafetensorsFile::SafetensorsFile(SharedBytes bytes, std::string where)
    : bytes_(std::move(bytes)), where_(std::move(where)) {
  if (bytes_.size < 8)
    throw data_error(fmt::format("{} is not a safetensors file: it has {}, the header's length alone takes 8", where_,
                                 size_text(bytes_.size)),
                     std::string(kAgain));
  uint64_t header_size = 0;
  std::memcpy(&header_size, bytes_.data.get(), sizeof header_size);
  const uint64_t rest = bytes_.size - 8;
  if (header_size > rest)
    throw data_error(fmt::format("{}: the header says that it is {} long, the file has {}", where_,
                                 size_text(header_size), size_text(bytes_.size)),
                     "It is cut short or no safetensors file. " + std::string(kAgain));
  if (header_size > kMaxHeader)
    throw data_error(fmt::format("{}: a header of {} is above the format's limit of {}", where_, size_text(header_size),
                                 size_text(kMaxHeader)));
  data_at_ = 8 + header_size;
  read_header(bytes_.view().substr(8, header_size));
  check_ranges(bytes_.size - data_at_);
}

void SafetensorsFile::read_header(std::string_view header) {
  if (!header.starts_with('{'))
    throw data_error(fmt::format("{} is not a safetensors file: its header does not start with \"{{\"", where_),
                     std::string(kAgain));
  const Json json = parse_header(header, where_);
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) throw data_error(fmt::format("{}: __metadata__ is not an object of texts", where_));
      for (const auto& [key, text] : value.items()) {
        if (!text.is_string()) throw data_error(fmt::format("{}: __metadata__ \"{}\" is not a text", where_, key));
        metadata_[key] = text.get<std::string>();
      }
      continue;
    }
    const auto fail = [&, &name = name](std::string_view what) {  // clang captures no part of a pair by itself
      return data_error(fmt::format("{}: tensor \"{}\": {}", where_, name, what));
    };
    const auto sizes = [&, &value = value](const char* key) {
      std::vector<int64_t> out;
      for (const auto& n : value.at(key)) {
        if (!n.is_number_unsigned() || n.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()})
          throw fail(fmt::format("{} holds {}, not a size", key, n.dump()));
        out.push_back(n.get<int64_t>());
      }
      return out;
    };
    if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
        !value.contains("data_offsets") || !value["dtype"].is_string() || !value["shape"].is_array() ||
        !value["data_offsets"].is_array() || value["data_offsets"].size() != 2)
      throw fail("expected {\"dtype\": text, \"shape\": [sizes], \"data_offsets\": [begin, end]}");

    const auto dtype_name = value["dtype"].get<std::string>();
    const auto dtype =
        std::find_if(kDtypes.begin(), kDtypes.end(), [&](const Dtype& d) { return d.name == dtype_name; });
    if (dtype == kDtypes.end())
      throw fail(fmt::format("unknown dtype \"{}\"; known are {}", dtype_name, dtype_names()));
    const auto offsets = sizes("data_offsets");
    Entry entry{name, dtype->type, sizes("shape"), uint64_t(offsets[0]), uint64_t(offsets[1])};
    const auto bytes = byte_size(entry.shape, entry.dtype);
    if (!bytes) throw fail(fmt::format("shape [{}] is too large to be true", fmt::join(entry.shape, ", ")));
    if (entry.end < entry.begin || entry.end - entry.begin != *bytes)
      throw fail(fmt::format("{} [{}] takes {} bytes, its data_offsets [{}, {}] hold {}", dtype_name,
                             fmt::join(entry.shape, ", "), *bytes, entry.begin, entry.end,
                             static_cast<int64_t>(entry.end) - static_cast<int64_t>(entry.begin)));
    entries_.push_back(std::move(entry));
  }
}

void SafetensorsFile::check_ranges(uint64_t data_size) {
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry& a, const Entry& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  uint64_t expected = 0;
  for (const Entry& entry : entries_) {
    if (entry.begin != expected)
      throw data_error(fmt::format("{}: tensor \"{}\" begins at byte {} of the data, the one before it ends at {} ({})",
                                   where_, entry.name, entry.begin, expected,
                                   entry.begin < expected ? "they overlap" : "a hole"));
    expected = entry.end;
    index_[entry.name] = static_cast<size_t>(&entry - entries_.data());
  }
  if (expected != data_size)
    throw data_error(
        fmt::format("{}: the header describes {} bytes of data, the file has {}", where_, expected, data_size),
        expected > data_size ? "It is cut short. " + std::string(kAgain) : "");
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  return names;
}

Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = index_.find(name);
  if (found != index_.end()) return view(entries_[found->second]);
  const std::string near = nearest_name(name, names());
  throw data_error(fmt::format("{} has no tensor \"{}\" ({} others)", where_, name, entries_.size()),
                   near.empty() ? "" : fmt::format("Did you mean \"{}\"?", near));
}

StateDict SafetensorsFile::state() const {
  StateDict state;
  for (const Entry& entry : entries_) state.emplace_back(entry.name, view(entry));
  return state;
}

Tensor SafetensorsFile::view(const Entry& entry) const {
  return tensor_over(bytes_, data_at_ + entry.begin, entry.shape, entry.dtype,
                     fmt::format("{}: tensor \"{}\"", where_, entry.name));
}

namespace {

struct Writable {
  std::string name;
  Tensor tensor;
  size_t dtype = 0;  // row of kDtypes
};

/// Contiguous CPU tensors in the order of the file.
std::vector<Writable> in_file_order(const fs::path& path, const StateDict& tensors) {
  std::vector<Writable> out;
  std::set<std::string> names = {"__metadata__"};
  for (const auto& [name, tensor] : tensors) {
    const auto fail = [&, &name = name](std::string_view what) {
      return usage_error(fmt::format("cannot write \"{}\": tensor \"{}\" {}", path.string(), name, what));
    };
    if (!names.insert(name).second) throw fail("is there twice, or has a reserved name");
    if (!tensor.defined()) throw fail("is undefined");
    if (tensor.layout() != at::kStrided) throw fail("is not dense");
    const auto dtype = std::find_if(kDtypes.begin(), kDtypes.end(),
                                    [type = tensor.scalar_type()](const Dtype& d) { return d.type == type; });
    if (dtype == kDtypes.end())
      throw fail(fmt::format("has dtype {}, which safetensors does not know", c10::toString(tensor.scalar_type())));
    out.push_back({name, tensor.detach().to(at::kCPU).resolve_conj().resolve_neg().contiguous(),
                   static_cast<size_t>(dtype - kDtypes.begin())});
  }
  std::sort(out.begin(), out.end(),
            [](const Writable& a, const Writable& b) { return std::tie(a.dtype, a.name) < std::tie(b.dtype, b.name); });
  return out;
}

std::string header_text(const std::vector<Writable>& tensors, const std::map<std::string, std::string>& metadata) {
  std::string header = "{";
  if (!metadata.empty()) header += fmt::format("\"__metadata__\":{},", Json(metadata).dump());
  uint64_t at = 0;
  for (const auto& [name, tensor, dtype] : tensors) {
    const uint64_t end = at + tensor.nbytes();
    header += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}},", Json(name).dump(),
                          kDtypes[dtype].name, fmt::join(tensor.sizes(), ","), at, end);
    at = end;
  }
  if (header.ends_with(',')) header.pop_back();
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');  // the data that follows is then aligned
  return header;
}

}  // namespace

void save_safetensors(const fs::path& path, const StateDict& tensors,
                      const std::map<std::string, std::string>& metadata) {
  const auto ordered = in_file_order(path, tensors);
  std::string header;
  try {
    header = header_text(ordered, metadata);
  } catch (const nlohmann::json::exception&) {
    throw usage_error(fmt::format("cannot write \"{}\": a name is not valid UTF-8", path.string()));
  }
  const uint64_t header_size = header.size();
  AtomicFile file(path);
  file.write(&header_size, sizeof header_size);
  file.write(header);
  for (const auto& [name, tensor, dtype] : ordered) file.write(tensor.const_data_ptr(), tensor.nbytes());
  file.commit();
}

}  // namespace unnoise
