#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "unnoise/containers/archive.h"
#include "unnoise/core/error.h"
#include "unnoise/data/file_tree.h"
#include "unnoise/data/metadata.h"
#include "unnoise/io/image_read.h"
#include "unnoise/io/zip.h"

namespace unnoise {
namespace {

constexpr std::string_view kZipStart = "PK";

/// Files that open_dataset has a use for; others are named, not unpacked.
bool may_be_of_use(const std::string& path) {
  constexpr std::array kEndings = {".txt", ".caption", ".cls", ".json", ".bin"};
  return is_image_name(path) || is_metadata_name(path) ||
         std::find(kEndings.begin(), kEndings.end(), fs::path(path).extension().string()) != kEndings.end();
}

/// Counts what an archive claims and delivers against its limits.
class Meter {
 public:
  Meter(std::string where, int64_t packed_bytes, const ArchiveLimits& limits)
      : where_(std::move(where)),
        limits_(limits),
        most_(limits.unpacked_bytes + limits.unpacked_ratio * packed_bytes) {}

  void add_member(const std::string& path, int64_t size) {
    if (++members_ > limits_.members)
      throw data_error(fmt::format("{}: more than {} members", where_, limits_.members), kHint);
    if (size > limits_.member_bytes)
      throw data_error(
          fmt::format("{}: \"{}\" claims to be {} unpacked", where_, path, size_text(static_cast<uint64_t>(size))),
          kHint);
  }
  void add_bytes(int64_t size) {
    bytes_ += size;
    if (bytes_ > most_)
      throw data_error(fmt::format("{}: unpacks to more than {}, which no set of pictures of its size does", where_,
                                   size_text(static_cast<uint64_t>(most_))),
                       kHint);
  }

 private:
  static constexpr const char* kHint = "It may be made to fill your disk. If you trust it, unpack it yourself.";
  std::string where_;
  ArchiveLimits limits_;
  int64_t most_;
  int64_t members_ = 0;
  int64_t bytes_ = 0;
};

/// A file without a name, which the system removes when the last mapping of it is gone.
class Spool {
 public:
  explicit Spool(const fs::path& folder) : folder_(folder) {
    std::string name = (folder / ".unnoise-XXXXXX").string();
    fd_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd_ < 0) throw failed();
    ::unlink(name.c_str());
  }
  ~Spool() { ::close(fd_); }
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  void write(const void* data, size_t size) {
    const char* at = static_cast<const char*>(data);
    while (size > 0) {
      const ssize_t count = ::write(fd_, at, size);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw failed();
      at += count;
      size -= static_cast<size_t>(count);
      written_ += count;
    }
  }
  int64_t written() const { return written_; }
  SharedBytes mapped() const { return written_ > 0 ? map_file(fmt::format("/proc/self/fd/{}", fd_)) : copy_bytes(""); }

 private:
  Error failed() const {
    return environment_error(fmt::format("cannot unpack into \"{}\": {}", folder_.string(), std::strerror(errno)),
                             errno == ENOSPC ? "The disk is full. Free some space, or unpack the archive elsewhere and "
                                               "give its folder."
                                             : "");
  }

  fs::path folder_;
  int fd_ = -1;
  int64_t written_ = 0;
};

class ZipTree final : public FileTree {
 public:
  ZipTree(const fs::path& file, const ArchiveLimits& limits) : limit_(static_cast<uint64_t>(limits.member_bytes)) {
    where_ = file.string();
    is_archive_ = true;
    const std::string quoted = fmt::format("\"{}\"", where_);
    bytes_ = map_file(file);
    Meter meter(quoted, static_cast<int64_t>(bytes_.size), limits);
    for (auto& entry : read_zip(bytes_.view(), quoted)) {
      const std::string path = safe_member_path(entry.name, quoted);
      if (entry.name.ends_with('/') || !is_visible_path(path)) continue;
      const auto size = static_cast<int64_t>(std::min<uint64_t>(entry.size, INT64_MAX));
      meter.add_member(path, size);
      meter.add_bytes(size);
      entries_.insert_or_assign(path, std::move(entry));
    }
    for (const auto& [path, entry] : entries_) files_.push_back(path);
  }

  SharedBytes read(const std::string& path) const override {
    const auto found = entries_.find(path);
    if (found == entries_.end()) throw data_error(fmt::format("\"{}\": no file \"{}\"", where_, path));
    const ZipEntry& entry = found->second;
    if (!entry.is_deflated) return {{bytes_.data, const_cast<char*>(entry.packed.data())}, entry.packed.size()};
    return copy_bytes(unpack(entry, limit_, fmt::format("\"{}\"", where_)));
  }

 private:
  SharedBytes bytes_;
  uint64_t limit_;
  std::map<std::string, ZipEntry> entries_;
};

class WalkedTree final : public FileTree {
 public:
  WalkedTree(const fs::path& file, const fs::path& scratch, const Observer& observer, const ArchiveLimits& limits) {
    where_ = file.string();
    is_archive_ = true;
    const auto packed = static_cast<int64_t>(fs::file_size(file));
    Meter meter(fmt::format("\"{}\"", where_), packed, limits);
    std::optional<Spool> spool;
    walk_archive(file, {.wants =
                            [&](const ArchiveMember& member) {
                              const auto path = take(member, meter);
                              claimed_ = std::max<int64_t>(member.size, 0);
                              if (member.stored_at < 0) meter.add_bytes(claimed_);
                              if (path.empty()) return false;
                              if (member.stored_at >= 0 && member.size >= 0) {
                                slots_[path] = {member.stored_at, member.size, false};
                                return false;
                              }
                              if (!may_be_of_use(path)) {
                                slots_[path] = {};
                                return false;
                              }
                              if (!spool) spool.emplace(scratch);
                              open_ = &(slots_[path] = {spool->written(), 0, true});
                              if (slots_.size() % 256 == 0)
                                observer.progress({.stage = "unpack", .done = spool->written(), .detail = path});
                              return true;
                            },
                        .data =
                            [&](const void* data, size_t size) {
                              const int64_t before = open_->size, after = before + static_cast<int64_t>(size);
                              meter.add_bytes(std::max<int64_t>(0, after - std::max(before, claimed_)));
                              if (after > limits.member_bytes) meter.add_member(where_, after);  // throws
                              spool->write(data, size);
                              open_->size = after;
                            }});
    if (spool) spooled_ = spool->mapped();
    bytes_ = map_file(file);
    for (const auto& [path, slot] : slots_) {
      if (!slot.spooled && slot.at >= 0 && (slot.at > packed || slot.size > packed - slot.at))
        throw data_error(fmt::format("\"{}\": \"{}\" is cut short", where_, path), "Get the archive again.");
      files_.push_back(path);
    }
  }

  SharedBytes read(const std::string& path) const override {
    const auto found = slots_.find(path);
    if (found == slots_.end() || found->second.at < 0)
      throw data_error(fmt::format("\"{}\": no file \"{}\"", where_, path));
    const auto& [at, size, spooled] = found->second;
    const SharedBytes& source = spooled ? spooled_ : bytes_;
    return {{source.data, source.data.get() + at}, static_cast<size_t>(size)};
  }

 private:
  struct Slot {
    int64_t at = -1;  // -1: not kept
    int64_t size = 0;
    bool spooled = false;
  };

  /// The member's path, or "" when it is not one of the tree's files.
  std::string take(const ArchiveMember& member, Meter& meter) {
    const std::string path = safe_member_path(member.path, fmt::format("\"{}\"", where_));
    meter.add_member(path, member.size);
    if (member.kind == ArchiveMember::Kind::folder || path.empty() || !is_visible_path(path)) return "";
    if (member.kind == ArchiveMember::Kind::file) return path;
    skipped_.push_back({path, member.kind == ArchiveMember::Kind::link ? "is a link" : "is no file"});
    return "";
  }

  std::map<std::string, Slot> slots_;  // a name that comes again replaces the first, as in unpacking
  Slot* open_ = nullptr;               // the member that is being unpacked
  int64_t claimed_ = 0;                // its size, which was counted when it was announced; what comes beyond is, too
  SharedBytes bytes_;
  SharedBytes spooled_;
};

bool starts_like_zip(const fs::path& file) {
  std::array<char, 2> start{};
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw data_error(fmt::format("cannot read \"{}\": {}", file.string(), std::strerror(errno)));
  const bool whole = ::read(fd, start.data(), start.size()) == 2;
  ::close(fd);
  return whole && std::string_view(start.data(), 2) == kZipStart;
}

}  // namespace

std::shared_ptr<const FileTree> archive_tree(const fs::path& file, const fs::path& scratch, const Observer& observer,
                                             const ArchiveLimits& limits) {
  if (starts_like_zip(file)) return std::make_shared<ZipTree>(file, limits);
  return std::make_shared<WalkedTree>(file, scratch, observer, limits);
}

}  // namespace unnoise
