// Which release this is, and which of diffusers it follows.
#pragma once

namespace unnoise {

inline constexpr const char* kVersion = "0.1.0";
/// The diffusers release whose files and numbers we follow; written as `_diffusers_version`.
inline constexpr const char* kDiffusersVersion = "0.42.1";

}  // namespace unnoise
