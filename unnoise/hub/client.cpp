#include "unnoise/hub/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "unnoise/core/error.h"
#include "unnoise/core/fields.h"
#include "unnoise/hub/hub_error.h"

namespace unnoise {
namespace {

constexpr int kTries = 5, kTriesToReach = 2;
constexpr double kFirstWait = 0.5, kLongestWait = 8;  // seconds; doubled from try to try
constexpr std::chrono::seconds kMostPatience{300};
constexpr size_t kMostFiles = 100'000, kMostPages = 1000;

std::string checked_endpoint(std::string endpoint) {
  while (endpoint.ends_with('/')) endpoint.pop_back();
  if (url_origin(endpoint).empty() || endpoint.find_first_of("@?# \t\n") != std::string::npos)
    throw usage_error(fmt::format("the hub's address: expected one such as {}, found \"{}\"", kDefaultHub, endpoint),
                      "It is set by --hub-endpoint or HF_ENDPOINT; a user and password do not belong into it.");
  return endpoint;
}

bool is_this_machine(const std::string& endpoint) {
  const std::string origin = url_origin(endpoint);
  for (const char* host : {"http://localhost", "http://127.", "http://[::1]"})
    if (origin.starts_with(host)) return true;
  return false;
}

HttpRequest json_post(std::string url, const Json& body) {
  return {.method = "POST",
          .url = std::move(url),
          .headers = {"Content-Type: application/json"},
          .body = body.dump(-1, ' ', true, Json::error_handler_t::replace),
          .file = {},
          .sink = {},
          .on_sent = {}};
}

HttpRequest get(std::string url) {
  HttpRequest request;
  request.url = std::move(url);
  return request;
}

/// The address in `Link: <...>; rel="next"`, "" when there is none.
std::string next_page(const std::string& link) {
  const size_t rel = link.find("rel=\"next\"");
  const size_t begin = link.rfind('<', rel), end = link.find('>', begin);
  if (rel == std::string::npos || begin == std::string::npos || end == std::string::npos) return {};
  return link.substr(begin + 1, end - begin - 1);
}

/// How long the server asks to wait: Retry-After, or the "t=55" of `RateLimit: "api";r=0;t=55`.
std::optional<std::chrono::seconds> asked_wait(const HttpResponse& response) {
  if (response.retry_after || response.status != 429) return response.retry_after;
  const std::string limit = response.header("ratelimit");
  const size_t at = limit.find(";t=");
  if (at == std::string::npos) return std::nullopt;
  return std::chrono::seconds(std::strtol(limit.c_str() + at + 3, nullptr, 10));
}

bool is_hex(std::string_view text, size_t length) {
  return text.size() == length && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

HubFile file_of(const Json& entry, std::string_view where) {
  HubFile file{text_at(entry, "path", where), size_at(entry, "size", where), text_at(entry, "oid", where), ""};
  if (!is_path_below(file.path))
    throw data_error(
        fmt::format("{}: the hub names a file \"{}\", which is outside of the repository", where, file.path),
        "Do not trust this repository. Nothing was written.");
  if (const auto lfs = entry.find("lfs"); lfs != entry.end() && lfs->is_object()) {
    file.sha256 = text_at(*lfs, "oid", where);
    file.size = size_at(*lfs, "size", where);
  }
  if (!is_hex(file.blob_id, 40) || (!file.sha256.empty() && !is_hex(file.sha256, 64)))
    throw data_error(fmt::format("{}: \"{}\" has no digest to verify it by", where, file.path));
  return file;
}

}  // namespace

void wait_or_stop(std::chrono::duration<double> time, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
  if (stop.stop_requested()) throw Stopped{};
}

std::string text_at(const Json& json, const char* key, std::string_view where) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_string())
    throw data_error(fmt::format("{}: the hub's answer has no text \"{}\"", where, key));
  return json[key];
}

uint64_t size_at(const Json& json, const char* key, std::string_view where) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_number_unsigned())
    throw data_error(fmt::format("{}: the hub's answer has no size \"{}\"", where, key));
  return json[key];
}

HubClient::HubClient(HubSettings settings, const Observer& observer, std::stop_token stop)
    : settings_(std::move(settings)), observer_(observer), stop_(std::move(stop)) {
  settings_.endpoint = checked_endpoint(std::move(settings_.endpoint));
  std::error_code ec;
  if (settings_.token.empty() && fs::is_regular_file(settings_.token_file, ec))
    settings_.token = Secret::from_file(settings_.token_file);
  if (!settings_.token.empty() && settings_.endpoint.starts_with("http://") && !is_this_machine(settings_.endpoint))
    observer_.warn(fmt::format("{} is not encrypted: everybody on the way can read your token", settings_.endpoint));
}

HttpResponse HubClient::send_without_token(const HttpRequest& request, std::string_view what) {
  for (int attempt = 1;; ++attempt) {
    HttpResponse response = session_.send(request, stop_);
    const bool was_taken = request.sink && response.status >= 200 && response.status < 300;  // its part, by the sink
    if (!may_succeed_later(response) || was_taken || attempt == kTries) return response;
    if (response.end == HttpResponse::End::unreachable && attempt == kTriesToReach) return response;
    std::chrono::duration<double> wait(std::min(kFirstWait * (1 << (attempt - 1)), kLongestWait));
    response.retry_after = asked_wait(response);
    if (response.retry_after) {
      if (*response.retry_after > kMostPatience) return response;
      wait = *response.retry_after;
    }
    const std::string why = response.end == HttpResponse::End::complete
                                ? fmt::format("the hub answered {}", response.status)
                                : response.failure;
    observer_.info(fmt::format("{}: {}; trying again in {:.3g} s", what, why, wait.count()));
    wait_or_stop(wait, stop_);
  }
}

void HubClient::add_token(HttpRequest& request, std::string_view what) const {
  if (settings_.offline)
    throw environment_error(fmt::format("{}: working offline", what),
                            "HF_HUB_OFFLINE is set. Unset it to use the network.");
  if (!settings_.token.empty()) request.headers.push_back("Authorization: Bearer " + settings_.token.reveal());
}

HttpResponse HubClient::send(HttpRequest request, std::string_view what) {
  add_token(request, what);
  return send_without_token(request, what);
}

HttpResponse HubClient::send_once(HttpRequest request, std::string_view what) {
  add_token(request, what);
  return session_.send(request, stop_);
}

HttpResponse HubClient::send_to(HttpRequest request, std::string_view what) {
  return is_own(request.url) ? send(std::move(request), what) : send_without_token(request, what);
}

Json HubClient::json_of(HttpRequest request, std::string_view what) {
  const std::string url = request.url;
  const HttpResponse response = send(std::move(request), what);
  if (!response.ok()) throw hub_error(response, what, settings_);
  return parse_json(response.body, fmt::format("{}: what {} answered", what, url));
}

std::string HubClient::own_url(const std::string& address) const {
  if (url_origin(address) != url_origin(kDefaultHub)) return address;
  const size_t path = address.find('/', address.find("://") + 3);
  return settings_.endpoint + (path == std::string::npos ? "" : address.substr(path));
}

bool HubClient::is_own(const std::string& address) const {
  return url_origin(address) == url_origin(settings_.endpoint);
}

HubRepository HubClient::create_repository(const HubRepository& repository, bool is_private) {
  const std::string& name = repository.name;
  const std::string what = fmt::format("create {}", name);
  const size_t slash = name.find('/');
  Json body{{"name", slash == std::string::npos ? name : name.substr(slash + 1)},
            {"organization", slash == std::string::npos ? Json(nullptr) : Json(name.substr(0, slash))},
            {"type", enum_name(repository.type)}};
  if (is_private) body["visibility"] = "private";
  const HttpResponse response = send(json_post(url("/api/repos/create"), body), what);
  const bool exists = response.status == 409;
  if (!response.ok() && !exists) {
    // A token that may not create may still write to what is there.
    const bool may_exist = slash != std::string::npos && response.end == HttpResponse::End::complete &&
                           (response.status == 402 || response.status == 403);
    if (may_exist && send(get(url(repository.api_path())), what).ok()) return repository;
    throw hub_error(response, what, settings_);
  }
  if (slash != std::string::npos) return repository;
  const Json answer = Json::parse(response.body, nullptr, false);  // {"url": "https://hub/user/name"}
  const std::string at = answer.is_object() && answer.contains("url") && answer["url"].is_string()
                             ? answer["url"].get<std::string>()
                             : std::string();
  const size_t last = at.rfind('/'), user = last == std::string::npos || last == 0 ? last : at.rfind('/', last - 1);
  const std::string full = user == std::string::npos ? "" : at.substr(user + 1);
  if (!hub_name(full))
    throw data_error(fmt::format("{}: the hub did not say under which user", what), "Name it in full: USER/NAME.");
  return {full, repository.type};
}

void HubClient::create_branch(const HubRepository& repository, const std::string& branch) {
  const std::string what = fmt::format("create the branch {} of {}", branch, repository.name);
  const std::string path = fmt::format("{}/branch/{}", repository.api_path(), url_quoted(branch));
  const HttpResponse response = send(json_post(url(path), Json::object()), what);
  if (!response.ok() && response.status != 409) throw hub_error(response, what, settings_);
}

std::string HubClient::find_commit(const HubRepository& repository, const std::string& revision) {
  const std::string what = revision == "main" ? repository.name : fmt::format("{} at {}", repository.name, revision);
  const Json info = json_of(get(url(fmt::format("{}/revision/{}", repository.api_path(), url_quoted(revision)))), what);
  std::string commit = text_at(info, "sha", what);
  if (!is_commit(commit)) throw data_error(fmt::format("{}: the hub names a commit \"{}\"", what, commit));
  return commit;
}

std::vector<HubFile> HubClient::list_files(const HubRepository& repository, const std::string& commit) {
  const std::string what = fmt::format("list the files of {}", repository.name);
  std::vector<HubFile> files;
  std::string page = url(fmt::format("{}/tree/{}?recursive=true", repository.api_path(), commit));
  for (size_t pages = 0; !page.empty(); ++pages) {
    if (!is_own(page)) throw data_error(fmt::format("{}: the next page is on another host", what));
    const HttpResponse response = send(get(page), what);
    if (!response.ok()) throw hub_error(response, what, settings_);
    const Json entries = parse_json(response.body, fmt::format("{}: what {} answered", what, page));
    if (!entries.is_array()) throw data_error(fmt::format("{}: the hub's answer is no list", what));
    for (const auto& entry : entries)
      if (text_at(entry, "type", what) == "file") files.push_back(file_of(entry, what));
    if (files.size() > kMostFiles || pages > kMostPages)
      throw data_error(fmt::format("{}: more than {} files", what, kMostFiles));
    const std::string next = next_page(response.header("link"));
    page = next.empty() ? "" : own_url(resolved_url(page, next));
  }
  std::sort(files.begin(), files.end(), [](const HubFile& a, const HubFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace unnoise
