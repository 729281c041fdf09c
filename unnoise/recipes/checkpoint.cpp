#include "unnoise/recipes/checkpoint.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/io/safetensors.h"

namespace unnoise {

void save_checkpoint(const fs::path& path, const Module& unet, const Json& unet_config, const Ema* ema,
                     const TrainerState& state, const Json& options, const Json& data) {
  write_folder_atomic(path, [&](const fs::path& folder) {
    save_component(folder / "unet", unet_config, unet.state());
    if (ema) {
      Json config = unet_config;
      config.update(ema->config());
      save_component(folder / "unet_ema", config, ema->state());
    }
    save_safetensors(folder / "trainer_state.safetensors", trainer_tensors(state));
    write_json(folder / "trainer_state.json", trainer_numbers(state));
    write_json(folder / "options.json", options);
    write_json(folder / "data.json", data);
  });
}

TrainerState load_checkpoint(const fs::path& path, Module& unet, Ema* ema) {
  const std::string where = fmt::format("\"{}\"", path.string());
  if (!fs::exists(path / "trainer_state.json"))
    throw data_error(fmt::format("{} is not a checkpoint of unnoise: it has no trainer_state.json", where),
                     "To start from a model's weights alone, use --pretrained.");
  if (ema && !fs::exists(path / "unet_ema"))
    throw usage_error(fmt::format("--use-ema: the run that wrote {} kept no average", where),
                      "Resume without --use-ema, or start a new run with --pretrained.");
  unet.load_state(load_component_weights(path, "unet"), (path / "unet").string());
  if (ema)
    ema->load(load_component_weights(path, "unet_ema"), load_component_config(path, "unet_ema"),
              (path / "unet_ema").string());
  const auto tensors = SafetensorsFile::open(path / "trainer_state.safetensors").state();
  return trainer_state(read_json(path / "trainer_state.json"), tensors, where);
}

Json checkpoint_data(const fs::path& path) { return read_json(path / "data.json"); }

}  // namespace unnoise
