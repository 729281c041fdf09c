#include "unnoise/core/secret.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"

namespace unnoise {

Secret Secret::from_text(std::string_view text, std::string_view where) {
  constexpr std::string_view kWhite = " \t\r\n";
  const size_t begin = text.find_first_not_of(kWhite);
  Secret secret;
  if (begin == std::string_view::npos) return secret;
  secret.text_ = text.substr(begin, text.find_last_not_of(kWhite) - begin + 1);
  if (!std::all_of(secret.text_.begin(), secret.text_.end(), [](char c) { return c > ' ' && c < 0x7f; }))
    throw usage_error(fmt::format("{}: this is no token: it holds spaces or characters that no token has", where),
                      "A token is one word, such as hf_ and 34 letters and digits.");
  return secret;
}

Secret Secret::from_file(const fs::path& path) {
  const std::string text = read_file(path);
  Secret secret = from_text(std::string_view(text).substr(0, text.find('\n')), fmt::format("\"{}\"", path.string()));
  if (secret.empty()) throw data_error(fmt::format("\"{}\" holds no token in its first line", path.string()));
  return secret;
}

std::string Secret::hidden_in(std::string text) const {
  if (text_.empty()) return text;
  for (size_t at = text.find(text_); at != std::string::npos; at = text.find(text_, at))
    text.replace(at, text_.size(), "***");
  return text;
}

}  // namespace unnoise
