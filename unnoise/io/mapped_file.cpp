#include "unnoise/io/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr std::string_view kGitLfsPointer = "version https://git-lfs";

struct Descriptor {
  int fd;
  ~Descriptor() { ::close(fd); }
};

}  // namespace

SharedBytes map_file(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw data_error(fmt::format("cannot read \"{}\": {}", path.string(), std::strerror(errno)));
  const Descriptor file{fd};
  struct stat status {};
  if (::fstat(fd, &status) != 0)
    throw data_error(fmt::format("cannot read \"{}\": {}", path.string(), std::strerror(errno)));
  if (S_ISDIR(status.st_mode)) throw data_error(fmt::format("\"{}\" is a folder, not a file", path.string()));
  if (status.st_size == 0)
    throw data_error(fmt::format("\"{}\" is empty", path.string()), "Download or copy the file again.");

  const auto size = static_cast<size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
  if (address == MAP_FAILED)
    throw environment_error(fmt::format("cannot map \"{}\" into memory: {}", path.string(), std::strerror(errno)));
  SharedBytes bytes{{static_cast<char*>(address), [size](char* data) { ::munmap(data, size); }}, size};
  if (bytes.view().starts_with(kGitLfsPointer))
    throw data_error(
        fmt::format("\"{}\" is a Git-LFS pointer ({}), not the weights themselves", path.string(), size_text(size)),
        "The folder was cloned without git-lfs. Install it and run `git lfs pull` there.");
  return bytes;
}

SharedBytes copy_bytes(std::string_view bytes) {
  constexpr std::align_val_t kAlignment{64};
  auto* data = static_cast<char*>(::operator new(bytes.size() + 1, kAlignment));
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  return {{data, [](char* p) { ::operator delete(p, kAlignment); }}, bytes.size()};
}

std::string size_text(uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} byte{}", bytes, bytes == 1 ? "" : "s");
  constexpr std::array kUnits{"kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace unnoise
