// GroupNorm + SiLU at the shapes of the course's networks: {images, pixels, channels}, 32 groups. Memory's speed is the
// limit where the maps do not fit the caches; in them it is the exponentials.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/measure.h"
#include "unnoise/kernels/group_norm.h"
#include "unnoise/kernels/scalar.h"

namespace {

using namespace unnoise::kernels;

template <class T>
struct Maps {
  explicit Maps(const benchmark::State& state)
      : shape{state.range(0), state.range(1), state.range(2), 32},
        x(static_cast<size_t>(shape.images * shape.pixels * shape.channels)),
        dy(x.size()),
        y(x.size()),
        dx(x.size()),
        weight(static_cast<size_t>(shape.channels), 1.1F),
        bias(weight.size(), 0.1F),
        dweight(weight.size()),
        dbias(weight.size()),
        mean(static_cast<size_t>(shape.images * shape.groups)),
        rstd(mean.size()) {
    for (size_t i = 0; i < x.size(); ++i) {
      const float value = static_cast<float>(i * 7919 % 1000) / 250 - 2;
      if constexpr (std::is_same_v<T, float>)
        x[i] = dy[i] = value;
      else
        x[i] = dy[i] = to_bf16(value);
    }
  }
  void forward() {
    group_norm(shape, x.data(), weight.data(), bias.data(), 1e-5, true, y.data(), mean.data(), rstd.data());
  }
  void backward() {
    const GroupNormSaved<T> saved{x.data(), mean.data(), rstd.data(), weight.data(), bias.data(), true};
    group_norm_backward(shape, saved, dy.data(), dx.data(), dweight.data(), dbias.data());
  }

  GroupNormShape shape;
  std::vector<T> x, dy, y, dx;
  std::vector<float> weight, bias, dweight, dbias, mean, rstd;
};

/// Counted as the fewest operations: 4 a value for moments and scaling, 12 for SiLU; twice that on the way back.
template <class T>
void group_norm_silu(benchmark::State& state) {
  Maps<T> maps(state);
  for (auto _ : state) maps.forward();
  const auto values = static_cast<double>(maps.x.size());
  unnoise::bench::count_work(state, 16 * values, 2 * values * sizeof(T));
}

template <class T>
void group_norm_silu_backward(benchmark::State& state) {
  Maps<T> maps(state);
  maps.forward();
  for (auto _ : state) maps.backward();
  const auto values = static_cast<double>(maps.x.size());
  unnoise::bench::count_work(state, 32 * values, 3 * values * sizeof(T));
}

void shapes(benchmark::internal::Benchmark* b) {
  b->Args({64, 1024, 128})->Args({64, 64, 256})->Args({128, 196, 64});
  b->Args({16, 256, 256})->Args({1, 1024, 128})->Args({1, 16, 512});
  b->UseRealTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK(group_norm_silu<float>)->Apply(shapes);
BENCHMARK(group_norm_silu<bf16>)->Apply(shapes);
BENCHMARK(group_norm_silu_backward<float>)->Apply(shapes);
BENCHMARK(group_norm_silu_backward<bf16>)->Apply(shapes);

}  // namespace
