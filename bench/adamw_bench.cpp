// The end of a training step, 9 arrays of float32 over the butterflies network's 14 M or the mnist network's 1.7 M
// parameters: memory's speed is the limit, so bytes a second is what counts.
#include <benchmark/benchmark.h>

#include <vector>

#include "unnoise/kernels/adamw.h"

namespace {

using namespace unnoise::kernels;

struct Arrays {
  explicit Arrays(int64_t count)
      : parameter(static_cast<size_t>(count), 0.1F),
        gradient(parameter.size(), 0.01F),
        exp_avg(parameter.size()),
        exp_avg_sq(parameter.size()),
        average(parameter) {}
  /// As the layers of a network lie: 64 arrays.
  std::vector<AdamSpan> spans() {
    std::vector<AdamSpan> out;
    const auto piece = static_cast<int64_t>(parameter.size() / 64);
    for (int64_t i = 0; i < 64; ++i)
      out.push_back({parameter.data() + i * piece, gradient.data() + i * piece, exp_avg.data() + i * piece,
                     exp_avg_sq.data() + i * piece, average.data() + i * piece, piece, 5});
    return out;
  }
  std::vector<float> parameter, gradient, exp_avg, exp_avg_sq, average;
};

void report(benchmark::State& state, int64_t values_moved) {
  state.SetBytesProcessed(state.iterations() * state.range(0) * values_moved * 4);
}

void adam_and_average(benchmark::State& state) {
  Arrays arrays(state.range(0));
  const auto spans = arrays.spans();
  for (auto _ : state) adam_step(spans, {.weight_decay = 1e-6, .average_weight = 1e-4});
  report(state, 9);
}

void norm_of_gradients(benchmark::State& state) {
  const Arrays arrays(state.range(0));
  const std::vector<FloatSpan> spans = {{arrays.gradient.data(), state.range(0)}};
  for (auto _ : state) benchmark::DoNotOptimize(sum_of_squares(spans));
  report(state, 1);
}

BENCHMARK(adam_and_average)
    ->Arg(1 << 14)
    ->Arg(1'700'032)
    ->Arg(14'000'000)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(norm_of_gradients)
    ->Arg(1 << 14)
    ->Arg(1'700'032)
    ->Arg(14'000'000)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
