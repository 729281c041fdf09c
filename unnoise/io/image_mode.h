// The colours of a picture by name.
#pragma once

#include <array>
#include <utility>

namespace unnoise {

enum class ImageMode { grey, rgb };
constexpr auto enum_names(ImageMode) {
  return std::array{std::pair{ImageMode::grey, "grey"}, std::pair{ImageMode::rgb, "rgb"}};
}

}  // namespace unnoise
