#include "unnoise/recipes/train_share.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"

namespace unnoise {

Rng process_stream(uint64_t seed, int64_t rank) { return Rng(seed + static_cast<uint64_t>(rank)); }

std::string stream_name(std::string_view name, int64_t rank) {
  return rank == 0 ? std::string(name) : fmt::format("{}.{}", name, rank);
}

StateDict gather_streams(ProcessGroup& group, std::string_view name, const Rng& stream) {
  StateDict all;
  for (const Tensor& state : group.gather(stream.state()))
    all.emplace_back(stream_name(name, static_cast<int64_t>(all.size())), state);
  return all;
}

LoaderOptions loader_share(const TrainPlan& plan, const TrainOptions& options) {
  LoaderOptions loader = plan.loader;
  loader.batch_size = pictures_a_batch(options);
  loader.share = options.processes.rank;
  loader.shares = options.processes.world_size;
  loader.cache_bytes /= options.processes.local_world_size;
  return loader;
}

void check_same_start(ProcessGroup& group, std::string_view what, int64_t mine) {
  if (group.sum(static_cast<double>(mine)) == static_cast<double>(mine * group.size())) return;
  throw data_error(fmt::format("the processes do not start alike: process {} has {} {}, others another number",
                               group.rank(), mine, what),
                   "Every machine has to see the same output folder and the same pictures.");
}

}  // namespace unnoise
