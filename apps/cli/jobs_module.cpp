// The module that jobs.cpp loads: all recipes, and with them LibTorch.
#include <cstring>

#include "apps/cli/jobs.h"
#include "unnoise/core/version.h"
#include "unnoise/recipes/job.h"

extern "C" __attribute__((visibility("default"))) const unnoise::cli::Jobs* unnoise_jobs(const char* version) {
  static const unnoise::cli::Jobs jobs;
  if (std::strcmp(version, unnoise::kVersion) != 0) return nullptr;
  unnoise::prepare_process();
  return &jobs;
}
