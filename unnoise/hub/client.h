// The hub's HTTP interface, one function a request, as the official client (huggingface_hub) speaks it.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/json.h"
#include "unnoise/core/observer.h"
#include "unnoise/hub/http.h"
#include "unnoise/hub/hub_settings.h"
#include "unnoise/hub/repository.h"

namespace unnoise {

/// Every function waits for the answer, tries again when that may help (Retry-After is honoured, at most 5 minutes) and
/// throws Error with what the hub said, or Stopped.
class HubClient {
 public:
  /// Reads settings.token_file when there is no token. Error::usage for an endpoint that is no http(s) address.
  HubClient(HubSettings settings, const Observer& observer = {}, std::stop_token stop = {});

  const HubSettings& settings() const { return settings_; }
  const Observer& observer() const { return observer_; }
  std::stop_token stop() const { return stop_; }

  /// Gives it with the full name: "name" alone gets the token's user before it. One that exists is fine, and then keeps
  /// its visibility.
  HubRepository create_repository(const HubRepository& repository, bool is_private);
  /// A branch from the head of main; one that exists is fine.
  void create_branch(const HubRepository& repository, const std::string& branch);
  /// The commit that a branch, tag or (short) commit stands for.
  std::string find_commit(const HubRepository& repository, const std::string& revision);
  /// All files at a commit. Error::data when one has a path that leaves its folder, or no digest.
  std::vector<HubFile> list_files(const HubRepository& repository, const std::string& commit);

  /// Sends with the token and tries again; the answer may still be no success.
  HttpResponse send(HttpRequest request, std::string_view what);
  /// The same for an address that an answer named: the token goes along only to the hub's own host.
  HttpResponse send_to(HttpRequest request, std::string_view what);
  /// Never with the token: for addresses that are a permission by themselves.
  HttpResponse send_without_token(const HttpRequest& request, std::string_view what);
  /// With the token and without another try: for what must not happen twice.
  HttpResponse send_once(HttpRequest request, std::string_view what);
  /// The JSON of a success; everything else is an Error.
  Json json_of(HttpRequest request, std::string_view what);

  /// Address of the interface: "/api/models/user/name".
  std::string url(const std::string& path) const { return settings_.endpoint + path; }
  /// An address from an answer: one of the public hub is turned into this endpoint (a mirror, a test).
  std::string own_url(const std::string& address) const;
  bool is_own(const std::string& address) const;

 private:
  void add_token(HttpRequest& request, std::string_view what) const;

  HubSettings settings_;
  Observer observer_;
  std::stop_token stop_;
  HttpSession session_;
};

/// Waits, or throws Stopped.
void wait_or_stop(std::chrono::duration<double> time, std::stop_token stop);

/// Members of answers, checked: Error::data that names `where` and the key.
std::string text_at(const Json& json, const char* key, std::string_view where);
uint64_t size_at(const Json& json, const char* key, std::string_view where);

}  // namespace unnoise
