#include "unnoise/containers/archive.h"

#include <algorithm>
#include <array>

#include "unnoise/containers/module.h"

namespace unnoise {
namespace {

const ArchiveModule& archive_module() {
  static const auto* module = static_cast<const ArchiveModule*>(load_container_module("unnoise_archive"));
  return *module;
}

}  // namespace

void walk_archive(const fs::path& file, const ArchiveVisitor& visitor) { archive_module().walk_file(file, visitor); }

void walk_archive(std::string_view bytes, std::string_view where, const ArchiveVisitor& visitor) {
  archive_module().walk_bytes(bytes, where, visitor);
}

bool is_archive_name(const fs::path& path) {
  constexpr std::array kEndings = {".tar", ".tar.gz",  ".tgz",  ".tar.zst", ".tzst", ".tar.xz",
                                   ".txz", ".tar.bz2", ".tbz2", ".zip",     ".7z"};
  std::string name = path.filename().string();
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view end) { return name.ends_with(end); });
}

}  // namespace unnoise
