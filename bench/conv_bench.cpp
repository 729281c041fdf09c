// Convolutions at the shapes of the course's networks. GFLOP/s are those of the direct sum, so Winograd may pass the
// peak.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

#include "bench/measure.h"
#include "unnoise/kernels/conv3x3.h"
#include "unnoise/kernels/conv_direct.h"
#include "unnoise/kernels/scratch.h"

namespace unnoise::bench {
namespace {

using namespace kernels;

template <class T>
struct Maps {
  Conv3x3Shape shape;
  Scratch scratch[6];
  T *x, *y, *dx;
  float *w, *dw;
  bf16* packed;

  explicit Maps(const benchmark::State& s) : shape{s.range(0), s.range(1), s.range(1), s.range(2), s.range(3)} {
    const int64_t pixels = shape.batch * shape.height * shape.width, in = shape.in_channels, out = shape.out_channels;
    const auto zeros = [](Scratch& where, int64_t count, auto value) {
      auto* p = where.get<decltype(value)>(count);
      std::fill(p, p + count, value);
      return p;
    };
    x = zeros(scratch[0], pixels * in, T{});
    y = zeros(scratch[1], pixels * out, T{});
    dx = zeros(scratch[2], pixels * in, T{});
    w = zeros(scratch[3], in * out * 9, 0.0F);
    dw = zeros(scratch[4], in * out * 9, 0.0F);
    packed = zeros(scratch[5], conv3x3_packed_size(shape), bf16{});
  }
  void count(benchmark::State& state) const {
    const double pixels = static_cast<double>(shape.batch * shape.height * shape.width);
    const double in = static_cast<double>(shape.in_channels), out = static_cast<double>(shape.out_channels);
    count_work(state, 18 * pixels * in * out, sizeof(T) * pixels * (in + out) + 36 * in * out);
  }
};

template <class T>
void conv3x3_forward(benchmark::State& state) {
  Maps<T> m(state);
  for (auto _ : state) conv3x3(m.shape, m.x, m.w, ConvAddends<T>{}, m.y);
  m.count(state);
}
/// As a network samples: one picture, and weights that come from memory, not from a cache.
void conv3x3_sampling(benchmark::State& state) {
  Maps<float> m(state);
  const int64_t count = m.shape.in_channels * m.shape.out_channels * 9, copies = (64 << 20) / (4 * count) + 1;
  Scratch scratch;
  float* const weights = scratch.get<float>(copies * count);
  std::fill(weights, weights + copies * count, 0.0F);
  int64_t copy = 0;
  for (auto _ : state) conv3x3(m.shape, m.x, weights + copy++ % copies * count, ConvAddends<float>{}, m.y);
  m.count(state);
}
void conv3x3_packed_bf16(benchmark::State& state) {
  Maps<bf16> m(state);
  if (conv3x3_packed_size(m.shape) == 0) return state.SkipWithError("this processor has no products of bfloat16");
  pack_conv3x3(m.shape, m.w, m.packed);
  for (auto _ : state) conv3x3_packed(m.shape, m.x, m.packed, {}, m.y);
  m.count(state);
}
template <class T>
void conv3x3_input_gradient(benchmark::State& state) {
  Maps<T> m(state);
  for (auto _ : state) kernels::conv3x3_input_gradient(m.shape, m.y, m.w, m.dx);
  m.count(state);
}
template <class T>
void conv3x3_weight_gradient(benchmark::State& state) {
  Maps<T> m(state);
  for (auto _ : state) kernels::conv3x3_weight_gradient(m.shape, m.x, m.y, m.dw);
  m.count(state);
}

/// Batch, size, channels in and out.
void training_shapes(benchmark::internal::Benchmark* b) {
  for (const auto& shape : {std::vector<int64_t>{64, 32, 64, 64},
                            {64, 16, 128, 128},
                            {64, 8, 256, 256},
                            {16, 32, 128, 128},
                            {16, 16, 256, 256},
                            {128, 28, 32, 32},
                            {128, 14, 64, 64},
                            {128, 7, 64, 64}})
    b->Args(shape);
  b->UseRealTime()->Unit(benchmark::kMicrosecond);
}
void sampling_shapes(benchmark::internal::Benchmark* b) {
  for (const auto& shape :
       {std::vector<int64_t>{1, 32, 128, 128}, {1, 16, 256, 256}, {1, 8, 256, 256}, {1, 4, 256, 256}, {1, 4, 512, 256}})
    b->Args(shape);
  b->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK(conv3x3_forward<float>)->Apply(training_shapes);
BENCHMARK(conv3x3_input_gradient<float>)->Apply(training_shapes);
BENCHMARK(conv3x3_weight_gradient<float>)->Apply(training_shapes);
BENCHMARK(conv3x3_forward<bf16>)->Apply(training_shapes);
BENCHMARK(conv3x3_weight_gradient<bf16>)->Apply(training_shapes);
BENCHMARK(conv3x3_forward<float>)->Apply(sampling_shapes);
BENCHMARK(conv3x3_sampling)->Apply(sampling_shapes);
BENCHMARK(conv3x3_packed_bf16)->Apply(sampling_shapes);

/// Batch, size, channels in and out, kernel, stride.
template <class Run>
void conv_direct(benchmark::State& state, const Run& run) {
  const int64_t size = state.range(1), kernel = state.range(4), stride = state.range(5);
  const ConvShape s{state.range(0), size,   size,       state.range(2), state.range(3),
                    kernel,         stride, kernel / 2, size / stride,  size / stride};
  Scratch scratch[3];
  const int64_t outputs = s.batch * s.out_height * s.out_width * s.out_channels;
  const int64_t weights = s.in_channels * s.out_channels * kernel * kernel;
  float* x = scratch[0].get<float>(s.batch * size * size * s.in_channels);
  float* y = scratch[1].get<float>(outputs);
  float* w = scratch[2].get<float>(weights);
  std::fill(x, x + s.batch * size * size * s.in_channels, 0.0F);
  std::fill(y, y + outputs, 0.0F);
  std::fill(w, w + weights, 0.0F);
  for (auto _ : state) run(s, x, w, y);
  const double pixels = static_cast<double>(s.batch * s.out_height * s.out_width);
  count_work(state, 2 * pixels * static_cast<double>(weights),
             4.0 * (static_cast<double>(s.batch * size * size * s.in_channels) +
                    pixels * static_cast<double>(s.out_channels) + static_cast<double>(weights)));
}
void conv_direct_forward(benchmark::State& state) {
  conv_direct(state, [](const ConvShape& s, const float* x, const float* w, float* y) {
    kernels::conv_direct(s, x, w, nullptr, y);
  });
}
void conv_direct_weight_gradient(benchmark::State& state) {
  conv_direct(state, [](const ConvShape& s, const float* x, float* w, const float* y) {
    kernels::conv_direct_weight_gradient(s, x, y, w);
  });
}
void direct_shapes(benchmark::internal::Benchmark* b) {
  b->Args({64, 32, 3, 64, 3, 1})
      ->Args({64, 32, 64, 3, 3, 1})
      ->Args({64, 32, 64, 64, 3, 2})
      ->Args({16, 16, 256, 256, 3, 2})
      ->Args({64, 16, 128, 256, 1, 1})
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}
BENCHMARK(conv_direct_forward)->Apply(direct_shapes);
BENCHMARK(conv_direct_weight_gradient)->Apply(direct_shapes);

}  // namespace
}  // namespace unnoise::bench
