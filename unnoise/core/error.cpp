#include "unnoise/core/error.h"

#include <utility>

namespace unnoise {

Error::Error(ErrorKind kind, std::string message, std::string hint)
    : kind_(kind), message_(std::move(message)), hint_(std::move(hint)) {
  what_ = hint_.empty() ? message_ : message_ + "\n" + hint_;
}

Error usage_error(std::string message, std::string hint) {
  return {ErrorKind::usage, std::move(message), std::move(hint)};
}

Error data_error(std::string message, std::string hint) {
  return {ErrorKind::data, std::move(message), std::move(hint)};
}

Error environment_error(std::string message, std::string hint) {
  return {ErrorKind::environment, std::move(message), std::move(hint)};
}

}  // namespace unnoise
