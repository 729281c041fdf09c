// Attention at the shapes of the course's networks: {images, tokens, heads, head_dim}. With heads of 8 there is an
// exponential for every 32 operations of the products.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/measure.h"
#include "unnoise/kernels/attention.h"
#include "unnoise/kernels/scalar.h"

namespace {

using namespace unnoise::kernels;

template <class T>
struct Heads {
  explicit Heads(const benchmark::State& state)
      : shape{state.range(0), state.range(1), state.range(2), state.range(3), 0, 0} {
    const int64_t inner = shape.heads * shape.head_dim;
    shape.qkv_stride = 3 * inner;
    shape.out_stride = inner;
    const auto rows = static_cast<size_t>(shape.images * shape.tokens);
    qkv.resize(rows * static_cast<size_t>(3 * inner));
    gradient = qkv;
    out.resize(rows * static_cast<size_t>(inner));
    log_sum.resize(rows * static_cast<size_t>(shape.heads));
    for (size_t i = 0; i < qkv.size(); ++i) {
      const float value = static_cast<float>(i * 7919 % 1000) / 250 - 2;
      if constexpr (std::is_same_v<T, float>)
        qkv[i] = value;
      else
        qkv[i] = to_bf16(value);
    }
  }
  AttentionInputs<T> in() const {
    const int64_t inner = shape.out_stride;
    return {qkv.data(), qkv.data() + inner, qkv.data() + 2 * inner};
  }
  void forward() { attention(shape, in(), out.data(), log_sum.data()); }
  void backward() {
    const int64_t inner = shape.out_stride;
    T* const to = gradient.data();
    attention_backward<T>(shape, {in(), out.data(), log_sum.data()}, out.data(), to, to + inner, to + 2 * inner);
  }
  /// Of one product of queries and keys.
  double product_flops() const {
    return 2.0 * static_cast<double>(shape.images * shape.heads * shape.tokens) *
           static_cast<double>(shape.tokens * shape.head_dim);
  }
  double row_bytes() const { return static_cast<double>(out.size() * sizeof(T)); }

  AttentionShape shape;
  std::vector<T> qkv, out, gradient;
  std::vector<float> log_sum;
};

template <class T>
void attend(benchmark::State& state) {
  Heads<T> heads(state);
  for (auto _ : state) heads.forward();
  unnoise::bench::count_work(state, 2 * heads.product_flops(), 4 * heads.row_bytes());
}

template <class T>
void attend_backward(benchmark::State& state) {
  Heads<T> heads(state);
  heads.forward();
  for (auto _ : state) heads.backward();
  unnoise::bench::count_work(state, 5 * heads.product_flops(), 8 * heads.row_bytes());
}

void shapes(benchmark::internal::Benchmark* b) {
  b->Args({16, 196, 8, 8})->Args({16, 49, 16, 8})->Args({16, 64, 32, 8})->Args({64, 16, 32, 8});
  b->Args({2, 256, 1, 256})->Args({1, 256, 1, 256})->Args({2, 1024, 2, 64})->Args({4, 256, 8, 32});
  b->UseRealTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK(attend<float>)->Apply(shapes);
BENCHMARK(attend<bf16>)->Apply(shapes);
BENCHMARK(attend_backward<float>)->Apply(shapes);
BENCHMARK(attend_backward<bf16>)->Apply(shapes);

}  // namespace
