// All kernels' benchmarks in one program. With the measured peaks as context: each counter of_peak and of_copy is a
// share of them.
//   kernel_bench --benchmark_filter=gemm --benchmark_out=kernels.json
#include <benchmark/benchmark.h>
#include <hwy/highway.h>
#include <hwy/targets.h>

#include <cstdio>
#include <string>

#include "bench/measure.h"
#include "unnoise/kernels/parallel.h"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const auto& [flops, copy_bytes] = unnoise::bench::peaks();
  const int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;  // the lowest bit is the best
  benchmark::AddCustomContext("threads", std::to_string(unnoise::kernels::num_threads()));
  benchmark::AddCustomContext("simd", hwy::TargetName(targets & -targets));
  benchmark::AddCustomContext("peak_gflops", std::to_string(flops / 1e9));
  benchmark::AddCustomContext("copy_gb_per_s", std::to_string(copy_bytes / 1e9));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
