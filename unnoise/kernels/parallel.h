// Loops over threads, for every kernel. OpenMP does the work (the pool that LibTorch uses too, so that its threads and
// ours never compete); built with UNNOISE_STD_THREADS it is std::thread, which ThreadSanitizer understands.
#pragma once

#include <cstdint>
#include <type_traits>

namespace unnoise::kernels {

/// Of loops that the calling thread starts. at::set_num_threads sets the same number.
int num_threads();
void set_num_threads(int count);

namespace detail {
using LoopBody = void (*)(void* context, int64_t begin, int64_t end);
void parallel_ranges(int64_t n, int64_t grain, void* context, LoopBody body);
}  // namespace detail

/// Calls f(begin, end) on disjoint ranges that cover [0,n), one a thread, each of at least `grain` items (the last may
/// be shorter). Inside another parallel loop it runs serially. f must not throw. A kernel whose result must not depend
/// on the number of threads reduces nothing across ranges.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& f) {
  using Function = std::remove_reference_t<F>;
  detail::parallel_ranges(
      n, grain, const_cast<std::remove_const_t<Function>*>(&f),
      [](void* context, int64_t begin, int64_t end) { (*static_cast<Function*>(context))(begin, end); });
}

}  // namespace unnoise::kernels
