#include "apps/cli/process_environment.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string_view>

#include "unnoise/core/error.h"

namespace unnoise::cli {
namespace {

constexpr const char* kSetBoth =
    "A launcher such as torchrun sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT; by hand set all four, or none to "
    "train with one process.";
constexpr const char* kSlurmMaster =
    "In the batch script: export MASTER_ADDR=$(scontrol show hostnames \"$SLURM_JOB_NODELIST\" | head -n 1). To train "
    "with one process: srun --ntasks 1.";

std::optional<std::string_view> setting(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

/// A whole number from `least` to `most`.
std::optional<int64_t> number(const char* name, int64_t least, int64_t most) {
  const auto text = setting(name);
  if (!text) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  const bool whole = error == std::errc() && end == text->data() + text->size();
  if (whole && value >= least && value <= most) return value;
  const std::string range = most == std::numeric_limits<int64_t>::max() ? fmt::format("from {}", least)
                                                                        : fmt::format("from {} to {}", least, most);
  throw usage_error(fmt::format("the variable {} is \"{}\": expected a whole number {}", name, *text, range), kSetBoth);
}

struct Names {
  const char* rank;
  const char* world_size;
  const char* local_rank;
  const char* no_master;  ///< what to do without MASTER_ADDR
};
constexpr Names kTorch = {"RANK", "WORLD_SIZE", "LOCAL_RANK", kSetBoth};
constexpr Names kSlurm = {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", kSlurmMaster};

}  // namespace

ProcessPlace process_environment(int64_t local_rank_flag) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const bool torch = setting(kTorch.rank) || setting(kTorch.world_size);
  const bool slurm = setting(kSlurm.rank) && setting(kSlurm.world_size);
  ProcessPlace place;
  if (!torch && !slurm) {
    if (local_rank_flag > 0)
      throw usage_error(fmt::format("--local-rank {}: the variables RANK and WORLD_SIZE are not set", local_rank_flag),
                        kSetBoth);
    return place;
  }
  const Names& names = torch ? kTorch : kSlurm;
  for (const char* name : {names.rank, names.world_size})
    if (!setting(name)) throw usage_error(fmt::format("the variable {} is not set", name), kSetBoth);
  place.world_size = *number(names.world_size, 1, kMost);
  place.rank = *number(names.rank, 0, place.world_size - 1);
  if (place.world_size == 1) return place;

  const auto master = setting("MASTER_ADDR");
  if (!master)
    throw usage_error(fmt::format("{} is {}, but the variable MASTER_ADDR is not set: expected the machine of rank 0",
                                  names.world_size, place.world_size),
                      names.no_master);
  place.master_addr = *master;
  place.master_port = number("MASTER_PORT", 1, 65535).value_or(place.master_port);
  place.local_rank = number(names.local_rank, 0, kMost).value_or(std::max<int64_t>(local_rank_flag, 0));
  place.local_world_size = number("LOCAL_WORLD_SIZE", 1, place.world_size).value_or(1);
  place.launcher_listens = setting("TORCHELASTIC_USE_AGENT_STORE") == "True";
  place.attempt = setting("TORCHELASTIC_RESTART_COUNT").value_or("0");
  return place;
}

}  // namespace unnoise::cli
