// Ctrl-C: the first one asks the job to stop, the second one ends the program.
#pragma once

#include <csignal>
#include <functional>
#include <stop_token>
#include <thread>

namespace unnoise::cli {

/// While it lives, the first SIGINT or SIGTERM requests a stop and calls `on_first` (on a thread of its own); a second
/// one ends the process at once with exit code 130. A signal that the parent set to be ignored (nohup, a job in the
/// background) stays ignored. One at a time.
class Interrupt {
 public:
  explicit Interrupt(std::function<void()> on_first);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  std::stop_token token() const { return source_.get_token(); }

 private:
  void watch(const std::function<void()>& on_first);

  std::stop_source source_;
  int pipe_[2] = {-1, -1};
  struct sigaction old_interrupt_ {};
  struct sigaction old_terminate_ {};
  std::thread watcher_;
};

}  // namespace unnoise::cli
