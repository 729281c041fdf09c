#include "unnoise/kernels/parallel.h"

#include <omp.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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
// wake a sleeping thread would take longer than both. Never yield: that gives a whole time slice away, milliseconds.
constexpr int kSpins = 3000;  // 60 us where a pause takes 20 ns, as on Zen 4; 150 us on later Xeons

thread_local bool inside_loop = false;

void spin_pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");  // a hint to the core, not to the system
#endif
}

/// A number that one thread waits on: spinning at first, then asleep.
class Signal {
 public:
  void set(uint32_t value) { value_.store(value, std::memory_order_relaxed); }  ///< while nobody waits
  uint32_t get() const { return value_.load(std::memory_order_acquire); }
  /// Adds, and wakes the thread that waits.
  void add(uint32_t amount) {
    value_.fetch_add(amount);
    if (asleep_.load()) wake();
  }
  /// The number once it is no longer `old`.
  uint32_t wait(uint32_t old) {
    for (int i = 0; i < kSpins; ++i) {
      if (const uint32_t now = get(); now != old) return now;
      spin_pause();
    }
    asleep_.store(true);  // before the last look at the number: whoever changes it after that sees the sleeper
    while (value_.load() == old) sleep(old);
    asleep_.store(false);
    return get();
  }

 private:
  // std::atomic::wait would do, but for its yields.
#ifdef __linux__
  void sleep(uint32_t old) { syscall(SYS_futex, &value_, FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0); }
  void wake() { syscall(SYS_futex, &value_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0); }
#else
  void sleep(uint32_t old) { value_.wait(old); }
  void wake() { value_.notify_one(); }
#endif

  std::atomic<uint32_t> value_{0};
  std::atomic<bool> asleep_{false};
};

/// A thread and the range that it is to work on. `ticket` counts its ranges; nobody else touches the range between its
/// change and the end of the work.
struct alignas(64) Worker {
  explicit Worker(Signal& unfinished) {
    std::thread([this, &unfinished] {
      inside_loop = true;
      for (uint32_t seen = 0;;) {
        seen = ticket.wait(seen);
        body(context, begin, end);
        unfinished.add(-1U);
      }
    }).detach();
  }

  void start(LoopBody its_body, void* its_context, int64_t its_begin, int64_t its_end) {
    body = its_body;
    context = its_context;
    begin = its_begin;
    end = its_end;
    ticket.add(1);
  }

  Signal ticket;
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
    unfinished_.set(helpers);
    for (int64_t i = 1; i < ranges; ++i)
      workers_[static_cast<size_t>(i - 1)]->start(body, context, i * n / ranges, (i + 1) * n / ranges);
    inside_loop = true;
    body(context, 0, n / ranges);
    inside_loop = false;
    for (uint32_t left = unfinished_.get(); left != 0;) left = unfinished_.wait(left);
    return true;
  }

 private:
  std::mutex busy_;
  Signal unfinished_;
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
