// The few things that a page needs to hold its pictures in itself.
#pragma once

#include <string>
#include <string_view>

namespace unnoise {

/// &, <, > and quotes as entities; control characters dropped.
std::string html_escaped(std::string_view text);
/// "data:image/png;base64,..."
std::string data_uri(std::string_view media_type, std::string_view bytes);

}  // namespace unnoise
