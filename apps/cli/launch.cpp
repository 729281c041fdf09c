#include "apps/cli/launch.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/terminal.h"
#include "unnoise/core/error.h"

namespace unnoise::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kToNotice{15};  // that another one has ended; then they are asked to end
constexpr std::chrono::seconds kToEnd{10};     // and then ended

int free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const bool found = ::bind(descriptor, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                     ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  ::close(descriptor);
  if (!found) throw environment_error(fmt::format("no free port for the processes to meet: {}", std::strerror(errno)));
  return ntohs(address.sin_port);
}

/// Whether it says where a process stands: a launcher that started this one alone has set some of these.
bool is_place(std::string_view variable) {
  constexpr std::array<std::string_view, 6> kPlace = {"RANK",             "LOCAL_RANK",  "WORLD_SIZE",
                                                      "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"};
  const std::string_view name = variable.substr(0, variable.find('='));
  return std::find(kPlace.begin(), kPlace.end(), name) != kPlace.end() || name.starts_with("TORCHELASTIC_");
}

/// The variables of this process but for its place, and the place of that one.
std::vector<std::string> environment_of(int64_t rank, int64_t count, int port) {
  std::vector<std::string> all;
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!is_place(*variable)) all.emplace_back(*variable);
  for (const auto& [name, value] : {std::pair{"RANK", rank},
                                    {"LOCAL_RANK", rank},
                                    {"WORLD_SIZE", count},
                                    {"LOCAL_WORLD_SIZE", count},
                                    {"MASTER_PORT", static_cast<int64_t>(port)}})
    all.push_back(fmt::format("{}={}", name, value));
  all.emplace_back("MASTER_ADDR=127.0.0.1");
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (auto& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

class Processes {
 public:
  /// From here on this thread takes the signals itself, in wait_for_signal().
  Processes() {
    sigemptyset(&signals_);
    for (const int signal : {SIGCHLD, SIGINT, SIGTERM}) sigaddset(&signals_, signal);
    ::sigprocmask(SIG_BLOCK, &signals_, &before_);
  }
  ~Processes() {
    send(SIGKILL);
    for (const pid_t id : running_) ::waitpid(id, nullptr, 0);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  void start(std::vector<std::string> words, std::vector<std::string> variables) {
    const auto argv = pointers(words), envp = pointers(variables);
    const pid_t parent = ::getpid(), id = ::fork();
    if (id < 0) throw environment_error(fmt::format("cannot start a process: {}", std::strerror(errno)));
    if (id == 0) {
      // A group of its own, so that Ctrl-C comes once, from here; and nobody trains on when this process is gone.
      ::setpgid(0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      ::sigprocmask(SIG_SETMASK, &before_, nullptr);
      if (::getppid() == parent) ::execve("/proc/self/exe", argv.data(), envp.data());
      ::_exit(kEnvironment);
    }
    all_.push_back(id);
    running_.push_back(id);
  }

  bool any_runs() const { return !running_.empty(); }
  int exit_code() const { return exit_code_; }
  bool failed() const { return failed_; }

  void send(int signal) const {
    for (const pid_t id : running_) ::kill(id, signal);
  }

  /// Sleeps until a process has ended or this one is told to end, which is handed on, but not beyond `until`.
  void wait(Clock::time_point until) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    const auto ms = std::clamp<int64_t>(left.count(), 0, 3'600'000);
    const timespec time{ms / 1000, ms % 1000 * 1'000'000};
    const int signal = ::sigtimedwait(&signals_, nullptr, &time);
    if (signal == SIGINT || signal == SIGTERM) send(signal);
    collect();
  }

 private:
  void collect() {
    int status = 0;
    for (pid_t id = 0; (id = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto rank = std::find(all_.begin(), all_.end(), id) - all_.begin();
      std::erase(running_, id);
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
      if (WIFSIGNALED(status) && !failed_)
        write_error(fmt::format("process {} of {} was ended by signal {} ({})\n", rank, all_.size(), WTERMSIG(status),
                                ::strsignal(WTERMSIG(status))));
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : static_cast<int>(kEnvironment);
      if (!failed_ || exit_code_ == kEnvironment) exit_code_ = code;  // rather a reason than "another one has stopped"
      failed_ = true;
    }
  }

  sigset_t signals_{}, before_{};
  std::vector<pid_t> all_, running_;
  bool failed_ = false;
  int exit_code_ = kDone;
};

}  // namespace

int launch_processes(int64_t count, std::string_view command, Arguments arguments) {
  std::vector<std::string> words = {"unnoise", std::string(command)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const int port = free_port();
  Processes processes;
  for (int64_t rank = 0; rank < count; ++rank) processes.start(words, environment_of(rank, count, port));
  auto until = Clock::time_point::max();
  bool asked = false;
  while (processes.any_runs()) {
    processes.wait(until);
    if (processes.failed() && until == Clock::time_point::max()) until = Clock::now() + kToNotice;
    if (Clock::now() < until) continue;
    processes.send(asked ? SIGKILL : SIGTERM);
    asked = true;
    until = Clock::now() + kToEnd;
  }
  return processes.exit_code();
}

}  // namespace unnoise::cli
