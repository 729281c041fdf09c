#include "unnoise/hub/cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "unnoise/core/error.h"
#include "unnoise/core/json.h"
#include "unnoise/hub/client.h"

namespace unnoise {
namespace {

constexpr std::string_view kSeparator = "--";
constexpr int kTreeFormat = 1;

std::string_view prefix_of(RepoType type) { return type == RepoType::dataset ? "datasets--" : "models--"; }

std::string folder_name(const HubRepository& repository) {
  std::string name = repository.name;
  name.replace(name.find('/'), 1, kSeparator);
  return std::string(prefix_of(repository.type)) + name;
}

/// "../../blobs/<etag>" as seen from a path below snapshots/<commit>.
fs::path link_target(const HubFile& file) {
  fs::path target = "../..";
  for (const char c : file.path)
    if (c == '/') target /= "..";
  return target / "blobs" / file.etag();
}

}  // namespace

HubCache::HubCache(const fs::path& cache, const HubRepository& repository)
    : folder_(cache / folder_name(repository)), locks_(cache / ".locks" / folder_name(repository)) {}

std::optional<std::string> HubCache::known_commit(const std::string& revision) const {
  if (is_commit(revision)) return revision;
  const fs::path path = folder_ / "refs" / revision;
  std::error_code ec;
  if (!fs::is_regular_file(path, ec)) return std::nullopt;
  std::string commit = read_file(path);
  while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back()))) commit.pop_back();
  return is_commit(commit) ? std::optional(commit) : std::nullopt;
}

void HubCache::remember_commit(const std::string& revision, const std::string& commit) const {
  if (is_commit(revision) || known_commit(revision) == commit) return;
  const fs::path path = folder_ / "refs" / revision;
  make_folders(path.parent_path());
  write_file_atomic(path, commit);
}

std::optional<std::vector<HubFile>> HubCache::known_files(const std::string& commit) const {
  const fs::path path = folder_ / "trees" / (commit + ".json");
  std::error_code ec;
  if (!fs::is_regular_file(path, ec)) return std::nullopt;
  std::vector<HubFile> files;
  try {
    const Json tree = read_json(path);
    if (tree.value("format_version", 0) != kTreeFormat) return std::nullopt;
    for (const auto& [name, entry] : tree.at("files").items()) {
      HubFile file{name, entry.at("size").get<uint64_t>(), entry.at("blob_id"), ""};
      if (entry.contains("lfs_sha256")) {
        file.sha256 = entry.at("lfs_sha256");
        file.size = entry.at("lfs_size").get<uint64_t>();
      }
      if (!is_path_below(file.path) || !is_path_below(file.etag())) return std::nullopt;
      files.push_back(std::move(file));
    }
  } catch (const std::exception&) {  // another version's, or damaged: as if it were not there
    return std::nullopt;
  }
  return files;
}

void HubCache::remember_files(const std::string& commit, const std::vector<HubFile>& files) const {
  Json entries = Json::object();
  for (const auto& file : files) {
    Json entry{{"size", file.size}, {"blob_id", file.blob_id}};
    if (!file.sha256.empty()) entry.update({{"lfs_sha256", file.sha256}, {"lfs_size", file.size}});
    entries[file.path] = std::move(entry);
  }
  make_folders(folder_ / "trees");
  write_json(folder_ / "trees" / (commit + ".json"), {{"format_version", kTreeFormat}, {"files", entries}});
}

bool HubCache::holds(const std::string& commit, const HubFile& file) const {
  std::error_code ec;
  return fs::file_size(snapshot(commit) / file.path, ec) == file.size && !ec;
}

void HubCache::link(const std::string& commit, const HubFile& file) const {
  const fs::path path = snapshot(commit) / file.path;
  make_folders(path.parent_path());
  fs::path temporary = path;
  temporary += fmt::format(".tmp-{}", ::getpid());
  std::error_code ec;
  fs::create_symlink(link_target(file), temporary, ec);
  if (ec) fs::copy_file(blob(file), temporary, fs::copy_options::overwrite_existing, ec);
  if (!ec) fs::rename(temporary, path, ec);
  if (ec) {
    const std::string why = ec.message();
    fs::remove(temporary, ec);
    throw environment_error(fmt::format("cannot write \"{}\": {}", path.string(), why));
  }
}

HubCache::Lock::Lock(const fs::path& path, std::stop_token stop) {
  make_folders(path.parent_path());
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0)
    throw environment_error(fmt::format("cannot write \"{}\": {}", path.string(), std::strerror(errno)));
  while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return;  // a file system without locks: two would fetch the same
    try {
      wait_or_stop(std::chrono::milliseconds(200), stop);
    } catch (...) {
      ::close(descriptor_);
      throw;
    }
  }
}

HubCache::Lock::~Lock() { ::close(descriptor_); }

std::optional<HubName> name_of_snapshot(const fs::path& folder) {
  fs::path path = folder.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "snapshots/<commit>/"
  const std::string name = path.parent_path().parent_path().filename().string();
  const RepoType type = name.starts_with(prefix_of(RepoType::dataset)) ? RepoType::dataset : RepoType::model;
  const size_t user = prefix_of(type).size(), separator = name.find(kSeparator, user);
  if (path.parent_path().filename() != "snapshots" || !name.starts_with(prefix_of(type)) ||
      separator == std::string::npos)
    return std::nullopt;
  return hub_name(name.substr(user, separator - user) + "/" + name.substr(separator + kSeparator.size()) + "@" +
                      path.filename().string(),
                  type);
}

}  // namespace unnoise
