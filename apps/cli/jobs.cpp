#include "apps/cli/jobs.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"

namespace unnoise::cli {
namespace {

constexpr const char* kWhere =
    "It belongs beside the program or where the installation put it, and finds LibTorch where it was built with it; "
    "LD_LIBRARY_PATH names other folders.";

/// LibTorch's operators have OpenMP's threads, which by default spin for milliseconds after each loop, on processors
/// that the kernels' threads or other programs need. OpenMP reads this once, when it is loaded.
void let_openmp_threads_sleep() {
  if (getenv("OMP_WAIT_POLICY") == nullptr) setenv("GOMP_SPINCOUNT", "100", 0);  // some microseconds
}

const Jobs& load() {
  let_openmp_threads_sleep();
  // By its bare name: the program's run path says where, $ORIGIN in the build folder and ../lib when installed.
  void* module = dlopen(UNNOISE_JOBS_MODULE, RTLD_LAZY | RTLD_LOCAL);
  if (module == nullptr) throw environment_error(fmt::format("cannot load the program's jobs: {}", dlerror()), kWhere);
  const auto entry = reinterpret_cast<JobsEntry>(dlsym(module, kJobsEntry));
  const Jobs* jobs = entry == nullptr ? nullptr : entry(kVersion);
  if (jobs == nullptr)
    throw environment_error(fmt::format("{}: not of this program's version, {}", UNNOISE_JOBS_MODULE, kVersion),
                            "Install both together.");
  return *jobs;
}

}  // namespace

const Jobs& jobs() {
  static const Jobs& loaded = load();
  return loaded;
}

}  // namespace unnoise::cli
