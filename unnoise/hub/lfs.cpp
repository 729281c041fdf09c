#include "unnoise/hub/lfs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "unnoise/core/error.h"
#include "unnoise/hub/hub_error.h"

namespace unnoise {
namespace {

const std::vector<std::string> kLfsHeaders = {"Accept: application/vnd.git-lfs+json",
                                              "Content-Type: application/vnd.git-lfs+json"};
constexpr size_t kFilesARequest = 100;

HttpRequest lfs_post(std::string url, const Json& body) {
  HttpRequest request;
  request.method = "POST";
  request.url = std::move(url);
  request.headers = kLfsHeaders;
  request.body = body.dump();
  return request;
}

std::string what_of(const LargeFile& file) { return fmt::format("upload {}", file.path_in_repository); }

/// "12" -> 12; a header's other names are no numbers.
int64_t number_of(std::string_view text) {
  int64_t number = -1;
  const auto [at, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  return ec == std::errc() && at == text.data() + text.size() ? number : -1;
}

/// One PUT; gives the part's etag.
std::string put(HubClient& client, const LargeFile& file, const std::string& address, FilePart part,
                std::vector<std::string> headers, TransferProgress& progress) {
  HttpRequest request;
  request.method = "PUT";
  request.url = address;
  request.headers = std::move(headers);
  request.file = std::move(part);
  uint64_t told = 0;
  request.on_sent = [&](uint64_t sent) {
    if (sent < told) {  // from the beginning, on another connection
      progress.take_back(told - sent);
    } else if (sent > told) {
      progress.add(file.path_in_repository, sent - told);
    }
    told = sent;
  };
  // The address itself is the permission: it may be another company's, and gets no token.
  const HttpResponse response = client.send_without_token(request, what_of(file));
  if (!response.ok()) throw hub_error(response, what_of(file), client.settings());
  if (request.file->size > told) progress.add(file.path_in_repository, request.file->size - told);
  return response.header("etag");
}

/// The addresses of the parts in order, from the action's numbered headers.
std::vector<std::string> part_addresses(const Json& header, const LargeFile& file, uint64_t part_size) {
  std::map<int64_t, std::string> parts;
  for (const auto& [name, value] : header.items())
    if (const int64_t number = number_of(name); number >= 0 && value.is_string()) parts[number] = value;
  const uint64_t expected = (file.size + part_size - 1) / part_size;
  if (parts.size() != expected)
    throw data_error(fmt::format("{}: the hub names {} parts of {} bytes for {} bytes", what_of(file), parts.size(),
                                 part_size, file.size));
  std::vector<std::string> addresses;
  for (auto& [number, address] : parts) addresses.push_back(std::move(address));
  return addresses;
}

void send_parts(HubClient& client, const LargeFile& file, const Json& upload, uint64_t part_size,
                TransferProgress& progress) {
  const auto addresses = part_addresses(upload.at("header"), file, part_size);
  Json parts = Json::array();
  for (size_t i = 0; i < addresses.size(); ++i) {
    const uint64_t offset = i * part_size;
    const std::string etag = put(client, file, client.own_url(addresses[i]),
                                 {file.path, offset, std::min(part_size, file.size - offset)}, {}, progress);
    if (etag.empty()) throw data_error(fmt::format("{}: the hub gave part {} no etag", what_of(file), i + 1));
    parts.push_back({{"partNumber", i + 1}, {"etag", etag}});
  }
  const HttpResponse done = client.send_without_token(
      lfs_post(client.own_url(text_at(upload, "href", what_of(file))), {{"oid", file.sha256}, {"parts", parts}}),
      what_of(file));
  if (!done.ok()) throw hub_error(done, what_of(file), client.settings());
}

void send_whole(HubClient& client, const LargeFile& file, const Json& upload, TransferProgress& progress) {
  std::vector<std::string> headers;
  if (upload.contains("header") && upload["header"].is_object())
    for (const auto& [name, value] : upload["header"].items())
      if (value.is_string()) headers.push_back(fmt::format("{}: {}", name, value.get<std::string>()));
  for (const auto& header : headers)
    if (header.find_first_of("\r\n") != std::string::npos)
      throw data_error(fmt::format("{}: the hub asks for a header of two lines", what_of(file)));
  put(client, file, client.own_url(text_at(upload, "href", what_of(file))), {file.path, 0, file.size},
      std::move(headers), progress);
}

}  // namespace

std::vector<LfsRequest> lfs_batch(HubClient& client, const HubRepository& repository, const std::string& revision,
                                  const std::vector<LargeFile>& files) {
  std::vector<LfsRequest> requests;
  for (size_t first = 0; first < files.size(); first += kFilesARequest) {
    Json objects = Json::array();
    std::map<std::string, LargeFile> by_oid;  // two files of one content travel once
    for (size_t i = first; i < std::min(first + kFilesARequest, files.size()); ++i)
      if (by_oid.emplace(files[i].sha256, files[i]).second)
        objects.push_back({{"oid", files[i].sha256}, {"size", files[i].size}});
    const std::string what = fmt::format("upload to {}", repository.name);
    const Json answer = client.json_of(lfs_post(client.url(repository.page_path() + ".git/info/lfs/objects/batch"),
                                                {{"operation", "upload"},
                                                 {"transfers", {"basic", "multipart"}},
                                                 {"objects", objects},
                                                 {"hash_algo", "sha256"},
                                                 {"ref", {{"name", revision}}}}),
                                       what);
    if (!answer.is_object() || !answer.contains("objects") || !answer["objects"].is_array())
      throw data_error(fmt::format("{}: the hub's answer has no list \"objects\"", what));
    for (const auto& object : answer["objects"]) {
      const auto file = by_oid.find(text_at(object, "oid", what));
      if (file == by_oid.end()) continue;
      if (object.contains("error") && object["error"].is_object())
        throw environment_error(
            fmt::format("{}: {}", what_of(file->second),
                        client.settings().token.hidden_in(text_at(object["error"], "message", what))));
      const Json actions = object.value("actions", Json());
      if (!actions.is_object() || !actions.contains("upload")) continue;  // it has this content
      requests.push_back({file->second, actions["upload"], actions.value("verify", Json())});
    }
  }
  return requests;
}

void lfs_send(HubClient& client, const LfsRequest& request, TransferProgress& progress) {
  const LargeFile& file = request.file;
  const Json header = request.upload.is_object() ? request.upload.value("header", Json()) : Json();
  if (header.is_object() && header.contains("chunk_size")) {
    const Json& given = header["chunk_size"];  // a number, or its text
    const int64_t part_size = number_of(given.is_string() ? given.get<std::string>() : given.dump());
    if (part_size <= 0)
      throw data_error(fmt::format("{}: the hub asks for parts of {} bytes", what_of(file), given.dump()));
    send_parts(client, file, request.upload, static_cast<uint64_t>(part_size), progress);
  } else {
    send_whole(client, file, request.upload, progress);
  }
  if (!request.verify.is_object()) return;
  const HttpResponse verified = client.send_to(lfs_post(client.own_url(text_at(request.verify, "href", what_of(file))),
                                                        {{"oid", file.sha256}, {"size", file.size}}),
                                               what_of(file));
  if (!verified.ok()) throw hub_error(verified, what_of(file), client.settings());
}

}  // namespace unnoise
