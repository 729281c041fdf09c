#include "unnoise/logging/append_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

Error append_error(const fs::path& path, int code) {
  return environment_error(
      fmt::format("cannot write \"{}\": {}", path.string(), std::strerror(code)),
      code == ENOSPC || code == EDQUOT ? "The disk is full. Free some space and resume the run." : "");
}

}  // namespace

AppendFile::AppendFile(const fs::path& path, bool must_be_new) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | (must_be_new ? O_EXCL : 0), 0666);
  if (fd_ < 0) throw append_error(path_, errno);
}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

void AppendFile::append(std::string_view record) {
  struct stat before {};
  if (::fstat(fd_, &before) != 0) throw append_error(path_, errno);
  while (!record.empty()) {
    const ssize_t written = ::write(fd_, record.data(), record.size());
    if (written >= 0) {
      record.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    const int code = errno;
    // A device or pipe cannot be shortened; a file can, and must not keep half a record.
    if (S_ISREG(before.st_mode) && ::ftruncate(fd_, before.st_size) != 0) throw append_error(path_, errno);
    throw append_error(path_, code);
  }
}

}  // namespace unnoise
