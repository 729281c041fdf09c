// What a launcher says about this process: torchrun, Slurm, or the variables that they set, set by hand.
#pragma once

#include "unnoise/core/process_place.h"

namespace unnoise::cli {

/// RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, LOCAL_RANK, LOCAL_WORLD_SIZE; for the first two also SLURM_PROCID and
/// SLURM_NTASKS. A group of one when nothing is set. `local_rank_flag`, negative when not given, stands in for
/// LOCAL_RANK. Error::usage names the variable that is missing or wrong.
ProcessPlace process_environment(int64_t local_rank_flag);

}  // namespace unnoise::cli
