// checkpoint-<step>: all that a run needs to go on as if it had never stopped.
//
//   unet/, unet_ema/          as diffusers writes them (unet_ema/config.json also holds the average's counters)
//   unet_ema_0.05/ ...        further averages, by their sigma_rel; unet_ema_halflife_2/ by thousands of pictures
//   trainer_state.json        epoch, steps, position in the data
//   trainer_state.safetensors random states and the optimizer's averages
//   options.json              the run's options at that moment
//   data.json                 what the position counts on: number of pictures
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "unnoise/core/files.h"
#include "unnoise/core/json.h"
#include "unnoise/nn/module.h"
#include "unnoise/training/ema.h"
#include "unnoise/training/trainer_state.h"

namespace unnoise {

/// Writes the folder under a temporary name and renames it: a kill leaves either none or a whole one.
void save_checkpoint(const fs::path& path, const Module& unet, const Json& unet_config, const Ema* ema,
                     std::span<Ema* const> more_averages, const TrainerState& state, const Json& options,
                     const Json& data);

/// Sets the network's weights and the averages from the folder and returns the rest. Error::data when it is damaged or
/// of another network; `ema` null ignores a saved average, and a missing one is an Error::usage.
TrainerState load_checkpoint(const fs::path& path, Module& unet, Ema* ema, std::span<Ema* const> more_averages);

/// data.json of a checkpoint.
Json checkpoint_data(const fs::path& path);

}  // namespace unnoise
