// Which hub, who is asking, and where downloads are kept: what a program finds in its environment.
#pragma once

#include <string>

#include "unnoise/core/files.h"
#include "unnoise/core/secret.h"

namespace unnoise {

inline constexpr const char* kDefaultHub = "https://huggingface.co";

/// Not an option: it is never saved with a run. The library does not read the environment; a program fills this in.
struct HubSettings {
  std::string endpoint = kDefaultHub;
  Secret token;
  fs::path token_file;  ///< where the official client keeps its token; read when there is no `token` and it exists
  fs::path cache;       ///< the official client's: ~/.cache/huggingface/hub
  bool offline = false;
};

}  // namespace unnoise
