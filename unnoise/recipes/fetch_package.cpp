#include "unnoise/recipes/fetch_package.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr const char* kLog = ".log";

std::string how_to_get(Registry registry) {
  switch (registry) {
    case Registry::npm:
      return "apt-get install npm";
    case Registry::pypi:
      return "apt-get install python3-pip";
    default:
      return "a Debian or Ubuntu system has it";
  }
}

/// The end of what the program said.
std::string last_lines(const fs::path& log) {
  std::string text = read_file(log);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  constexpr size_t kMost = 600;
  return text.size() > kMost ? "..." + text.substr(text.size() - kMost) : text;
}

struct SpawnActions {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnActions(const fs::path& folder, const fs::path& log) {
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // so that it can be ended with its children
    posix_spawnattr_setpgroup(&attributes, 0);
  }
  ~SpawnActions() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
};

/// The exit status, or -1 when it was ended because of `stop`.
int wait_for_child(pid_t child, const std::string& what, const Observer& observer, const std::stop_token& stop) {
  const auto started = std::chrono::steady_clock::now();
  bool ended = false;
  for (;;) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child) return ended ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    if (stop.stop_requested() && !ended) {
      ::kill(-child, SIGTERM);
      ended = true;
    }
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started).count();
    observer.progress({.stage = "download", .done = seconds, .detail = what});
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace

std::vector<std::string> download_command(Registry registry, const std::string& package, const std::string& version,
                                          const fs::path& folder) {
  const auto with = [&](const char* sign) { return version.empty() ? package : package + sign + version; };
  switch (registry) {
    case Registry::npm:
      return {"npm", "pack", with("@"), "--pack-destination", folder.string()};
    case Registry::pypi:
      return {"python3",       "-m",      "pip", "download", "--no-deps", "--only-binary=:all:", "--dest",
              folder.string(), with("==")};
    default:
      return {"apt-get", "download", with("=")};
  }
}

fs::path fetch_package(Registry registry, const std::string& package, const std::string& version,
                       const fs::path& folder, const Observer& observer, const std::stop_token& stop) {
  const auto words = download_command(registry, package, version, ".");
  const std::string by_hand = fmt::format("{}", fmt::join(words, " "));
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);

  const fs::path log = fs::absolute(folder) / kLog;
  const SpawnActions spawn(fs::absolute(folder), log);
  pid_t child = 0;
  if (const int code =
          ::posix_spawnp(&child, arguments[0], &spawn.actions, &spawn.attributes, arguments.data(), environ);
      code != 0)
    throw environment_error(fmt::format("cannot run {}: {}", words[0], std::strerror(code)),
                            fmt::format("It downloads the package {}. Install it ({}), or run elsewhere: {}", package,
                                        how_to_get(registry), by_hand));
  const int status = wait_for_child(child, package, observer, stop);
  if (status < 0) throw environment_error("interrupted");
  if (status == 127)
    throw environment_error(fmt::format("{} is not installed", words[0]),
                            fmt::format("It downloads the package {}. Install it ({}), or run elsewhere: {}", package,
                                        how_to_get(registry), by_hand));
  if (status != 0)
    throw environment_error(fmt::format("\"{}\" failed: {}", by_hand, last_lines(log)),
                            registry == Registry::debian ? "apt-get update, as root, may help." : "");
  fs::remove(log);
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file()) return entry.path();
  throw environment_error(fmt::format("\"{}\" left no file", by_hand));
}

}  // namespace unnoise
