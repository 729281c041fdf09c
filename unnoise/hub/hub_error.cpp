#include "unnoise/hub/hub_error.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/json.h"

namespace unnoise {
namespace {

constexpr size_t kLongestQuote = 400;

/// The server's own words: a header, the "error" of a JSON answer with its "errors", or nothing.
std::string server_words(const HttpResponse& response) {
  std::string words = response.header("x-error-message");
  const Json body = Json::parse(response.body, nullptr, false);
  if (body.is_object()) {
    if (words.empty() && body.contains("error") && body["error"].is_string()) words = body["error"];
    if (words.empty() && body.contains("message") && body["message"].is_string()) words = body["message"];
    if (body.contains("errors") && body["errors"].is_array())
      for (const auto& item : body["errors"])
        if (item.is_object() && item.contains("message") && item["message"].is_string())
          words += (words.empty() ? "" : "; ") + item["message"].get<std::string>();
  }
  std::replace_if(
      words.begin(), words.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
  if (words.size() > kLongestQuote) words = words.substr(0, kLongestQuote) + " ...";
  return words;
}

/// A repository that is not there, or hidden: without a token the hub answers 401 for both.
bool is_missing(const HttpResponse& response) {
  return response.status == 404 || response.header("x-error-code") == "RepoNotFound";
}

std::string hint_for(const HttpResponse& response, const HubSettings& settings) {
  const std::string give_token =
      "Make one in the settings of your account (Access Tokens, with the right to write for a push) and pass it by "
      "--hub-token-file FILE or the environment variable HF_TOKEN.";
  switch (is_missing(response) ? 404 : response.status) {
    case 400:
    case 422:
      return "";
    case 401:
      return settings.token.empty() ? "No token was given. " + give_token
                                    : "The token is wrong, or has expired. " + give_token;
    case 403:
      return settings.token.empty() ? "No token was given. " + give_token
                                    : "The token has no right to do this: it needs the right to write, or the "
                                      "repository belongs to somebody else, or its terms were not accepted yet.";
    case 404:
      return settings.token.empty() ? "Check the name. If the repository is private, give a token: --hub-token-file "
                                      "FILE or HF_TOKEN."
                                    : "Check the name, and that the token may see the repository if it is private.";
    case 409:
    case 412:
      return "Somebody else changed the repository at the same moment. Run the command again: files that arrived whole "
             "are not sent twice.";
    case 413:
      return "The hub does not take a request of that size.";
    case 429:
      return response.retry_after
                 ? fmt::format("Too many requests. The hub asks to wait {} seconds.", response.retry_after->count())
                 : "Too many requests. Wait some minutes and run the command again.";
    default:
      return response.status >= 500 ? "The trouble is on the hub's side. Run the command again later: it goes on where "
                                      "it stopped."
                                    : "";
  }
}

}  // namespace

Error hub_error(const HttpResponse& response, std::string_view what, const HubSettings& settings) {
  if (response.end == HttpResponse::End::unreachable)
    return environment_error(
        fmt::format("{}: cannot reach {}: {}", what, response.host, response.failure),
        "Is there a connection to the internet? What was downloaded before works without, by the same name.");
  if (response.end == HttpResponse::End::cut)
    return environment_error(fmt::format("{}: the connection to {} was cut: {}", what, response.host, response.failure),
                             "Run the command again: it goes on where it stopped.");
  const std::string words = settings.token.hidden_in(server_words(response));
  const std::string message = fmt::format("{}: {} answered {}{}", what, response.host, response.status,
                                          words.empty() ? "" : fmt::format(" ({})", words));
  std::string hint = hint_for(response, settings);
  return is_missing(response) ? data_error(message, std::move(hint)) : environment_error(message, std::move(hint));
}

bool may_succeed_later(const HttpResponse& response) {
  if (response.end != HttpResponse::End::complete) return true;
  constexpr long kTransient[] = {408, 429, 500, 502, 503, 504};
  return std::find(std::begin(kTransient), std::end(kTransient), response.status) != std::end(kTransient);
}

}  // namespace unnoise
