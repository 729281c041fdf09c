#include "unnoise/logging/tensorboard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "unnoise/core/error.h"
#include "unnoise/logging/crc32c.h"

namespace unnoise {
namespace {

TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720, appendix B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(TensorBoard, StartsAFileWithItsVersion) {
  const fs::path folder = fs::temp_directory_path() / ("unnoise-tensorboard-" + std::to_string(::getpid()));
  fs::remove_all(folder);
  const TensorBoardWriter writer(folder);
  const std::string bytes = read_file(writer.path());
  ASSERT_EQ(bytes.size(), 8u + 4 + (9 + 2 + 13) + 4);  // length, checksum, wall time + version, checksum
  EXPECT_EQ(bytes[0], 24);
  EXPECT_EQ(bytes.substr(12 + 9, 15),
            "\x1a\x0d"
            "brain.Event:2");
  fs::remove_all(folder);
}

TEST(TensorBoard, NamesSortInTheOrderOfCreation) {
  const fs::path folder = fs::temp_directory_path() / ("unnoise-tensorboard-order-" + std::to_string(::getpid()));
  fs::remove_all(folder);
  const TensorBoardWriter first(folder), second(folder), third(folder);
  EXPECT_LT(first.path().filename(), second.path().filename());
  EXPECT_LT(second.path().filename(), third.path().filename());
  fs::remove_all(folder);
}

TEST(TensorBoard, RejectsAPictureThatIsNoPng) {
  const fs::path folder = fs::temp_directory_path() / ("unnoise-tensorboard-png-" + std::to_string(::getpid()));
  TensorBoardWriter writer(folder);
  EXPECT_THROW(writer.image("samples", "GIF89a", 1), Error);
  EXPECT_THROW(writer.image("samples", "", 1), Error);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace unnoise
