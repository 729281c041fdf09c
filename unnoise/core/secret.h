// A text that may not be seen: a token, a password.
#pragma once

#include <string>
#include <string_view>

#include "unnoise/core/files.h"

namespace unnoise {

/// Has no conversion to text, no formatter and no JSON, so that it cannot reach a log, a file or an error by accident.
class Secret {
 public:
  Secret() = default;
  /// White space around it is dropped; "" is no secret. Error::usage, naming `where` and not the text, when a character
  /// is in it that an HTTP header cannot hold.
  static Secret from_text(std::string_view text, std::string_view where);
  /// The first line of a file. Error::data when it cannot be read or is empty.
  static Secret from_file(const fs::path& path);

  bool empty() const { return text_.empty(); }
  /// For the one place that sends it.
  const std::string& reveal() const { return text_; }
  /// `text` with every copy of the secret replaced by "***": for what a server says, which may repeat what it was sent.
  std::string hidden_in(std::string text) const;

 private:
  std::string text_;
};

}  // namespace unnoise
