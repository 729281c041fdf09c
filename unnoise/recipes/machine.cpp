#include "unnoise/recipes/machine.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/nn/versions.h"

#ifdef __clang__
#define UNNOISE_COMPILER "clang " __clang_version__
#else
#define UNNOISE_COMPILER "gcc " __VERSION__
#endif

namespace unnoise {

at::Device find_device(std::string_view name, int64_t local_rank) {
  const bool gpu = at::globalContext().hasCUDA();  // compiled in, and a GPU is there
  if (name == "auto") return gpu ? find_device("cuda", local_rank) : at::Device(at::kCPU);
  if (name == "cpu") return at::kCPU;
  if (!name.starts_with("cuda")) throw usage_error(fmt::format("--device: \"{}\" is not one of auto, cpu, cuda", name));
  if (!gpu)
    throw environment_error(fmt::format("--device {}: no GPU can be used here", name),
                            "Use --device cpu, or build against a LibTorch with CUDA on a machine with a GPU.");
  try {
    const at::Device device{std::string(name)};
    const int64_t index = device.has_index() ? device.index() : local_rank;
    if (const size_t count = at::getNumGPUs(); static_cast<size_t>(index) >= count)
      throw environment_error(fmt::format("--device {}: there is no GPU {}", name, index),
                              fmt::format("There are {} here, numbered from 0.", count));
    return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
  } catch (const c10::Error&) {
    throw usage_error(fmt::format("--device: \"{}\" is not of the form cuda or cuda:N", name));
  }
}

int64_t use_machine(const MachineOptions& options, int64_t processes) {
  int64_t threads = options.threads;
  if (threads < 0) throw usage_error(fmt::format("--threads: expected 0 or more, found {}", threads));
  if (threads == 0 && processes > 1) threads = std::max<int64_t>(at::get_num_threads() / processes, 1);
  if (threads > 0) at::set_num_threads(static_cast<int>(threads));
  set_kernel_choice(options.kernels);
  set_deterministic(options.deterministic);
  return at::get_num_threads();
}

MemoryUse memory_use() {
  MemoryUse use;
  std::FILE* file = std::fopen("/proc/self/status", "r");
  if (!file) return use;
  char line[256];
  while (std::fgets(line, sizeof line, file)) {
    long long kib = 0;
    if (std::sscanf(line, "VmRSS: %lld kB", &kib) == 1) use.now = kib * 1024;
    if (std::sscanf(line, "VmHWM: %lld kB", &kib) == 1) use.peak = kib * 1024;
  }
  std::fclose(file);
  return use;
}

void reset_peak_memory() {
  if (std::FILE* file = std::fopen("/proc/self/clear_refs", "w")) {
    std::fputs("5", file);  // proc(5): resets VmHWM
    std::fclose(file);
  }
}

namespace {

/// The processor's name as the system tells it, "" where it does not.
std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(": ") + 2));
  return "";
}

}  // namespace

Json made_with() {
  return {{"unnoise", kVersion},          {"diffusers", kDiffusersVersion}, {"libtorch", torch_version()},
          {"compiler", UNNOISE_COMPILER}, {"processor", processor_name()},  {"instructions", instruction_set()}};
}

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

std::string human_bytes(double bytes) {
  if (bytes < 1e6) return fmt::format("{:.0f} kB", bytes / 1e3);
  if (bytes < 1e9) return fmt::format("{:.0f} MB", bytes / 1e6);
  return fmt::format("{:.1f} GB", bytes / 1e9);
}

std::string human_count(int64_t n) {
  std::string digits = std::to_string(n);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3) digits.insert(at, ",");
  return digits;
}

std::string human_seconds(double seconds) {
  const auto s = static_cast<int64_t>(std::llround(seconds));
  if (s < 100) return fmt::format("{} s", s);
  if (s < 6000) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s % 3600 / 60);
}

}  // namespace unnoise
