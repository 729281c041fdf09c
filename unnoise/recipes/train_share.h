// What is one process's own in a training of several: its pictures and its random numbers.
#pragma once

#include <string>
#include <string_view>

#include "unnoise/nn/process_group.h"
#include "unnoise/nn/rng.h"
#include "unnoise/recipes/train_plan.h"

namespace unnoise {

/// Each process draws its own noise: the seed is `seed` + rank, as accelerate's set_seed(device_specific=True) has it.
Rng process_stream(uint64_t seed, int64_t rank);
/// A random state's name in a checkpoint: "noise", "noise.1", "noise.2" ...
std::string stream_name(std::string_view name, int64_t rank);
/// The states of all processes, under those names.
StateDict gather_streams(ProcessGroup& group, std::string_view name, const Rng& stream);

/// What this process reads of each batch. Those of one machine share its memory.
LoaderOptions loader_share(const TrainPlan& plan, const TrainOptions& options);

/// Processes that found another checkpoint or other pictures would train on with each other's gradients: Error::data
/// when `mine` is not the same number in all.
void check_same_start(ProcessGroup& group, std::string_view what, int64_t mine);

}  // namespace unnoise
