#include "unnoise/recipes/checkpoint.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/io/safetensors.h"

namespace unnoise {
namespace {

/// Of an average that stands beside the main one, and how its flag calls it.
std::string folder_of(const Ema& average) {
  if (const auto& halflife = average.options().halflife) return fmt::format("unet_ema_halflife_{:g}", *halflife / 1000);
  return fmt::format("unet_ema_{}", average.options().sigma_rel.value());
}
std::string flag_of(const Ema& average) {
  if (const auto& halflife = average.options().halflife) return fmt::format("--ema-halflife {:g}", *halflife / 1000);
  return fmt::format("--ema-sigma-rel {}", average.options().sigma_rel.value());
}

void save_average(const fs::path& folder, Json config, const Ema& average) {
  config.update(average.config());
  save_component(folder, config, average.state());
}

void load_average(const fs::path& path, const std::string& name, Ema& average) {
  const EmaOptions asked = average.options();
  average.load(load_component_weights(path, name), load_component_config(path, name), (path / name).string());
  if (average.options().sigma_rel != asked.sigma_rel || average.options().halflife != asked.halflife)
    throw usage_error(fmt::format("the average in \"{}\" is of another kind than this run's", (path / name).string()),
                      "Resume with the --use-ema, --ema-halflife and --ema-sigma-rel that the run began with.");
}

}  // namespace

void save_checkpoint(const fs::path& path, const Module& unet, const Json& unet_config, const Ema* ema,
                     std::span<Ema* const> more_averages, const TrainerState& state, const Json& options,
                     const Json& data) {
  write_folder_atomic(path, [&](const fs::path& folder) {
    save_component(folder / "unet", unet_config, unet.state());
    if (ema) save_average(folder / "unet_ema", unet_config, *ema);
    for (const Ema* average : more_averages) save_average(folder / folder_of(*average), unet_config, *average);
    save_safetensors(folder / "trainer_state.safetensors", trainer_tensors(state));
    write_json(folder / "trainer_state.json", trainer_numbers(state));
    write_json(folder / "options.json", options);
    write_json(folder / "data.json", data);
  });
}

TrainerState load_checkpoint(const fs::path& path, Module& unet, Ema* ema, std::span<Ema* const> more_averages) {
  const std::string where = fmt::format("\"{}\"", path.string());
  if (!fs::exists(path / "trainer_state.json"))
    throw data_error(fmt::format("{} is not a checkpoint of unnoise: it has no trainer_state.json", where),
                     "To start from a model's weights alone, use --pretrained.");
  if (ema && !fs::exists(path / "unet_ema"))
    throw usage_error(fmt::format("--use-ema: the run that wrote {} kept no average", where),
                      "Resume without --use-ema, or start a new run with --pretrained.");
  for (const Ema* average : more_averages)
    if (!fs::exists(path / folder_of(*average)))
      throw usage_error(fmt::format("{}: the run that wrote {} kept no such average", flag_of(*average), where),
                        "Resume with the averages that the run began with.");
  unet.load_state(load_component_weights(path, "unet"), (path / "unet").string());
  if (ema) load_average(path, "unet_ema", *ema);
  for (Ema* average : more_averages) load_average(path, folder_of(*average), *average);
  const auto tensors = SafetensorsFile::open(path / "trainer_state.safetensors").state();
  return trainer_state(read_json(path / "trainer_state.json"), tensors, where);
}

Json checkpoint_data(const fs::path& path) { return read_json(path / "data.json"); }

}  // namespace unnoise
