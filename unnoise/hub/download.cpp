#include "unnoise/hub/download.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "unnoise/core/error.h"
#include "unnoise/hub/digest.h"
#include "unnoise/hub/hub_error.h"
#include "unnoise/hub/transfer_progress.h"

namespace unnoise {
namespace {

constexpr int kMostRedirects = 5, kCutsInARow = 5;

/// The end of a file whose beginning is here already: what has arrived stays for the next try, under a name of its own.
class PartialFile {
 public:
  explicit PartialFile(const fs::path& path) : path_(path) {
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail();
    size_ = static_cast<uint64_t>(::lseek(descriptor_, 0, SEEK_END));
  }
  ~PartialFile() { ::close(descriptor_); }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  uint64_t size() const { return size_; }

  void append(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail();
      size_ += static_cast<uint64_t>(written);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }

  void start_again() {
    if (::ftruncate(descriptor_, 0) != 0) fail();
    size_ = static_cast<uint64_t>(::lseek(descriptor_, 0, SEEK_SET));
  }

  void sync() {
    if (::fsync(descriptor_) != 0 && errno != EINVAL) fail();
  }

 private:
  [[noreturn]] void fail() const {
    throw environment_error(
        fmt::format("cannot write \"{}\": {}", path_.string(), std::strerror(errno)),
        errno == ENOSPC ? "The disk is full. Free some space and run the command again: it goes on." : "");
  }

  fs::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// Whether a 206 begins where we asked: "bytes 100-199/200".
bool begins_at(const HttpResponse& response, uint64_t offset) {
  const std::string range = response.header("content-range");
  uint64_t first = 0;
  if (!range.starts_with("bytes ")) return false;
  std::from_chars(range.data() + 6, range.data() + range.size(), first);
  return first == offset;
}

class FileDownload {
 public:
  FileDownload(HubClient& client, const HubFile& file, std::string what, TransferProgress& progress)
      : client_(client), file_(file), what_(std::move(what)), progress_(progress) {}

  /// Appends to `part` until it has the file's size.
  void run(const std::string& address, PartialFile& part) {
    int cuts = 0;
    while (part.size() < file_.size) {
      const uint64_t before = part.size();
      const HttpResponse response = get(address, part);
      if (part.size() > before) cuts = 0;
      if (part.size() == file_.size) return;
      if (response.end == HttpResponse::End::complete && response.status == 416 && before > 0) {
        part.start_again();
        if (++cuts > kCutsInARow) throw hub_error(response, what_, client_.settings());
        continue;
      }
      if (response.end == HttpResponse::End::complete && !response.ok())
        throw hub_error(response, what_, client_.settings());
      if (response.ok())
        throw data_error(fmt::format("{}: {} bytes came, its list says {}", what_, part.size(), file_.size),
                         "The hub or something on the way to it is broken. Nothing was put under the file's name.");
      const bool was_tried_again = response.status == 0;  // by the client
      if (was_tried_again || ++cuts > kCutsInARow) throw hub_error(response, what_, client_.settings());
      client_.observer().info(fmt::format("{}: {} at {} of {} bytes; going on from there", what_, response.failure,
                                          part.size(), file_.size));
      wait_or_stop(std::chrono::duration<double>(0.2 * cuts), client_.stop());
    }
  }

 private:
  /// One request, redirections followed: to another host without the token.
  HttpResponse get(std::string address, PartialFile& part) {
    HttpRequest request;
    request.headers = {"Accept-Encoding: identity"};
    if (part.size() > 0) request.headers.push_back(fmt::format("Range: bytes={}-", part.size()));
    bool has_begun = false;
    request.sink = [&](const HttpResponse& head, std::string_view piece) {
      if (!has_begun) begin(head, part);
      has_begun = true;
      if (piece.size() > file_.size - part.size()) too_long(part.size() + piece.size());
      part.append(piece);
      progress_.add(file_.path, piece.size());
      return true;
    };
    for (int redirects = 0;; ++redirects) {
      request.url = address;
      HttpResponse response = client_.send_to(request, what_);
      if (response.end != HttpResponse::End::complete || response.status < 300 || response.status >= 400)
        return response;
      const std::string next = resolved_url(address, response.header("location"));
      const bool less_safe = address.starts_with("https://") && !next.starts_with("https://");
      if (next.empty() || less_safe || redirects == kMostRedirects)
        throw data_error(fmt::format("{}: the hub leads to \"{}\"", what_, response.header("location").substr(0, 100)),
                         less_safe ? "That is not encrypted, which this address was." : "");
      address = next;
    }
  }

  /// Before the first byte: is the answer the part that was asked for, and as long as it should be?
  void begin(const HttpResponse& head, PartialFile& part) {
    const bool continues = head.status == 206 && begins_at(head, part.size());
    if (!continues && part.size() > 0) {
      progress_.take_back(part.size());
      part.start_again();
      if (head.status == 206)
        throw data_error(fmt::format("{}: asked for the rest of the file, got another part", what_),
                         "Run the command again: it starts this file from the beginning.");
    }
    const std::string length = head.header("content-length");
    uint64_t announced = 0;
    if (length.empty()) return;
    std::from_chars(length.data(), length.data() + length.size(), announced);
    if (announced > file_.size - part.size()) too_long(part.size() + announced);
  }

  [[noreturn]] void too_long(uint64_t bytes) const {
    throw data_error(fmt::format("{}: the hub sends {} bytes or more, its list says {}", what_, bytes, file_.size),
                     "The hub or something on the way to it is broken. Nothing was put under the file's name.");
  }

  HubClient& client_;
  const HubFile& file_;
  std::string what_;
  TransferProgress& progress_;
};

void verify(const fs::path& partial, const HubFile& file, const std::string& what, std::stop_token stop) {
  Digest digest = file.sha256.empty() ? Digest::git_blob(file.size) : Digest::sha256();
  add_file(digest, partial, stop);
  if (stop.stop_requested()) throw Stopped{};
  const std::string found = digest.hex();
  if (found == file.etag()) return;
  fs::remove(partial);
  throw data_error(fmt::format("{}: the content is not what the hub's list says: {} expected {}, found {}", what,
                               file.sha256.empty() ? "git SHA-1" : "SHA-256", file.etag(), found),
                   "It was damaged on the way, or on the hub. Nothing was kept of it; run the command again.");
}

/// Makes the blob of `file`, unless it is there.
uint64_t fetch(HubClient& client, const HubCache& cache, const HubRepository& repository, const std::string& commit,
               const HubFile& file, TransferProgress& progress) {
  const fs::path blob = cache.blob(file);
  std::error_code ec;
  if (fs::file_size(blob, ec) == file.size && !ec) return 0;
  make_folders(blob.parent_path());
  const HubCache::Lock lock(cache.lock_file(file), client.stop());
  if (fs::file_size(blob, ec) == file.size && !ec) return 0;  // somebody else was faster

  fs::path partial = blob;
  partial += ".unnoise.incomplete";
  const std::string what = fmt::format("download {}", file.path);
  uint64_t begun = 0;
  {
    PartialFile part(partial);
    if (part.size() > file.size) part.start_again();
    begun = part.size();
    if (begun > 0) progress.already(begun);
    const std::string address =
        client.url(fmt::format("{}/resolve/{}/{}", repository.page_path(), commit, url_quoted(file.path, "/")));
    FileDownload(client, file, what, progress).run(address, part);
    part.sync();
  }
  verify(partial, file, what, client.stop());
  fs::rename(partial, blob);
  return file.size - begun;
}

std::vector<HubFile> missing_in(const HubCache& cache, const std::string& commit, const std::vector<HubFile>& files) {
  std::vector<HubFile> missing;
  std::copy_if(files.begin(), files.end(), std::back_inserter(missing),
               [&](const HubFile& file) { return !cache.holds(commit, file); });
  return missing;
}

std::string how_to_get(const HubRepository& repository) {
  return fmt::format("Get it where there is a network: unnoise pull {}{}", repository.name,
                     repository.type == RepoType::dataset ? " --repo-type dataset" : "");
}

}  // namespace

Snapshot download_snapshot(HubClient& client, const HubRepository& repository, const std::string& revision,
                           const ChooseFiles& choose) {
  const HubCache cache(client.settings().cache, repository);
  Snapshot result;
  result.commit = is_commit(revision) ? revision : client.find_commit(repository, revision);
  auto all = cache.known_files(result.commit);
  if (!all) all = client.list_files(repository, result.commit);
  result.files = choose(*all);
  result.folder = cache.snapshot(result.commit);

  const auto missing = missing_in(cache, result.commit, result.files);
  uint64_t total = 0;
  for (const auto& file : missing) total += file.size;
  TransferProgress progress(client.observer(), "download", total);
  make_folders(result.folder);
  cache.remember_files(result.commit, *all);
  for (const auto& file : missing) {
    result.fetched += fetch(client, cache, repository, result.commit, file, progress);
    cache.link(result.commit, file);
  }
  // Last: an interrupted first download leaves a name for what was complete before.
  cache.remember_commit(revision, result.commit);
  return result;
}

Snapshot cached_snapshot(const HubSettings& settings, const HubRepository& repository, const std::string& revision,
                         const ChooseFiles& choose) {
  const HubCache cache(settings.cache, repository);
  Snapshot result;
  const auto commit = cache.known_commit(revision);
  std::error_code ec;
  if (!commit || !fs::is_directory(cache.snapshot(*commit), ec))
    throw environment_error(
        fmt::format("{} is not on this machine: \"{}\" holds nothing of {}", repository.name, cache.folder().string(),
                    revision == "main" ? "it" : fmt::format("its revision {}", revision)),
        how_to_get(repository));
  result.commit = *commit;
  result.folder = cache.snapshot(*commit);
  const auto all = cache.known_files(*commit);
  if (!all) return result;  // fetched by an older client: it does not say what belongs to it
  result.files = choose(*all);
  std::vector<std::string> names;
  for (const auto& file : missing_in(cache, *commit, result.files)) names.push_back(file.path);
  if (!names.empty())
    throw environment_error(
        fmt::format("{} is on this machine only in part; missing: {}", repository.name,
                    fmt::join(names.begin(), names.begin() + std::min<long>(5, names.size()), ", ")),
        how_to_get(repository));
  return result;
}

}  // namespace unnoise
