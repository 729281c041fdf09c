#include "unnoise/io/sharded.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/core/json.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/io/torch_bin.h"

namespace unnoise {
namespace {

/// Groups by size as the Python side does, so that the same weights give the same files.
std::vector<StateDict> split(const StateDict& weights, int64_t max_shard_bytes) {
  std::vector<StateDict> shards;
  StateDict current;
  int64_t current_bytes = 0;
  for (const auto& entry : weights) {
    const auto bytes = static_cast<int64_t>(entry.second.nbytes());
    if (bytes > max_shard_bytes) {
      shards.push_back({entry});
      continue;
    }
    if (current_bytes + bytes > max_shard_bytes) {
      shards.push_back(std::exchange(current, {}));
      current_bytes = 0;
    }
    current.push_back(entry);
    current_bytes += bytes;
  }
  if (!current.empty() || shards.empty()) shards.push_back(std::move(current));
  return shards;
}

}  // namespace

StateDict load_sharded(const fs::path& index_path) {
  const Json index = read_json(index_path);
  const auto fail = [&](std::string what, std::string hint = {}) {
    return data_error(fmt::format("\"{}\": {}", index_path.string(), what), std::move(hint));
  };
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    throw fail("no \"weight_map\" from tensors to files");
  std::map<std::string, std::set<std::string>> promised;  // tensors by file
  for (const auto& [name, file] : index["weight_map"].items()) {
    if (!file.is_string()) throw fail(fmt::format("the file of \"{}\" is not a text", name));
    const auto text = file.get<std::string>();
    if (text.empty() || text == "." || text == ".." || text.find_first_of("/\\") != std::string::npos ||
        text.find('\0') != std::string::npos)
      throw fail(
          fmt::format("the file name {} of \"{}\" leads elsewhere; shards lie beside the index", file.dump(), name));
    promised[text].insert(name);
  }

  StateDict weights;
  for (auto& [file, names] : promised) {
    const fs::path path = index_path.parent_path() / file;
    if (!fs::exists(path))
      throw fail(fmt::format("the shard \"{}\" is missing", file), "Download or copy the whole folder again.");
    for (auto& entry : path.extension() == ".safetensors" ? SafetensorsFile::open(path).state() : load_torch_bin(path))
      if (names.erase(entry.first) > 0) weights.push_back(std::move(entry));
    if (!names.empty())
      throw fail(fmt::format("\"{}\" should hold the tensor \"{}\" and does not", file, *names.begin()));
  }
  return weights;
}

std::vector<std::string> save_sharded(const fs::path& dir, const std::string& stem, const StateDict& weights,
                                      int64_t max_shard_bytes) {
  if (max_shard_bytes < 1)
    throw usage_error(fmt::format("max_shard_bytes: expected 1 or more, found {}", max_shard_bytes));
  const auto shards = split(weights, max_shard_bytes);
  if (shards.size() == 1) {
    save_safetensors(dir / (stem + ".safetensors"), weights);
    return {stem + ".safetensors"};
  }
  std::vector<std::string> written;
  Json weight_map = Json::object();
  uint64_t total = 0;
  for (const auto& shard : shards) {
    written.push_back(fmt::format("{}-{:05}-of-{:05}.safetensors", stem, written.size() + 1, shards.size()));
    save_safetensors(dir / written.back(), shard);
    for (const auto& [name, tensor] : shard) {
      weight_map[name] = written.back();
      total += tensor.nbytes();
    }
  }
  written.push_back(stem + ".safetensors.index.json");
  write_json(dir / written.back(), {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}});
  return written;
}

}  // namespace unnoise
