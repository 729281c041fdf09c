// Matrix products at the shapes of linear layers: rows, columns, depth.
#include <benchmark/benchmark.h>

#include <algorithm>

#include "bench/measure.h"
#include "unnoise/kernels/gemm.h"
#include "unnoise/kernels/scratch.h"

namespace unnoise::bench {
namespace {

/// A by rows, as in a layer's output, or by columns, as in the gradient of its weights.
void gemm(benchmark::State& state, bool by_columns) {
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  kernels::Scratch scratch[3];
  float* a = scratch[0].get<float>(m * k);
  float* b = scratch[1].get<float>(n * k);
  float* c = scratch[2].get<float>(m * n);
  std::fill(a, a + m * k, 0.0F);
  std::fill(b, b + n * k, 0.0F);
  const kernels::Matrix rows{a, k, 1}, columns{a, 1, m}, b_of_layer{b, 1, k}, b_of_gradient{b, n, 1};
  for (auto _ : state)
    kernels::gemm(m, n, k, by_columns ? columns : rows, by_columns ? b_of_gradient : b_of_layer, c, n);
  const auto work = [](int64_t x, int64_t y) { return static_cast<double>(x) * static_cast<double>(y); };
  count_work(state, 2 * work(m, n) * static_cast<double>(k), 4 * (work(m, k) + work(n, k) + work(m, n)));
}
BENCHMARK_CAPTURE(gemm, rows, false)
    ->Args({64, 512, 128})
    ->Args({256, 256, 256})
    ->Args({4096, 256, 256})
    ->Args({4096, 768, 256})
    ->Args({25088, 192, 64})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(gemm, columns, true)
    ->Args({256, 256, 4096})
    ->Args({768, 256, 4096})
    ->Args({192, 64, 25088})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace unnoise::bench
