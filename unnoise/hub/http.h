// One HTTP request at a time, over libcurl: what was sent, what came back, and how it ended.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/files.h"

namespace unnoise {

/// A part of a file, as the body of a request.
struct FilePart {
  fs::path path;
  uint64_t offset = 0;
  uint64_t size = 0;
};

struct HttpResponse {
  /// cut: the connection ended before the message did; unreachable: nothing was received.
  enum class End { complete, cut, unreachable };
  End end = End::complete;
  std::string failure;                         ///< why it is not complete, in libcurl's words
  std::string host;                            ///< that was asked: "https://host:port"
  long status = 0;                             ///< 0 = none was received
  std::map<std::string, std::string> headers;  ///< names in lower case; of several equal names the last
  std::string body;                            ///< empty when a sink took it
  std::optional<std::chrono::seconds> retry_after;

  bool ok() const { return end == End::complete && status >= 200 && status < 300; }
  /// A header's value, "" when there is none. `name` in lower case.
  std::string header(const std::string& name) const;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  ///< "Name: value"
  std::string body;
  std::optional<FilePart> file;  ///< instead of `body`
  /// Takes the body piece by piece when the status is 2xx; false ends the transfer (End::cut). May throw.
  std::function<bool(const HttpResponse& head, std::string_view piece)> sink;
  std::function<void(uint64_t sent)> on_sent;  ///< bytes of the body that have left
};

/// Ends a job that was asked to stop: thrown by everything that waits for the network, caught by whoever owns the stop
/// token. Not an Error: nothing went wrong.
struct Stopped {};

/// A connection that is kept between requests. Redirections are not followed and no environment variable but libcurl's
/// own (proxies) is looked at; requests go to http and https alone.
class HttpSession {
 public:
  HttpSession();
  /// Sends and waits. Throws Stopped, what the sink throws, and Error::data for an answer without a sink of more than
  /// 64 MB. Everything else, errors of the connection too, is in the result.
  HttpResponse send(const HttpRequest& request, std::stop_token stop = {});

 private:
  struct Free {
    void operator()(void* curl) const;
  };
  std::unique_ptr<void, Free> curl_;
};

/// Everything but letters, digits and -._~ as %XX; with `keep` (such as "/") those too are kept.
std::string url_quoted(std::string_view text, std::string_view keep = "");

/// "https://host:port" of a URL in lower case, "" when it is none of http or https.
std::string url_origin(std::string_view url);

/// The address that a Location header means, seen from `base`. "" for other schemes than http and https.
std::string resolved_url(const std::string& base, const std::string& location);

}  // namespace unnoise
