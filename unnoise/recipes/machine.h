// The processor or GPU that a job runs on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "unnoise/core/json.h"
#include "unnoise/nn/tensor.h"
#include "unnoise/recipes/machine_options.h"

namespace unnoise {

/// "auto" (a GPU when there is one), "cpu", "cuda" or "cuda:1". Throws Error::usage for another word and
/// Error::environment when there is no such GPU. A GPU without a number is that of `local_rank`.
at::Device find_device(std::string_view name, int64_t local_rank = 0);

/// Sets threads (LibTorch's and ours; 0 = one a physical core, which `processes` share), kernels and deterministic for
/// the whole process. Returns how many threads there are now.
int64_t use_machine(const MachineOptions& options, int64_t processes = 1);

/// Resident memory of this process, bytes: now and at its largest. 0 where the system does not tell.
struct MemoryUse {
  int64_t now = 0;
  int64_t peak = 0;
};
MemoryUse memory_use();
/// From now on `peak` is the largest since this call, where the system allows it (Linux).
void reset_peak_memory();

/// What the numbers of a run depend on besides its settings: versions of unnoise, diffusers, LibTorch and the compiler,
/// the processor and the instruction set that the kernels use on it. All texts.
Json made_with();

/// Processor time of this process so far, all threads together.
double cpu_seconds();

/// "1.5 GB", "18,536,323", "1 h 05 min": numbers for people.
std::string human_bytes(double bytes);
std::string human_count(int64_t n);
std::string human_seconds(double seconds);

}  // namespace unnoise
