// Reads and writes what tests/interop/test_formats.py asks for. Tensors travel as safetensors.
// Request: {"do": "convert" | "weights" | "component" | "config" | "json" | "card", ...}; an unnoise::Error goes to
// stderr, exit 3.
#include <cstdio>
#include <exception>

#include "unnoise/core/error.h"
#include "unnoise/core/json.h"
#include "unnoise/io/model_card.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/io/torch_bin.h"

namespace {

using unnoise::Json;

unnoise::StateDict read_tensors(const unnoise::fs::path& path) {
  return path.extension() == ".safetensors" ? unnoise::SafetensorsFile::open(path).state()
                                            : unnoise::load_torch_bin(path);
}

/// Strides and shared storages as JSON: what a safetensors file cannot hold.
Json layout(const unnoise::StateDict& tensors) {
  Json out = Json::object();
  for (const auto& [name, tensor] : tensors)
    out[name] = {{"strides", tensor.strides().vec()},
                 {"offset", tensor.storage_offset()},
                 {"storage", reinterpret_cast<uintptr_t>(tensor.storage().data())}};
  return out;
}

void run(const Json& request) {
  const auto text = [&](const char* key) { return request.at(key).get<std::string>(); };
  const auto what = text("do");
  if (what == "convert") {
    const auto tensors = read_tensors(text("from"));
    unnoise::save_safetensors(text("to"), tensors);
    std::puts(layout(tensors).dump().c_str());
  } else if (what == "weights") {
    unnoise::save_safetensors(
        text("to"), unnoise::load_component_weights(text("model"), text("component"), request.value("variant", "")));
  } else if (what == "component") {
    unnoise::save_component(text("to"), unnoise::load_component_config(text("model"), text("component")),
                            unnoise::load_component_weights(text("model"), text("component")),
                            request.at("max_shard_bytes"));
  } else if (what == "config") {
    unnoise::save_component_config(
        text("to"), unnoise::load_component_config(text("model"), text("component"), text("name")), text("name"));
  } else if (what == "card") {
    unnoise::save_model_card(text("to"),
                             {.title = text("title"), .license = text("license"), .summary = "", .sections = {}});
    std::puts(unnoise::read_license(text("to")).c_str());
  } else {
    throw unnoise::usage_error("unknown request " + what);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  run(unnoise::read_json(argv[1]));
  return 0;
} catch (const unnoise::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 3;
} catch (const std::exception& e) {
  std::fprintf(stderr, "not an unnoise::Error: %s\n", e.what());
  return 1;
}
