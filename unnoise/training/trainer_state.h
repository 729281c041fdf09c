// What a checkpoint holds besides the network and its average, so that a resumed run equals an uninterrupted one.
#pragma once

#include <cstdint>
#include <string_view>

#include "unnoise/core/json.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Taken between two updates (no gradients pending). The weights belong in unet/, the average and its counters in
/// unet_ema/ (Ema::state, Ema::config); the rest is here. The learning rate is a function of global_step, the data
/// order one of micro_batch.
struct TrainerState {
  int64_t epoch = 0;        ///< that micro_batch is in
  int64_t global_step = 0;  ///< updates made
  int64_t micro_batch = 0;  ///< the next one to come, numbered across epochs
  StateDict random;         ///< Rng::state() by name: "noise", "dropout"
  StateDict optimizer;      ///< Optimizer::state()
  StateDict uncertainty;    ///< Uncertainty::state(), of a run that has one
  Json health;              ///< TrainingHealth::state(), or null
  Json grad_scaler;         ///< GradScaler::state(), of a run that has one, else null
};

/// The numbers, for trainer_state.json.
Json trainer_numbers(const TrainerState& state);
/// The tensors as "random.<name>", "optimizer.<name>" and "uncertainty.<name>", for trainer_state.safetensors. Handles,
/// not copies.
StateDict trainer_tensors(const TrainerState& state);
/// Puts the two together again. Error::data names `where` and the key for anything missing, negative, of the wrong
/// type, or unknown.
TrainerState trainer_state(const Json& numbers, const StateDict& tensors, std::string_view where);

}  // namespace unnoise
