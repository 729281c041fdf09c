#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "bench/measure.h"
#include "unnoise/kernels/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/peaks.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace unnoise::bench::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr int kChains = 12;  // more than latency times units of any processor that we know, fewer than its registers

/// x = x * a + b in independent chains; returns the operations done. `result` keeps the compiler from leaving it out.
double multiply_add(int64_t rounds, float* result) {
  const hn::ScalableTag<float> d;
  const auto a = hn::Set(d, 0.999F), b = hn::Set(d, 0.001F);
  // Chains that start alike would be one to the compiler.
  const auto start = [&](int chain) { return hn::Set(d, 0.01F * static_cast<float>(chain)); };
  auto x0 = start(0), x1 = start(1), x2 = start(2), x3 = start(3), x4 = start(4), x5 = start(5), x6 = start(6),
       x7 = start(7), x8 = start(8), x9 = start(9), x10 = start(10), x11 = start(11);
  for (int64_t i = 0; i < rounds; ++i) {
    x0 = hn::MulAdd(x0, a, b);
    x1 = hn::MulAdd(x1, a, b);
    x2 = hn::MulAdd(x2, a, b);
    x3 = hn::MulAdd(x3, a, b);
    x4 = hn::MulAdd(x4, a, b);
    x5 = hn::MulAdd(x5, a, b);
    x6 = hn::MulAdd(x6, a, b);
    x7 = hn::MulAdd(x7, a, b);
    x8 = hn::MulAdd(x8, a, b);
    x9 = hn::MulAdd(x9, a, b);
    x10 = hn::MulAdd(x10, a, b);
    x11 = hn::MulAdd(x11, a, b);
  }
  const auto sum = hn::Add(hn::Add(hn::Add(x0, x1), hn::Add(x2, x3)), hn::Add(hn::Add(x4, x5), hn::Add(x6, x7)));
  *result = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum, hn::Add(hn::Add(x8, x9), hn::Add(x10, x11)))));
  return 2.0 * kChains * static_cast<double>(rounds) * static_cast<double>(hn::Lanes(d));
}

}  // namespace unnoise::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unnoise::bench {
namespace {

HWY_EXPORT(multiply_add);

constexpr int kTries = 5;  // the best counts: others only share the machine

/// Seconds of f() on every thread at once.
template <class F>
double seconds(const F& f) {
  const auto start = std::chrono::steady_clock::now();
  kernels::parallel_for(kernels::num_threads(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double measure_flops() {
  const auto threads = static_cast<size_t>(kernels::num_threads());
  std::vector<double> done(threads);
  std::vector<float> results(threads * 32);  // a cache line each
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const double passed = seconds([&](int64_t t) {
      const auto thread = static_cast<size_t>(t);
      done[thread] = HWY_DYNAMIC_DISPATCH(multiply_add)(20'000'000, &results[thread * 32]);
    });
    benchmark::DoNotOptimize(results.data());
    best = std::max(best, done[0] * static_cast<double>(threads) / passed);
  }
  return best;
}

double measure_copy() {
  constexpr size_t kBytes = size_t{256} << 20;  // of all threads; beyond every cache
  const auto threads = static_cast<size_t>(kernels::num_threads());
  const size_t piece = kBytes / threads;
  const auto from = std::make_unique<char[]>(kBytes), to = std::make_unique<char[]>(kBytes);
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const double passed = seconds([&](int64_t t) {
      const size_t at = static_cast<size_t>(t) * piece;
      std::memcpy(to.get() + at, from.get() + at, piece);
    });
    benchmark::DoNotOptimize(to.get());
    best = std::max(best, 2.0 * static_cast<double>(piece * threads) / passed);
  }
  return best;
}

}  // namespace

const Peaks& peaks() {
  static const Peaks measured{measure_flops(), measure_copy()};
  return measured;
}

void count_work(benchmark::State& state, double flops, double bytes) {
  using benchmark::Counter;
  const auto runs = static_cast<double>(state.iterations());
  if (flops > 0) {
    state.counters["FLOP/s"] = Counter(flops * runs, Counter::kIsRate);
    state.counters["of_peak"] = Counter(flops * runs / peaks().flops, Counter::kIsRate);
    if (bytes > 0) state.counters["FLOP/byte"] = flops / bytes;
  }
  if (bytes > 0) {
    state.SetBytesProcessed(static_cast<int64_t>(bytes * runs));
    state.counters["of_copy"] = Counter(bytes * runs / peaks().copy_bytes, Counter::kIsRate);
  }
}

}  // namespace unnoise::bench
#endif
