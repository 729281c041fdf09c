// Arrow's ways to fail as ours.
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>
#include <fmt/format.h>

#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "unnoise/core/error.h"

namespace unnoise::arrow_check {

inline Error damaged(std::string_view where, std::string_view why) {
  return data_error(fmt::format("{}: cannot be read as Parquet: {}", where, why),
                    "The file is damaged, cut short or of another kind. Get it again.");
}

inline void check(const arrow::Status& status, std::string_view where) {
  if (!status.ok()) throw damaged(where, status.ToString());
}

template <class T>
T check(arrow::Result<T> result, std::string_view where) {
  check(result.status(), where);
  return std::move(result).ValueUnsafe();
}

/// Calls f; what Arrow throws (parquet::ParquetException, std::bad_alloc) becomes Error::data.
template <class F>
auto guarded(std::string_view where, F f) {
  try {
    return f();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw damaged(where, e.what());
  }
}

}  // namespace unnoise::arrow_check
