// A folder for one test, and the files that tests put there.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/core/observer.h"
#include "unnoise/io/image_write.h"

namespace unnoise {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "unnoise-data-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ec;
    fs::remove_all(path_, ec);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const fs::path& path() const { return path_; }
  fs::path operator/(std::string_view name) const { return path_ / name; }

  void write(std::string_view name, std::string_view bytes) const {
    fs::create_directories((path_ / name).parent_path());
    write_file_atomic(path_ / name, bytes);
  }
  /// A PNG whose pixels differ by `seed`.
  void picture(std::string_view name, int seed = 0, int64_t width = 6, int64_t height = 5) const {
    Image image = blank_image(width, height, 3);
    for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(31 * seed + 7 * i);
    write(name, encode_png(image));
  }
  /// A PNG that starts well and is cut within its pixels: its header can be read, its pixels cannot.
  void cut_picture(std::string_view name) const {
    const std::string whole = encode_png(blank_image(40, 40, 3));
    write(name, std::string_view(whole).substr(0, 50));
  }

 private:
  fs::path path_;
};

/// Collects what a job tells.
struct Listener {
  std::vector<std::string> warnings;
  std::vector<std::string> infos;
  int progress_calls = 0;

  Observer observer() {
    return {[this](const Progress&) { ++progress_calls; },
            [this](LogLevel level, const std::string& line) {
              (level == LogLevel::warning ? warnings : infos).push_back(line);
            }};
  }
};

/// The Error that f throws: its message and hint, "" if it throws none.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace unnoise
