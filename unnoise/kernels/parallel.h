// Loops over threads, for every kernel.
//
// GNU OpenMP's threads wait for the next loop by spinning for milliseconds, and never give their processor away: a
// second program on the machine slows a training down many times over (docs/performance.md). Where its threads sleep
// early (GOMP_SPINCOUNT up to 10000 or OMP_WAIT_POLICY=passive in the environment; our program sees to it before it
// loads LibTorch), the kernels have a team of their own, whose threads spin for some microseconds, then sleep.
// Elsewhere they share OpenMP's, since two teams that spin would take each other's processors.
#pragma once

#include <cstdint>
#include <type_traits>

namespace unnoise::kernels {

/// Of loops that the calling thread starts: OpenMP's number, which at::set_num_threads sets too.
int num_threads();
void set_num_threads(int count);

namespace detail {
using LoopBody = void (*)(void* context, int64_t begin, int64_t end);
void parallel_ranges(int64_t n, int64_t grain, void* context, LoopBody body);
}  // namespace detail

/// Calls f(begin, end) on disjoint ranges that cover [0,n), one a thread, each of at least `grain` items (the last may
/// be shorter). It runs serially inside another parallel loop, and while another thread's loop has the team. f must not
/// throw. A kernel whose result must not depend on the number of threads reduces nothing across ranges.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& f) {
  using Function = std::remove_reference_t<F>;
  detail::parallel_ranges(
      n, grain, const_cast<std::remove_const_t<Function>*>(&f),
      [](void* context, int64_t begin, int64_t end) { (*static_cast<Function*>(context))(begin, end); });
}

}  // namespace unnoise::kernels
