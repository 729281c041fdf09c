#include "apps/cli/jobs.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"

namespace unnoise::cli {
namespace {

constexpr const char* kWhere =
    "It belongs beside the program or where the installation put it, and finds LibTorch where it was built with it; "
    "LD_LIBRARY_PATH names other folders.";

const Jobs& load() {
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
