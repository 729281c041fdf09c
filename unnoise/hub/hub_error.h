// What an answer that is no success means to a user.
#pragma once

#include <string>
#include <string_view>

#include "unnoise/core/error.h"
#include "unnoise/hub/http.h"
#include "unnoise/hub/hub_settings.h"

namespace unnoise {

/// The error of a failed request: `what` was tried ("push to user/name"). Says what the server said, without the token
/// if it repeats it. 404 is data (what was named is not there), everything else environment.
Error hub_error(const HttpResponse& response, std::string_view what, const HubSettings& settings);

/// Whether trying again may help: no connection, a cut one, 408, 429, 500, 502, 503, 504.
bool may_succeed_later(const HttpResponse& response);

}  // namespace unnoise
