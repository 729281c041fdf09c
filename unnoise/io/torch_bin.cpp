#include "unnoise/io/torch_bin.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/io/mapped_file.h"
#include "unnoise/io/pickle.h"
#include "unnoise/io/tensor_bytes.h"
#include "unnoise/io/zip.h"

namespace unnoise {
namespace {

using Kind = PickleNode::Kind;

constexpr uint64_t kMaxPickle = 64'000'000;  // the pickle holds names and shapes only
constexpr size_t kMaxRank = 64;
constexpr int64_t kMaxElements = int64_t{1} << 56;  // so that bytes fit 64 bits
// 0x1950a86a20f9469cfc6c: the first value of the older stream.
constexpr std::string_view kStreamMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr int64_t kStreamVersion = 1001;

struct NamedDtype {
  std::string_view name;
  at::ScalarType type;
};
constexpr std::array kTorchDtypes{
    NamedDtype{"torch.float64", at::kDouble},
    NamedDtype{"torch.float32", at::kFloat},
    NamedDtype{"torch.float16", at::kHalf},
    NamedDtype{"torch.bfloat16", at::kBFloat16},
    NamedDtype{"torch.int64", at::kLong},
    NamedDtype{"torch.int32", at::kInt},
    NamedDtype{"torch.int16", at::kShort},
    NamedDtype{"torch.int8", at::kChar},
    NamedDtype{"torch.uint64", at::kUInt64},
    NamedDtype{"torch.uint32", at::kUInt32},
    NamedDtype{"torch.uint16", at::kUInt16},
    NamedDtype{"torch.uint8", at::kByte},
    NamedDtype{"torch.bool", at::kBool},
    NamedDtype{"torch.complex64", at::kComplexFloat},
    NamedDtype{"torch.float8_e4m3fn", at::kFloat8_e4m3fn},
    NamedDtype{"torch.float8_e4m3fnuz", at::kFloat8_e4m3fnuz},
    NamedDtype{"torch.float8_e5m2", at::kFloat8_e5m2},
    NamedDtype{"torch.float8_e5m2fnuz", at::kFloat8_e5m2fnuz},
};
constexpr std::array kStorages{
    NamedDtype{"torch.DoubleStorage", at::kDouble},
    NamedDtype{"torch.FloatStorage", at::kFloat},
    NamedDtype{"torch.HalfStorage", at::kHalf},
    NamedDtype{"torch.BFloat16Storage", at::kBFloat16},
    NamedDtype{"torch.LongStorage", at::kLong},
    NamedDtype{"torch.IntStorage", at::kInt},
    NamedDtype{"torch.ShortStorage", at::kShort},
    NamedDtype{"torch.CharStorage", at::kChar},
    NamedDtype{"torch.ByteStorage", at::kByte},
    NamedDtype{"torch.BoolStorage", at::kBool},
    NamedDtype{"torch.ComplexFloatStorage", at::kComplexFloat},
    NamedDtype{"torch.storage.UntypedStorage", at::kByte},
};

template <size_t n>
std::optional<at::ScalarType> find_dtype(const std::array<NamedDtype, n>& table, std::string_view name) {
  for (const auto& row : table)
    if (row.name == name) return row.type;
  return std::nullopt;
}

bool is_rebuild_tensor(std::string_view name) {
  return name == "torch._utils._rebuild_tensor" || name == "torch._utils._rebuild_tensor_v2" ||
         name == "torch._utils._rebuild_tensor_v3";
}

bool is_allowed_global(std::string_view name) {
  return name == "collections.OrderedDict" || name == "torch.Size" || name == "torch._utils._rebuild_parameter" ||
         is_rebuild_tensor(name) || find_dtype(kTorchDtypes, name) || find_dtype(kStorages, name);
}

/// What a persistent id ("storage", class, key, device, elements, view) says.
struct StorageId {
  std::string key;
  at::ScalarType dtype;
  int64_t elements;
};

/// Turns the nodes of a pickle into tensors over the storages that `bytes_of` finds.
class TensorReader {
 public:
  using BytesOf = std::function<SharedBytes(const StorageId&)>;
  TensorReader(std::string_view where, BytesOf bytes_of) : where_(where), bytes_of_(std::move(bytes_of)) {}

  StateDict state(const PickleNode& root) {
    const PickleNode* dict = &root;
    if (dict->kind != Kind::dict) throw fail("it holds no dict of tensors");
    if (const PickleNode* inner = value_of(*dict, "state_dict"); inner && inner->kind == Kind::dict) dict = inner;
    StateDict out;
    std::map<std::string, size_t> places;
    for (size_t i = 0; i < dict->items.size(); i += 2) {
      const PickleNode& value = *dict->items[i + 1];
      if (value.kind != Kind::call || value.text == "torch.Size") continue;
      if (dict->items[i]->kind != Kind::text) throw fail("a tensor's name is no text");
      const std::string& name = dict->items[i]->text;
      const auto [place, is_new] = places.emplace(name, out.size());
      if (is_new) out.emplace_back(name, Tensor());
      out[place->second].second = tensor(name, value);
    }
    if (out.empty() && !dict->items.empty()) throw fail("it holds a dict without any tensor");
    return out;
  }

  StorageId storage_id(const PickleNode& node) const {
    const auto bad = [&] { return fail("a storage is described in an unknown way"); };
    if (node.kind != Kind::persistent || node.items[0]->kind != Kind::tuple) throw bad();
    const auto& id = node.items[0]->items;
    if (id.size() < 5 || id.size() > 6 || id[0]->text != "storage" || id[1]->kind != Kind::global ||
        id[2]->kind != Kind::text || id[4]->kind != Kind::integer || id[4]->integer < 0 ||
        id[4]->integer > kMaxElements)
      throw bad();
    if (id.size() == 6 && id[5]->kind != Kind::none)
      throw fail("views of storages, as PyTorch before 0.4 wrote them, are not read");
    const auto dtype = find_dtype(kStorages, id[1]->text);
    if (!dtype) throw bad();
    return {id[2]->text, *dtype, id[4]->integer};
  }

  Error fail(std::string_view what) const { return data_error(fmt::format("{}: {}", where_, what)); }

 private:
  static const PickleNode* value_of(const PickleNode& dict, std::string_view key) {
    for (size_t i = 0; i < dict.items.size(); i += 2)
      if (dict.items[i]->kind == Kind::text && dict.items[i]->text == key) return dict.items[i + 1];
    return nullptr;
  }

  Tensor tensor(const std::string& name, const PickleNode& node) {
    const auto bad = [&](std::string_view what) { return fail(fmt::format("tensor \"{}\" {}", name, what)); };
    const PickleNode* call = &node;
    if (call->text == "torch._utils._rebuild_parameter" && !call->items[0]->items.empty())
      call = call->items[0]->items[0];
    if (call->kind != Kind::call || !is_rebuild_tensor(call->text)) throw bad("is rebuilt in an unknown way");
    const auto& arguments = call->items[0]->items;
    if (arguments.size() < 4 || arguments[1]->kind != Kind::integer) throw bad("is rebuilt in an unknown way");

    StorageId id = storage_id(*arguments[0]);
    if (call->text.ends_with("_v3")) {  // the storage is untyped, the dtype stands apart
      const auto dtype = arguments.size() > 6 && arguments[6]->kind == Kind::global
                             ? find_dtype(kTorchDtypes, arguments[6]->text)
                             : std::nullopt;
      if (!dtype) throw bad("has no dtype");
      id.elements = id.elements * static_cast<int64_t>(c10::elementSize(id.dtype)) /
                    static_cast<int64_t>(c10::elementSize(*dtype));
      id.dtype = *dtype;
    }
    const int64_t offset = arguments[1]->integer;
    const auto sizes = integers(*arguments[2]), strides = integers(*arguments[3]);
    if (!sizes || !strides || sizes->size() != strides->size()) throw bad("has no usable sizes and strides");
    check_view(name, id, offset, *sizes, *strides);
    return storage(id).as_strided(*sizes, *strides, offset);
  }

  /// Every element that the view can reach must lie in its storage.
  void check_view(const std::string& name, const StorageId& id, int64_t offset, const Shape& sizes,
                  const Shape& strides) const {
    bool ok = byte_size(sizes, id.dtype).has_value() && offset >= 0 && offset <= id.elements;
    const bool empty = std::count(sizes.begin(), sizes.end(), 0) > 0;
    int64_t last = offset;
    for (size_t i = 0; ok && i < sizes.size(); ++i) {
      int64_t reach = 0;
      ok = strides[i] >= 0 && !__builtin_mul_overflow(std::max<int64_t>(sizes[i], 1) - 1, strides[i], &reach) &&
           !__builtin_add_overflow(last, reach, &last);
    }
    if (!ok || (!empty && last >= id.elements))
      throw fail(
          fmt::format("tensor \"{}\" (sizes [{}], strides [{}], offset {}) reaches beyond its storage of {} elements",
                      name, fmt::join(sizes, ", "), fmt::join(strides, ", "), offset, id.elements));
  }

  static std::optional<Shape> integers(const PickleNode& node) {
    const PickleNode* list = &node;
    if (list->kind == Kind::call && list->text == "torch.Size" && list->items[0]->items.size() == 1)
      list = list->items[0]->items[0];
    if ((list->kind != Kind::tuple && list->kind != Kind::list) || list->items.size() > kMaxRank) return std::nullopt;
    Shape out;
    for (const PickleNode* item : list->items) {
      if (item->kind != Kind::integer || !item->text.empty()) return std::nullopt;
      out.push_back(item->integer);
    }
    return out;
  }

  /// The storage as a flat tensor, the same for every view of it.
  const Tensor& storage(const StorageId& id) {
    Tensor& flat = storages_[{id.key, id.dtype, id.elements}];
    if (flat.defined()) return flat;
    const auto need = byte_size({id.elements}, id.dtype);
    const SharedBytes bytes = bytes_of_(id);
    if (!need || bytes.size < *need)
      throw fail(fmt::format("storage \"{}\" should hold {} elements of {} bytes, it has {} bytes", id.key, id.elements,
                             c10::elementSize(id.dtype), bytes.size));
    return flat = tensor_over(bytes, 0, {id.elements}, id.dtype, fmt::format("{}: storage \"{}\"", where_, id.key));
  }

  std::string where_;
  BytesOf bytes_of_;
  std::map<std::tuple<std::string, at::ScalarType, int64_t>, Tensor> storages_;
};

SharedBytes part_of(const SharedBytes& bytes, std::string_view part) {
  return {{bytes.data, const_cast<char*>(part.data())}, part.size()};
}

void swap_bytes(SharedBytes& bytes, size_t item_size) {
  char* const data = bytes.data.get();
  for (size_t at = 0; at + item_size <= bytes.size; at += item_size) std::reverse(data + at, data + at + item_size);
}

StateDict read_container(const SharedBytes& file, const std::string& where) {
  std::map<std::string, ZipEntry> entries;
  std::string prefix;  // of the folder that everything is in
  bool has_pickle = false;
  for (auto& entry : read_zip(file.view(), where)) {
    if (entry.name == "data.pkl" || entry.name.ends_with("/data.pkl")) {
      if (has_pickle) throw data_error(fmt::format("{}: it has two entries named data.pkl", where));
      has_pickle = true;
      prefix = entry.name.substr(0, entry.name.size() - std::string_view("data.pkl").size());
    }
    entries.emplace(entry.name, std::move(entry));
  }
  if (!has_pickle)
    throw data_error(fmt::format("{} is a zip container, but none that torch.save wrote: it has no data.pkl", where));
  if (entries.contains(prefix + "constants.pkl"))
    throw data_error(fmt::format("{} is a TorchScript program, not a file of weights", where),
                     "Load it with PyTorch and save its state_dict() as safetensors.");

  bool swapped = false;
  if (const auto order = entries.find(prefix + "byteorder"); order != entries.end()) {
    const std::string text = unpack(order->second, 16, where);
    if (text != "little" && text != "big") throw data_error(fmt::format("{}: unknown byte order \"{}\"", where, text));
    swapped = text == "big";
  }
  TensorReader reader(where, [&](const StorageId& id) {
    const auto entry = entries.find(fmt::format("{}data/{}", prefix, id.key));
    if (entry == entries.end()) throw data_error(fmt::format("{}: storage \"{}\" is not in the file", where, id.key));
    const bool packed = entry->second.is_deflated;
    auto bytes = packed    ? copy_bytes(unpack(entry->second, entry->second.size, where))
                 : swapped ? copy_bytes(entry->second.packed)
                           : part_of(file, entry->second.packed);
    if (swapped) swap_bytes(bytes, c10::elementSize(id.dtype == at::kComplexFloat ? at::kFloat : id.dtype));
    return bytes;
  });
  const std::string pickle = unpack(entries.at(prefix + "data.pkl"), kMaxPickle, where);
  return reader.state(*read_pickle(pickle, where, is_allowed_global).root);
}

/// The stream of PyTorch before 1.6: magic number, version, system, the object, the storages' keys; then each storage
/// as its number of elements (int64) and its bytes.
StateDict read_stream(const SharedBytes& file, const std::string& where) {
  std::string_view rest = file.view();
  const auto next = [&] {
    Pickle pickle = read_pickle(rest.substr(0, kMaxPickle), where, is_allowed_global);
    rest.remove_prefix(pickle.size);
    return pickle;
  };
  if (next().root->text != kStreamMagic)
    throw data_error(fmt::format("{} is a pickle, but none that torch.save wrote", where));
  if (const Pickle version = next(); version.root->integer != kStreamVersion)
    throw data_error(fmt::format("{}: unknown version of the stream, expected {}", where, kStreamVersion));
  next();  // the writer's system: sizes that do not matter here
  const Pickle object = next();
  const Pickle keys = next();

  std::map<std::string, SharedBytes> storages;
  TensorReader reader(where, [&](const StorageId& id) {
    const auto found = storages.find(id.key);
    if (found == storages.end()) throw data_error(fmt::format("{}: storage \"{}\" is not in the file", where, id.key));
    return found->second;
  });
  std::map<std::string, size_t> item_sizes;
  for (const PickleNode& node : object.nodes) {
    if (node.kind != Kind::persistent) continue;
    const StorageId id = reader.storage_id(node);
    item_sizes[id.key] = c10::elementSize(id.dtype);
  }
  for (const PickleNode* key : keys.root->items) {
    const auto item_size = item_sizes.find(key->text);
    if (item_size == item_sizes.end()) throw reader.fail(fmt::format("storage \"{}\" is not used", key->text));
    uint64_t elements = 0, size = 0;
    if (rest.size() >= sizeof elements) std::memcpy(&elements, rest.data(), sizeof elements);
    if (rest.size() < sizeof elements || __builtin_mul_overflow(elements, item_size->second, &size) ||
        size > rest.size() - sizeof elements)
      throw data_error(fmt::format("{}: storage \"{}\" is cut short", where, key->text),
                       "Download or copy the file again.");
    storages[key->text] = part_of(file, rest.substr(sizeof elements, size));
    rest.remove_prefix(sizeof elements + size);
  }
  return reader.state(*object.root);
}

StateDict read(const SharedBytes& file, const std::string& where) {
  const std::string_view bytes = file.view();
  if (is_zip(bytes)) return read_container(file, where);
  if (bytes.starts_with('\x80')) return read_stream(file, where);
  constexpr size_t kTarMagicAt = 257;
  if (bytes.size() > kTarMagicAt && bytes.substr(kTarMagicAt).starts_with("ustar"))
    throw data_error(fmt::format("{} is in the tar format of PyTorch before 0.2, which is not read", where),
                     "Load it with PyTorch and save the state dict as safetensors.");
  if (bytes.size() > 8 && bytes[8] == '{')
    throw data_error(fmt::format("{} looks like safetensors, not like a file of torch.save", where),
                     "Rename it so that it ends in .safetensors.");
  throw data_error(fmt::format("{} is no file that torch.save wrote: neither a zip container nor a pickle", where),
                   "Download or copy the file again.");
}

}  // namespace

StateDict load_torch_bin(const fs::path& path) { return read(map_file(path), fmt::format("\"{}\"", path.string())); }

StateDict parse_torch_bin(std::string_view bytes, std::string_view where) {
  return read(copy_bytes(bytes), std::string(where));
}

}  // namespace unnoise
