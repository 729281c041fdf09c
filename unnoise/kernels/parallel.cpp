#include "unnoise/kernels/parallel.h"

#include <algorithm>

#ifdef UNNOISE_STD_THREADS
#include <thread>
#include <vector>
#else
#include <omp.h>
#endif

namespace unnoise::kernels {
namespace {

#ifdef UNNOISE_STD_THREADS
thread_local int chosen_threads = 0;
thread_local bool inside_loop = false;
#endif

}  // namespace

int num_threads() {
#ifdef UNNOISE_STD_THREADS
  return chosen_threads > 0 ? chosen_threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
#else
  return omp_get_max_threads();
#endif
}

void set_num_threads(int count) {
#ifdef UNNOISE_STD_THREADS
  chosen_threads = count;
#else
  omp_set_num_threads(count);
#endif
}

void detail::parallel_ranges(int64_t n, int64_t grain, void* context, LoopBody body) {
  if (n <= 0) return;
  const int64_t ranges = std::min<int64_t>((n + grain - 1) / std::max<int64_t>(grain, 1), num_threads());
#ifdef UNNOISE_STD_THREADS
  const bool serial = ranges <= 1 || inside_loop;
#else
  const bool serial = ranges <= 1 || omp_in_parallel();
#endif
  if (serial) return body(context, 0, n);
  const auto run = [&](int64_t i) { body(context, i * n / ranges, (i + 1) * n / ranges); };
#ifdef UNNOISE_STD_THREADS
  std::vector<std::thread> helpers;
  for (int64_t i = 1; i < ranges; ++i)
    helpers.emplace_back([&run, i] {
      inside_loop = true;
      run(i);
    });
  inside_loop = true;
  run(0);
  inside_loop = false;
  for (std::thread& helper : helpers) helper.join();
#else
#pragma omp parallel for num_threads(static_cast <int>(ranges)) schedule(static, 1)
  for (int64_t i = 0; i < ranges; ++i) run(i);
#endif
}

}  // namespace unnoise::kernels
