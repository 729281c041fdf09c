// What this machine can do at most, and how much of it a kernel reaches: the roofline (Williams et al. 2009).
#pragma once

#include <benchmark/benchmark.h>

namespace unnoise::bench {

/// Of all threads of kernels/parallel.h together.
struct Peaks {
  double flops = 0;       ///< float32 operations a second, a fused multiply-add counting two
  double copy_bytes = 0;  ///< bytes read and written a second by a copy that fits no cache
};

/// Measured at the first call, which takes a second.
const Peaks& peaks();

/// The work of one iteration as counters: GFLOP/s and its share of the peak, bytes for each operation's roof. `flops`
/// are those of the direct algorithm, so that Winograd may come out above 1. Call it after the loop; the benchmark
/// needs UseRealTime().
void count_work(benchmark::State& state, double flops, double bytes);

}  // namespace unnoise::bench
