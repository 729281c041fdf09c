#include "unnoise/kernels/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

namespace unnoise::kernels {
namespace {

using detail::LoopBody;

// A loop's threads end within microseconds of each other, and the next loop of a network follows in tens of them: to
// wake a sleeping thread would take longer than both.
constexpr int kSpins = 200;   // some microseconds
constexpr int kYields = 400;  // about 0.2 ms on an idle processor; on a busy one others run instead

thread_local bool inside_loop = false;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// What `value` holds once it is no longer `old`.
uint32_t wait_for_change(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins + kYields; ++i) {
    if (const uint32_t now = value.load(std::memory_order_acquire); now != old) return now;
    i < kSpins ? pause() : std::this_thread::yield();
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

/// A thread and the range that it is to work on. `ticket` counts its ranges; nobody else touches the range between its
/// change and the end of the work.
struct alignas(64) Worker {
  explicit Worker(std::atomic<uint32_t>& unfinished) {
    std::thread([this, &unfinished] {
      inside_loop = true;
      for (uint32_t seen = 0;;) {
        seen = wait_for_change(ticket, seen);
        body(context, begin, end);
        if (unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished.notify_one();
      }
    }).detach();
  }

  void start(LoopBody its_body, void* its_context, int64_t its_begin, int64_t its_end) {
    body = its_body;
    context = its_context;
    begin = its_begin;
    end = its_end;
    ticket.fetch_add(1, std::memory_order_release);
    ticket.notify_one();
  }

  std::atomic<uint32_t> ticket{0};
  LoopBody body = nullptr;
  void* context = nullptr;
  int64_t begin = 0, end = 0;
};

class Team {
 public:
  /// One for the process. Never destroyed: its threads wait until the process ends.
  static Team& instance() {
    static Team& team = *new Team;
    return team;
  }

  /// False, without having begun, while another thread's loop runs.
  bool run(int64_t n, int64_t ranges, void* context, LoopBody body) {
    const std::unique_lock lock(busy_, std::try_to_lock);
    if (!lock) return false;
    const auto helpers = static_cast<uint32_t>(ranges - 1);
    while (workers_.size() < helpers) workers_.push_back(std::make_unique<Worker>(unfinished_));
    unfinished_.store(helpers, std::memory_order_relaxed);
    for (int64_t i = 1; i < ranges; ++i)
      workers_[static_cast<size_t>(i - 1)]->start(body, context, i * n / ranges, (i + 1) * n / ranges);
    inside_loop = true;
    body(context, 0, n / ranges);
    inside_loop = false;
    for (uint32_t left = unfinished_.load(std::memory_order_acquire); left != 0;)
      left = wait_for_change(unfinished_, left);
    return true;
  }

 private:
  std::mutex busy_;
  std::atomic<uint32_t> unfinished_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
};

/// As OpenMP read its environment when it was loaded.
bool openmp_threads_sleep() {
  static const bool sleep = [] {
    const char* policy = std::getenv("OMP_WAIT_POLICY");
    const char* spins = std::getenv("GOMP_SPINCOUNT");
    if (spins) return *spins >= '0' && *spins <= '9' && std::atoll(spins) <= 10000;  // else "infinity"
    return policy && (std::string_view(policy) == "passive" || std::string_view(policy) == "PASSIVE");
  }();
  return sleep;
}

}  // namespace

int num_threads() { return omp_get_max_threads(); }

void set_num_threads(int count) { omp_set_num_threads(count); }

void detail::parallel_ranges(int64_t n, int64_t grain, void* context, LoopBody body) {
  if (n <= 0) return;
  const int64_t ranges = std::min<int64_t>((n + grain - 1) / std::max<int64_t>(grain, 1), num_threads());
  if (ranges <= 1 || inside_loop || omp_in_parallel()) return body(context, 0, n);
  if (openmp_threads_sleep()) {
    if (!Team::instance().run(n, ranges, context, body)) body(context, 0, n);
    return;
  }
#pragma omp parallel for num_threads(static_cast <int>(ranges)) schedule(static, 1)
  for (int64_t i = 0; i < ranges; ++i) body(context, i * n / ranges, (i + 1) * n / ranges);
}

}  // namespace unnoise::kernels
