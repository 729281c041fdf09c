// libunnoise_archive.so: archives by libarchive.
#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <locale.h>

#include <array>
#include <cstring>
#include <memory>

#include "unnoise/containers/archive.h"
#include "unnoise/containers/module.h"
#include "unnoise/core/error.h"
#include "unnoise/core/version.h"

namespace unnoise {
namespace {

constexpr size_t kBlock = size_t{1} << 18;

struct Free {
  void operator()(archive* a) const { archive_read_free(a); }
};
using Reader = std::unique_ptr<archive, Free>;

/// A reader for the formats that pictures come in. mtree, which names other files of the disk, and raw data are not
/// among them.
Reader make_reader() {
  Reader reader(archive_read_new());
  if (!reader) throw environment_error("libarchive does not start");
  archive* a = reader.get();
  for (const auto support :
       {archive_read_support_filter_gzip, archive_read_support_filter_bzip2, archive_read_support_filter_xz,
        archive_read_support_filter_zstd, archive_read_support_format_tar, archive_read_support_format_ar,
        archive_read_support_format_7zip})
    support(a);  // a filter that is missing in this build of the library shows when a file needs it
  return reader;
}

/// libarchive gives the names in a 7z, which are UTF-16, in the thread's character set, and those that have no place in
/// it not at all.
class Utf8Names {
 public:
  Utf8Names() : utf8_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)), before_(utf8_ ? uselocale(utf8_) : nullptr) {}
  ~Utf8Names() {
    if (!utf8_) return;
    uselocale(before_);
    freelocale(utf8_);
  }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;

 private:
  locale_t utf8_;
  locale_t before_;
};

[[noreturn]] void fail(archive* a, std::string_view where, std::string_view doing) {
  const char* why = archive_error_string(a);
  throw data_error(fmt::format("{}: {}: {}", where, doing, why ? why : "unknown error"),
                   "The archive is damaged, cut short or of another kind (known: zip, tar, tar.gz, tar.zst, tar.xz, "
                   "tar.bz2, 7z). Get it again.");
}

ArchiveMember::Kind kind_of(archive_entry* entry) {
  if (archive_entry_hardlink(entry)) return ArchiveMember::Kind::link;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return ArchiveMember::Kind::file;
    case AE_IFDIR:
      return ArchiveMember::Kind::folder;
    case AE_IFLNK:
      return ArchiveMember::Kind::link;
    default:
      return ArchiveMember::Kind::other;
  }
}

/// Only a tar without a filter holds its members as they are.
bool is_plain_tar(archive* a) {
  return archive_filter_count(a) == 1 && (archive_format(a) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
}

void pass_bytes(archive* a, std::string_view where, const std::string& path, const ArchiveVisitor& visitor) {
  static constexpr std::array<char, 4096> kZeros{};
  int64_t passed = 0;
  for (;;) {
    const void* data = nullptr;
    size_t size = 0;
    int64_t offset = 0;
    const int status = archive_read_data_block(a, &data, &size, &offset);
    if (status == ARCHIVE_EOF) return;
    if (status != ARCHIVE_OK) fail(a, where, fmt::format("reading \"{}\"", path));
    if (offset < passed) fail(a, where, fmt::format("reading \"{}\"", path));
    for (int64_t hole = offset - passed; hole > 0;) {  // of a sparse file
      const auto part = static_cast<size_t>(std::min<int64_t>(hole, kZeros.size()));
      visitor.data(kZeros.data(), part);
      hole -= static_cast<int64_t>(part);
    }
    visitor.data(data, size);
    passed = offset + static_cast<int64_t>(size);
  }
}

void walk(archive* a, std::string_view where, const ArchiveVisitor& visitor) {
  for (;;) {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(a, &entry);
    if (status == ARCHIVE_EOF) return;
    // ARCHIVE_WARN: a name that is no text in this locale; its bytes come through all the same.
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) fail(a, where, "cannot be read as an archive");
    const char* path = archive_entry_pathname_utf8(entry);
    if (!path) path = archive_entry_pathname(entry);
    ArchiveMember member{path ? path : "", kind_of(entry), -1, -1};
    if (archive_entry_size_is_set(entry)) member.size = archive_entry_size(entry);
    if (archive_entry_is_encrypted(entry) == 1)
      throw data_error(fmt::format("{}: \"{}\" is encrypted", where, member.path));
    if (is_plain_tar(a) && archive_entry_sparse_count(entry) == 0) member.stored_at = archive_filter_bytes(a, 0);
    if (visitor.wants(member)) pass_bytes(a, where, member.path, visitor);
  }
}

void walk_file(const fs::path& file, const ArchiveVisitor& visitor) {
  const Utf8Names names;
  const Reader reader = make_reader();
  const std::string where = fmt::format("\"{}\"", file.string());
  if (archive_read_open_filename(reader.get(), file.c_str(), kBlock) != ARCHIVE_OK)
    fail(reader.get(), where, "cannot be opened as an archive");
  walk(reader.get(), where, visitor);
}

void walk_bytes(std::string_view bytes, std::string_view where, const ArchiveVisitor& visitor) {
  const Utf8Names names;
  const Reader reader = make_reader();
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK)
    fail(reader.get(), where, "cannot be opened as an archive");
  walk(reader.get(), where, visitor);
}

}  // namespace
}  // namespace unnoise

extern "C" __attribute__((visibility("default"))) const void* unnoise_container(const char* version) {
  static constexpr unnoise::ArchiveModule module{&unnoise::walk_file, &unnoise::walk_bytes};
  return std::strcmp(version, unnoise::kVersion) == 0 ? &module : nullptr;
}
