#include "unnoise/hub/http.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <exception>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"

namespace unnoise {
namespace {

constexpr size_t kMostBody = 64 << 20;
constexpr long kConnectSeconds = 10, kStallSeconds = 60;

/// What the callbacks of one request share. An exception cannot cross libcurl: it waits here.
struct Transfer {
  const HttpRequest& request;
  HttpResponse& response;
  std::stop_token stop;
  int file = -1;
  uint64_t sent = 0;
  bool refused_by_sink = false;
  bool file_ended_early = false;
  std::exception_ptr error;
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::string_view stripped(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

size_t on_header(char* data, size_t, size_t size, void* user) {
  HttpResponse& response = static_cast<Transfer*>(user)->response;
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {  // of the next answer, after "100 Continue"
    response.headers.clear();
    const size_t space = line.find(' ');
    response.status = space == std::string_view::npos ? 0 : std::strtol(line.data() + space, nullptr, 10);
  } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
    response.headers[lower(line.substr(0, colon))] = stripped(line.substr(colon + 1));
  }
  return size;
}

size_t on_body(char* data, size_t, size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  HttpResponse& response = transfer.response;
  try {
    const bool sinks = transfer.request.sink && response.status >= 200 && response.status < 300;
    if (sinks) {
      transfer.refused_by_sink = !transfer.request.sink(response, {data, size});
      return transfer.refused_by_sink ? 0 : size;
    }
    if (response.body.size() + size > kMostBody)
      throw data_error(fmt::format("{}: the answer is longer than {} MB", transfer.request.url, kMostBody >> 20));
    response.body.append(data, size);
    return size;
  } catch (...) {
    transfer.error = std::current_exception();
    return 0;
  }
}

size_t on_read(char* data, size_t, size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  if (transfer.file < 0) {
    const std::string& body = transfer.request.body;
    const size_t count = std::min(size, body.size() - transfer.sent);
    std::copy_n(body.data() + transfer.sent, count, data);
    transfer.sent += count;
    return count;
  }
  const FilePart& part = *transfer.request.file;
  const size_t wanted = std::min<uint64_t>(size, part.size - transfer.sent);
  const ssize_t count = ::pread(transfer.file, data, wanted, static_cast<off_t>(part.offset + transfer.sent));
  if (count < 0 || (count == 0 && wanted > 0)) {
    transfer.file_ended_early = true;
    return CURL_READFUNC_ABORT;
  }
  transfer.sent += static_cast<uint64_t>(count);
  return static_cast<size_t>(count);
}

int on_seek(void* user, curl_off_t offset, int origin) {  // libcurl sends the body again on a new connection
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Transfer*>(user)->sent = static_cast<uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t sent) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  try {
    if (transfer.request.on_sent && sent > 0) transfer.request.on_sent(static_cast<uint64_t>(sent));
  } catch (...) {
    transfer.error = std::current_exception();
    return 1;
  }
  return transfer.stop.stop_requested() ? 1 : 0;
}

void set_protocols(CURL* curl) {
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

/// The file of an upload, closed at the end.
struct OpenFile {
  explicit OpenFile(const std::optional<FilePart>& part) {
    if (!part) return;
    descriptor = ::open(part->path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw data_error(fmt::format("cannot read \"{}\"", part->path.string()));
  }
  ~OpenFile() {
    if (descriptor >= 0) ::close(descriptor);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int descriptor = -1;
};

using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

Headers header_list(const HttpRequest& request) {
  curl_slist* list = curl_slist_append(nullptr, "Expect:");  // do not wait for "100 Continue"
  const bool has_type = std::any_of(request.headers.begin(), request.headers.end(),
                                    [](const auto& header) { return lower(header).starts_with("content-type:"); });
  if (!has_type) list = curl_slist_append(list, "Content-Type:");  // no invented one
  for (const auto& header : request.headers) list = curl_slist_append(list, header.c_str());
  return {list, &curl_slist_free_all};
}

void set_body(CURL* curl, const HttpRequest& request, Transfer& transfer) {
  const bool sends = request.file || !request.body.empty() || request.method == "POST" || request.method == "PUT";
  if (request.method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  if (!sends) return;
  const uint64_t size = request.file ? request.file->size : request.body.size();
  curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(size));
  curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
  curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
  curl_easy_setopt(curl, CURLOPT_SEEKDATA, &transfer);
}

HttpResponse::End end_of(CURLcode code, const HttpResponse& response) {
  if (code == CURLE_OK) return HttpResponse::End::complete;
  constexpr CURLcode kNoConnection[] = {CURLE_COULDNT_RESOLVE_HOST,     CURLE_COULDNT_RESOLVE_PROXY,
                                        CURLE_COULDNT_CONNECT,          CURLE_SSL_CONNECT_ERROR,
                                        CURLE_PEER_FAILED_VERIFICATION, CURLE_OPERATION_TIMEDOUT};
  const bool none = std::find(std::begin(kNoConnection), std::end(kNoConnection), code) != std::end(kNoConnection);
  return none && response.status == 0 ? HttpResponse::End::unreachable : HttpResponse::End::cut;
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

void HttpSession::Free::operator()(void* curl) const { curl_easy_cleanup(curl); }

HttpSession::HttpSession() {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);  // once a process, thread-safe
  curl_.reset(ready == CURLE_OK ? curl_easy_init() : nullptr);
  if (!curl_) throw environment_error("libcurl cannot be started");
}

HttpResponse HttpSession::send(const HttpRequest& request, std::stop_token stop) {
  CURL* curl = curl_.get();
  HttpResponse response;
  response.host = url_origin(request.url);
  const OpenFile file(request.file);
  Transfer transfer{request, response, stop, file.descriptor};
  const Headers headers = header_list(request);

  curl_easy_reset(curl);  // keeps the connection
  set_protocols(curl);
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, fmt::format("unnoise/{}", kVersion).c_str());
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  set_body(curl, request, transfer);
  if (request.method != "HEAD") curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());

  const CURLcode code = curl_easy_perform(curl);
  if (transfer.error) std::rethrow_exception(transfer.error);
  if (stop.stop_requested() && code != CURLE_OK) throw Stopped{};
  if (transfer.file_ended_early)
    throw data_error(fmt::format("\"{}\" became shorter while it was sent", request.file->path.string()),
                     "Is something still writing it? Run the command again when it is finished.");
  response.end = transfer.refused_by_sink ? HttpResponse::End::cut : end_of(code, response);
  if (code != CURLE_OK) response.failure = curl_easy_strerror(code);
  curl_off_t wait = 0;
  if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0)
    response.retry_after = std::chrono::seconds(wait);
  return response;
}

std::string url_quoted(std::string_view text, std::string_view keep) {
  std::string out;
  for (const char c : text) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) || std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain || keep.find(c) != std::string_view::npos)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string url_origin(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  std::string origin = lower(url.substr(0, url.find_first_of("/?#", scheme + 3)));
  const bool secure = origin.starts_with("https://");
  if (!secure && !origin.starts_with("http://")) return {};
  const std::string_view usual_port = secure ? ":443" : ":80";
  if (origin.ends_with(usual_port)) origin.resize(origin.size() - usual_port.size());
  return origin;
}

std::string resolved_url(const std::string& base, const std::string& location) {
  if (location.starts_with("//")) return base.substr(0, base.find(':') + 1) + location;
  if (location.starts_with('/')) return url_origin(base) + location;
  if (!url_origin(location).empty()) return location;
  const bool other_scheme = location.find("://") != std::string::npos;
  return other_scheme ? std::string() : base.substr(0, base.rfind('/') + 1) + location;
}

}  // namespace unnoise
