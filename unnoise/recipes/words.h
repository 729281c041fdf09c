// Words of the field in options that are texts there.
#pragma once

#include <string>
#include <string_view>

#include "unnoise/core/fields.h"

namespace unnoise {

/// A word of an option as the enum that means it; the error names the flag and the choices.
template <NamedEnum E>
E word(std::string_view flag, const std::string& text) {
  return fields_detail::Value<E>::from_json(flag, text);
}

}  // namespace unnoise
