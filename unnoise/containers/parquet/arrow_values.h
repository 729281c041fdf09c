// Single values out of Arrow's arrays.
#pragma once

#include <arrow/array.h>

#include <cstdint>
#include <string_view>

#include "unnoise/core/json.h"

namespace unnoise::arrow_values {

/// The bytes of element i of an array of binaries or texts (of any width, or a dictionary of them); not null.
std::string_view bytes_at(const arrow::Array& array, int64_t i);

/// Whether bytes_at takes arrays of this type.
bool has_bytes(const arrow::DataType& type);

/// Element i as JSON: numbers, texts, truth values, lists and structs of these; null for everything else, and for texts
/// that are not UTF-8.
Json json_at(const arrow::Array& array, int64_t i);

}  // namespace unnoise::arrow_values
