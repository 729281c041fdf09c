#include "unnoise/core/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

std::string hint_for(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      return "The disk is full. Free some space and run the command again; nothing half-written was left.";
    case EACCES:
    case EPERM:
    case EROFS:
      return "You may not write there. Choose another folder, or change its permissions.";
    case ENOTDIR:
      return "A part of that path is a file, not a folder.";
    default:
      return {};
  }
}

Error io_error(std::string_view what, const fs::path& path, int code) {
  return environment_error(fmt::format("{} \"{}\": {}", what, path.string(), std::strerror(code)), hint_for(code));
}

void sync_path(const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return;  // syncing is best effort where the file system does not allow it
  ::fsync(fd);
  ::close(fd);
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

}  // namespace

std::string read_file(const fs::path& path) {
  std::error_code ec;
  if (fs::is_directory(path, ec)) throw data_error(fmt::format("\"{}\" is a folder, not a file", path.string()));
  std::ifstream in(path, std::ios::binary);
  if (!in) throw data_error(fmt::format("cannot read \"{}\": {}", path.string(), std::strerror(errno)));
  std::string bytes;
  const auto size = fs::file_size(path, ec);
  if (!ec) bytes.reserve(size);
  bytes.assign(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) throw data_error(fmt::format("reading \"{}\" failed: {}", path.string(), std::strerror(errno)));
  return bytes;
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

AtomicFile::AtomicFile(const fs::path& path) : path_(path) {
  temporary_ = path;
  temporary_ += fmt::format(".tmp-{}", ::getpid());
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) throw io_error("cannot write", path_, errno);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(fd_, at, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      throw io_error("cannot write", path_, errno);
    }
    at += written;
    size -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0 && errno != EINVAL) throw io_error("cannot write", path_, errno);
  const int closed = ::close(fd_);
  fd_ = -1;
  if (closed != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int code = errno;
    ::unlink(temporary_.c_str());
    throw io_error("cannot write", path_, code);
  }
  sync_path(parent_of(path_), O_RDONLY | O_DIRECTORY);
}

void write_folder_atomic(const fs::path& path, const std::function<void(const fs::path&)>& fill) {
  const auto sibling = [&](std::string_view what) {
    return parent_of(path) / fmt::format(".unfinished-{}-{}-{}", what, path.filename().string(), ::getpid());
  };
  const fs::path fresh = sibling("new"), old = sibling("old");
  std::error_code ec;
  fs::remove_all(fresh, ec);
  make_folders(fresh);
  try {
    fill(fresh);
    for (const auto& entry : fs::recursive_directory_iterator(fresh))
      sync_path(entry.path(), entry.is_directory() ? O_RDONLY | O_DIRECTORY : O_RDONLY);
    sync_path(fresh, O_RDONLY | O_DIRECTORY);
    // Exchanging the two names is one step: at no moment is there no folder. Where the system cannot, two renames do.
    const bool replaces = fs::exists(path);
    if (replaces && ::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) {
      sync_path(parent_of(path), O_RDONLY | O_DIRECTORY);
      fs::remove_all(fresh, ec);
      return;
    }
    if (replaces && ::rename(path.c_str(), old.c_str()) != 0) throw io_error("cannot replace", path, errno);
    if (::rename(fresh.c_str(), path.c_str()) != 0) {
      const int code = errno;
      if (replaces) ::rename(old.c_str(), path.c_str());
      throw io_error("cannot write", path, code);
    }
    sync_path(parent_of(path), O_RDONLY | O_DIRECTORY);
    fs::remove_all(old, ec);
  } catch (...) {
    fs::remove_all(fresh, ec);
    throw;
  }
}

void make_folders(const fs::path& path) {
  std::error_code ec;
  fs::create_directories(path, ec);
  if (ec) throw io_error("cannot create the folder", path, ec.value());
}

}  // namespace unnoise
