#include "unnoise/io/model_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/core/fields.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/io/sharded.h"
#include "unnoise/io/torch_bin.h"

namespace unnoise {
namespace {

const std::string kStem = "diffusion_pytorch_model";

std::vector<std::string> names_in(const fs::path& dir) {
  std::vector<std::string> names;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(dir.empty() ? "." : dir, ec)) {
    names.push_back(entry.path().filename().string());
    if (entry.is_directory(ec)) names.back() += '/';
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string listing(const fs::path& dir) {
  constexpr size_t kMost = 20;
  auto names = names_in(dir);
  if (names.empty()) return fmt::format("\"{}\" is empty", dir.string());
  const size_t more = names.size() > kMost ? names.size() - kMost : 0;
  names.resize(names.size() - more);
  return fmt::format("\"{}\" holds {}{}", dir.string(), fmt::join(names, ", "),
                     more ? fmt::format(" and {} more", more) : "");
}

std::string did_you_mean(std::string_view name, std::vector<std::string> candidates) {
  for (auto& candidate : candidates)
    if (candidate.ends_with('/')) candidate.pop_back();
  const std::string near = nearest_name(name, candidates);
  return near.empty() ? "" : fmt::format("Did you mean \"{}\"?", near);
}

void require_folder(const fs::path& dir) {
  if (fs::is_directory(dir)) return;
  if (fs::exists(dir))
    throw data_error(fmt::format("\"{}\" is a file; expected a model folder", dir.string()),
                     "Name the folder that holds it.");
  fs::path named = dir.has_filename() ? dir : dir.parent_path();  // "models/x/" has no last name
  std::string hint = did_you_mean(named.filename().string(), names_in(named.parent_path()));
  throw data_error(fmt::format("no model folder \"{}\"", dir.string()), std::move(hint));
}

/// Where the files of a component may lie, the first to look in first.
std::vector<fs::path> folders_of(const fs::path& model_dir, std::string_view component) {
  require_folder(model_dir);
  if (component.empty()) return {model_dir};
  std::vector<fs::path> folders = {model_dir / component, model_dir};
  if (!fs::is_directory(folders[0])) folders.erase(folders.begin());
  return folders;
}

/// One way in which weights lie in a folder.
struct Encoding {
  std::string file;
  enum class Kind { index, safetensors, bin } kind;
};

/// "" or ".fp16" goes before the extension; with an index, older diffusers put it before ".index".
std::vector<Encoding> encodings(const std::string& variant) {
  const std::string v = variant.empty() ? "" : "." + variant;
  std::vector<Encoding> out;
  for (const std::string extension : {".safetensors", ".bin"}) {
    out.push_back({kStem + extension + ".index" + v + ".json", Encoding::Kind::index});
    if (!v.empty()) out.push_back({kStem + extension + v + ".index.json", Encoding::Kind::index});
    out.push_back({kStem + v + extension, extension == ".bin" ? Encoding::Kind::bin : Encoding::Kind::safetensors});
  }
  return out;
}

/// The variants whose files a folder holds: "diffusion_pytorch_model.fp16.safetensors" -> "fp16".
std::set<std::string> variants_in(const fs::path& dir) {
  std::set<std::string> candidates, found;
  for (const auto& name : names_in(dir)) {
    if (!name.starts_with(kStem + ".")) continue;
    for (size_t dot = kStem.size(); dot != std::string::npos;) {  // any part between dots may be one
      const size_t next = name.find('.', dot + 1);
      if (next != std::string::npos) candidates.insert(name.substr(dot + 1, next - dot - 1));
      dot = next;
    }
  }
  for (const auto& variant : candidates)
    for (const auto& encoding : encodings(variant))
      if (!variant.empty() && fs::is_regular_file(dir / encoding.file)) found.insert(variant);
  return found;
}

std::optional<Encoding> find_encoding(const fs::path& dir, const std::string& variant) {
  for (auto& encoding : encodings(variant))
    if (fs::is_regular_file(dir / encoding.file)) return encoding;
  if (!variant.empty()) return std::nullopt;
  const auto variants = variants_in(dir);
  if (variants.empty()) return std::nullopt;
  if (variants.size() > 1 && !variants.contains("fp16"))
    throw data_error(
        fmt::format("\"{}\" holds several variants of the weights: {}", dir.string(), fmt::join(variants, ", ")),
        "Say which one with the variant option.");
  return find_encoding(dir, variants.size() == 1 ? *variants.begin() : "fp16");
}

StateDict read_weights(const fs::path& path, Encoding::Kind kind) {
  switch (kind) {
    case Encoding::Kind::index:
      return load_sharded(path);
    case Encoding::Kind::safetensors:
      return SafetensorsFile::open(path).state();
    default:
      return load_torch_bin(path);
  }
}

/// UNet1DModel is the one network whose attention still has the old names.
bool keeps_old_attention_names(const fs::path& dir) {
  const fs::path path = dir / "config.json";
  if (!fs::is_regular_file(path)) return false;
  const Json config = read_json(path);
  return config.is_object() && config.value("_class_name", Json()) == "UNet1DModel";
}

/// What was looked for and what is there instead.
Error not_found(std::string_view wanted, const fs::path& model_dir, std::string_view component, std::string hint) {
  std::vector<std::string> places, names;
  for (const auto& dir : component.empty() ? std::vector{model_dir} : std::vector{model_dir / component, model_dir}) {
    places.push_back(fs::is_directory(dir) ? listing(dir) : fmt::format("there is no folder \"{}\"", dir.string()));
    for (auto& name : names_in(dir)) names.push_back(std::move(name));
  }
  if (hint.empty() && !component.empty()) hint = did_you_mean(component, names_in(model_dir));
  if (hint.empty()) hint = did_you_mean(wanted, names);
  const std::string whose = component.empty() ? "" : fmt::format(" for \"{}\"", component);
  return data_error(fmt::format("no {}{}: {}", wanted, whose, fmt::join(places, ", ")), std::move(hint));
}

/// Why a variant may be missing.
std::string variant_hint(const fs::path& model_dir, std::string_view component) {
  for (const auto& dir : folders_of(model_dir, component)) {
    if (const auto variants = variants_in(dir); !variants.empty())
      return fmt::format("Variants there: {}.", fmt::join(variants, ", "));
    if (find_encoding(dir, "")) return "Leave the variant out: the weights there have none.";
  }
  return {};
}

/// Whether a file is of the plain (not variant) safetensors encodings: whole, shard or index.
bool is_plain_safetensors(std::string_view name) {
  constexpr std::string_view kShardNumber = "-00001-of-00001", kExtension = ".safetensors";
  if (name == kStem + ".safetensors" || name == kStem + ".safetensors.index.json") return true;
  return name.starts_with(kStem + "-") && name.ends_with(kExtension) &&
         name.size() == kStem.size() + kShardNumber.size() + kExtension.size();
}

}  // namespace

Json load_component_config(const fs::path& model_dir, std::string_view component, std::string_view config_name) {
  for (const auto& dir : folders_of(model_dir, component)) {
    const fs::path path = dir / config_name;
    if (!fs::is_regular_file(path)) continue;
    Json config = read_json(path);
    if (!config.is_object()) throw data_error(fmt::format("\"{}\": expected a JSON object", path.string()));
    return config;
  }
  throw not_found(config_name, model_dir, component, {});
}

StateDict load_component_weights(const fs::path& model_dir, std::string_view component, const std::string& variant) {
  for (const auto& dir : folders_of(model_dir, component)) {
    const auto encoding = find_encoding(dir, variant);
    if (!encoding) continue;
    StateDict weights = read_weights(dir / encoding->file, encoding->kind);
    if (!keeps_old_attention_names(dir)) rename_old_attention(weights);
    return weights;
  }
  if (variant.empty()) throw not_found(kStem + ".safetensors", model_dir, component, {});
  throw not_found(fmt::format("weights of the variant \"{}\"", variant), model_dir, component,
                  variant_hint(model_dir, component));
}

void rename_old_attention(StateDict& weights) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kNames{
      {{"query", "to_q"}, {"key", "to_k"}, {"value", "to_v"}, {"proj_attn", "to_out.0"}}};
  std::set<std::string> present;
  for (const auto& [name, tensor] : weights) present.insert(name);
  for (auto& [name, tensor] : weights) {
    for (const std::string_view part : {".weight", ".bias"}) {
      if (!name.ends_with(part)) continue;
      const std::string path = name.substr(0, name.size() - part.size());
      for (const auto& [old_name, new_name] : kNames) {
        if (!path.ends_with(fmt::format(".{}", old_name))) continue;
        const auto renamed = fmt::format("{}{}{}", path.substr(0, path.size() - old_name.size()), new_name, part);
        if (present.contains(renamed)) break;
        name = renamed;
        if (tensor.dim() == 4 && tensor.size(2) == 1 && tensor.size(3) == 1) tensor = tensor.flatten(1);
        break;
      }
      break;
    }
  }
}

void save_component_config(const fs::path& dir, const Json& config, std::string_view config_name) {
  Json saved = config;
  for (const char* in_memory_only : {"_ignore_files", "_use_default_values", "_pre_quantization_dtype"})
    saved.erase(in_memory_only);
  make_folders(dir);
  write_json(dir / config_name, saved);
}

void save_component(const fs::path& dir, const Json& config, const StateDict& weights, int64_t max_shard_bytes) {
  make_folders(dir);
  const auto written = save_sharded(dir, kStem, weights, max_shard_bytes);
  for (const auto& name : names_in(dir))  // what another save left: shards, or an index that would be read first
    if (is_plain_safetensors(name) && std::find(written.begin(), written.end(), name) == written.end())
      fs::remove(dir / name);
  save_component_config(dir, config);
}

Json load_model_index(const fs::path& model_dir) {
  require_folder(model_dir);
  const fs::path path = model_dir / "model_index.json";
  if (!fs::is_regular_file(path))
    throw data_error(fmt::format("\"{}\" is no pipeline folder: it has no model_index.json. {}", model_dir.string(),
                                 listing(model_dir)),
                     did_you_mean("model_index.json", names_in(model_dir)));
  Json index = read_json(path);
  if (!index.is_object() || !index.contains("_class_name") || !index["_class_name"].is_string())
    throw data_error(fmt::format("\"{}\": expected an object with the pipeline's \"_class_name\"", path.string()));
  for (const auto& [name, value] : index.items()) {
    if (!value.is_array() || value.empty() || !value[0].is_string()) continue;  // a setting, or an absent component
    if (value.size() != 2 || !value[1].is_string())
      throw data_error(fmt::format("\"{}\": component \"{}\" should be [library, class], found {}", path.string(), name,
                                   value.dump()));
  }
  return index;
}

void save_model_index(const fs::path& model_dir, const Json& index) {
  save_component_config(model_dir, index, "model_index.json");
}

}  // namespace unnoise
