// The one exception type of the project.
#pragma once

#include <exception>
#include <string>

namespace unnoise {

/// Whose fault it is; the program's exit code follows from it.
enum class ErrorKind {
  usage,        ///< the caller asked for something that cannot be (exit code 2)
  data,         ///< a file or picture is not what it should be (exit code 3)
  environment,  ///< the machine refuses: disk full, no permission, no GPU (exit code 4)
};

/// `message` says where, what was expected and what was found; `hint` says what to do about it (may be empty).
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message, std::string hint = {});

  ErrorKind kind() const noexcept { return kind_; }
  const std::string& message() const noexcept { return message_; }
  const std::string& hint() const noexcept { return hint_; }
  /// Message and hint on two lines.
  const char* what() const noexcept override { return what_.c_str(); }

 private:
  ErrorKind kind_;
  std::string message_;
  std::string hint_;
  std::string what_;
};

Error usage_error(std::string message, std::string hint = {});
Error data_error(std::string message, std::string hint = {});
Error environment_error(std::string message, std::string hint = {});

}  // namespace unnoise
