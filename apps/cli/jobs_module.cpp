// The module that jobs.cpp loads: all recipes, and with them LibTorch.
#include <cstring>

#include "apps/cli/jobs.h"
#include "unnoise/core/version.h"

extern "C" __attribute__((visibility("default"))) const unnoise::cli::Jobs* unnoise_jobs(const char* version) {
  static const unnoise::cli::Jobs jobs;
  return std::strcmp(version, unnoise::kVersion) == 0 ? &jobs : nullptr;
}
