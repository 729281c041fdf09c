#include "apps/cli/interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "apps/cli/command.h"
#include "unnoise/core/error.h"

namespace unnoise::cli {
namespace {

// A signal handler can reach nothing but globals, and may call only async-signal-safe functions: it counts, and wakes
// the watching thread through a pipe.
std::atomic<int> signals_seen = 0;
std::atomic<int> wake_descriptor = -1;
static_assert(std::atomic<int>::is_always_lock_free);

constexpr char kSignal = 's', kEnd = 'e';

void on_signal(int) {
  if (signals_seen.fetch_add(1) > 0) {
    [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, "\n", 1);
    ::_exit(kInterrupted);
  }
  const int saved = errno;
  [[maybe_unused]] const auto ignored = ::write(wake_descriptor.load(), &kSignal, 1);
  errno = saved;
}

struct sigaction handle_unless_ignored(int signal) {
  struct sigaction old {};
  ::sigaction(signal, nullptr, &old);
  if (old.sa_handler == SIG_IGN) return old;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
  return old;
}

}  // namespace

Interrupt::Interrupt(std::function<void()> on_first) {
  if (::pipe2(pipe_, O_CLOEXEC) != 0) throw environment_error("cannot create a pipe: too many open files");
  signals_seen = 0;
  wake_descriptor = pipe_[1];
  watcher_ = std::thread([this, on_first = std::move(on_first)] { watch(on_first); });
  old_interrupt_ = handle_unless_ignored(SIGINT);
  old_terminate_ = handle_unless_ignored(SIGTERM);
}

Interrupt::~Interrupt() {
  ::sigaction(SIGINT, &old_interrupt_, nullptr);
  ::sigaction(SIGTERM, &old_terminate_, nullptr);
  [[maybe_unused]] const auto ignored = ::write(pipe_[1], &kEnd, 1);
  watcher_.join();
  wake_descriptor = -1;
  ::close(pipe_[0]);
  ::close(pipe_[1]);
}

void Interrupt::watch(const std::function<void()>& on_first) {
  for (;;) {
    char what = kEnd;
    const ssize_t n = ::read(pipe_[0], &what, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || what == kEnd) return;
    on_first();
    source_.request_stop();
  }
}

}  // namespace unnoise::cli
