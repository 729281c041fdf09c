#include "unnoise/hub/upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "unnoise/core/base64.h"
#include "unnoise/core/error.h"
#include "unnoise/hub/digest.h"
#include "unnoise/hub/hub_error.h"
#include "unnoise/hub/lfs.h"

namespace unnoise {
namespace {

constexpr size_t kFilesAQuestion = 256, kSampleBytes = 512;
constexpr uint64_t kMostInline = 50 << 20;
constexpr int kCommitTries = 3;

/// A file with what the hub said about it.
struct Planned {
  UploadFile file;
  uint64_t size = 0;
  bool is_large = false;
  bool is_ignored = false;     ///< by the repository's .gitignore
  std::string remote;          ///< what it has under that path: SHA-256 or git's SHA-1; "" = nothing
  mutable std::string digest;  ///< ours of the same kind, "" = not computed yet
};

std::string first_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw data_error(fmt::format("cannot read \"{}\"", path.string()));
  std::string bytes(kSampleBytes, '\0');
  in.read(bytes.data(), kSampleBytes);
  bytes.resize(static_cast<size_t>(in.gcount()));
  return bytes;
}

class Upload {
 public:
  Upload(HubClient& client, const HubRepository& repository, const std::string& revision)
      : client_(client),
        repository_(repository),
        revision_(revision),
        what_(fmt::format("push to {}", repository.name)) {}

  /// Asks how each file is to be sent and what is there.
  std::vector<Planned> plan(const std::vector<UploadFile>& files) {
    std::vector<Planned> planned;
    for (size_t first = 0; first < files.size(); first += kFilesAQuestion) {
      const size_t end = std::min(first + kFilesAQuestion, files.size());
      Json question = Json::array();
      std::map<std::string, Planned> asked;
      for (size_t i = first; i < end; ++i) {
        const uint64_t size = fs::file_size(files[i].path);
        question.push_back(
            {{"path", files[i].path_in_repository}, {"sample", base64(first_bytes(files[i].path))}, {"size", size}});
        Planned one;
        one.file = files[i];
        one.size = size;
        asked.emplace(files[i].path_in_repository, std::move(one));
      }
      const Json answer =
          client_.json_of(post("preupload", "application/json", Json{{"files", question}}.dump()), what_);
      if (!answer.is_object() || !answer.contains("files") || !answer["files"].is_array())
        throw data_error(fmt::format("{}: the hub's answer has no list \"files\"", what_));
      for (const auto& one : answer["files"]) {
        const auto found = asked.find(text_at(one, "path", what_));
        if (found == asked.end()) continue;
        Planned& file = found->second;
        file.is_large = text_at(one, "uploadMode", what_) == "lfs" && file.size > 0;
        file.is_ignored = one.contains("shouldIgnore") && one["shouldIgnore"] == true;
        if (one.contains("oid") && one["oid"].is_string()) file.remote = one["oid"];
        planned.push_back(file);
        asked.erase(found);
      }
      if (!asked.empty())
        throw data_error(fmt::format("{}: the hub does not say how to send \"{}\"", what_, asked.begin()->first));
    }
    return planned;
  }

  bool is_there(const Planned& file) const {
    if (file.remote.empty()) return false;
    if (file.digest.empty()) compute(file);
    return file.digest == file.remote;
  }

  void send_large(const std::vector<Planned>& planned, Uploaded& result) {
    std::vector<LargeFile> large;
    uint64_t all = 0;
    for (const auto& file : planned) {
      if (!file.is_large) continue;
      if (file.digest.empty()) compute(file);
      large.push_back({file.file.path_in_repository, file.file.path, file.size, file.digest});
      all += file.size;
    }
    if (large.empty()) return;
    const auto requests = lfs_batch(client_, repository_, revision_, large);
    for (const auto& request : requests) result.sent += request.file.size;
    result.not_sent = all - std::min(all, result.sent);
    TransferProgress progress(client_.observer(), "upload", result.sent);
    for (const auto& request : requests) lfs_send(client_, request, progress);
  }

  /// One attempt; the answer may be no success.
  HttpResponse commit(const std::vector<Planned>& planned, const Commit& commit) {
    std::string lines = line("header", {{"summary", commit.message}, {"description", commit.description}});
    for (const auto& file : planned) {
      if (file.is_large && file.digest.empty()) compute(file);  // a second attempt asked anew
      lines += file.is_large ? line("lfsFile", {{"path", file.file.path_in_repository},
                                                {"algo", "sha256"},
                                                {"oid", file.digest},
                                                {"size", file.size}})
                             : line("file", {{"path", file.file.path_in_repository},
                                             {"encoding", "base64"},
                                             {"content", base64(inline_content(file))}});
    }
    return client_.send_once(post("commit", "application/x-ndjson", std::move(lines)), what_);
  }

  const std::string& what() const { return what_; }

 private:
  HttpRequest post(const char* action, const char* type, std::string body) const {
    HttpRequest request;
    request.method = "POST";
    request.url = client_.url(fmt::format("{}/{}/{}", repository_.api_path(), action, url_quoted(revision_)));
    request.headers = {fmt::format("Content-Type: {}", type)};
    request.body = std::move(body);
    return request;
  }

  static std::string line(const char* key, const Json& value) {
    return Json{{"key", key}, {"value", value}}.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
  }

  std::string inline_content(const Planned& file) const {
    if (file.size > kMostInline)
      throw environment_error(fmt::format("{}: the hub wants \"{}\", {} bytes, as a small file", what_,
                                          file.file.path_in_repository, file.size),
                              "Its .gitattributes should say filter=lfs for such files.");
    return read_file(file.file.path);
  }

  void compute(const Planned& file) const {
    file.digest = file.is_large ? sha256_of_file(file.file.path, client_.stop()) : git_blob_of_file(file.file.path);
    if (client_.stop().stop_requested()) throw Stopped{};
  }

  HubClient& client_;
  const HubRepository& repository_;
  const std::string& revision_;
  std::string what_;
};

}  // namespace

Uploaded upload_files(HubClient& client, const HubRepository& repository, const std::string& revision,
                      const std::vector<UploadFile>& files, const Commit& commit) {
  Upload upload(client, repository, revision);
  Uploaded result;
  for (int attempt = 1;; ++attempt) {
    auto planned = upload.plan(files);
    std::erase_if(planned, [](const Planned& file) { return file.is_ignored; });
    const size_t all = planned.size();
    std::erase_if(planned, [&](const Planned& file) { return upload.is_there(file); });
    if (attempt == 1) result.unchanged = static_cast<int64_t>(all - planned.size());
    if (planned.empty()) {  // nothing to do, or an attempt whose answer was lost had succeeded
      if (attempt > 1) result.commit = client.find_commit(repository, revision);
      return result;
    }
    result.files = static_cast<int64_t>(planned.size());
    if (attempt == 1) upload.send_large(planned, result);
    const HttpResponse response = upload.commit(planned, commit);
    if (response.ok()) {
      const Json answer = parse_json(response.body, fmt::format("{}: what the hub answered", upload.what()));
      result.commit = text_at(answer, "commitOid", upload.what());
      return result;
    }
    // After a lost answer or a server's error it is not known whether the commit was made: look, then try again.
    if (!may_succeed_later(response) || attempt == kCommitTries)
      throw hub_error(response, upload.what(), client.settings());
    wait_or_stop(response.retry_after.value_or(std::chrono::seconds(attempt)), client.stop());
  }
}

}  // namespace unnoise
