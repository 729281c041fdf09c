// What the tests of the file formats share: folders that go away, bytes by hand, and the text of an Error.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <random>
#include <string>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"

namespace unnoise::test {

/// A fresh folder, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "unnoise-io-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  fs::path operator/(const fs::path& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// The Error that `action` throws; a test failure when it throws none.
template <class Action>
Error error_of(Action&& action) {
  try {
    action();
  } catch (const Error& e) {
    return e;
  }
  ADD_FAILURE() << "no unnoise::Error was thrown";
  return data_error("nothing was thrown");
}

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

/// Damages `valid` in `rounds` deterministic ways (cut, flipped, overwritten and inserted bytes) and demands of `parse`
/// a value or an unnoise::Error for each.
template <class Parse>
void expect_value_or_error(const std::string& valid, int rounds, Parse&& parse) {
  std::mt19937 draw(1234);
  int errors = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string bytes = valid;
    const int edits = 1 + static_cast<int>(draw() % 3);
    for (int edit = 0; edit < edits && !bytes.empty(); ++edit) {
      const size_t at = draw() % bytes.size();
      switch (draw() % 5) {
        case 0:
          bytes.resize(at);
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << (draw() % 8)));
          break;
        case 2:
          bytes[at] = static_cast<char>(draw());
          break;
        case 3:
          bytes.insert(at, 1, "0\xff\x80\"{[(RQc."[draw() % 11]);
          break;
        default:
          bytes.replace(at, 8, little_endian<uint64_t>(uint64_t{1} << (draw() % 64)), 0, 8);
          break;
      }
    }
    try {
      parse(bytes);
    } catch (const Error&) {
      ++errors;
    } catch (const std::exception& e) {
      FAIL() << "round " << round << ": not an unnoise::Error: " << e.what();
    }
  }
  EXPECT_GT(errors, rounds / 4) << "the damage was too mild to test anything";
}

}  // namespace unnoise::test
