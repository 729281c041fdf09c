#include "unnoise/io/zip_write.h"

#include <gmock/gmock.h>

#include "format_bytes.h"
#include "unnoise/io/zip.h"

namespace unnoise {
namespace {

using test::TemporaryFolder;

TEST(ZipWrite, ComesBackAndDependsOnContentsAlone) {
  const TemporaryFolder dir;
  const std::string large(3'000'000, 'x');
  write_file_atomic(dir / "a", "abc");
  write_file_atomic(dir / "b", large);
  write_file_atomic(dir / "c", "");
  const std::vector<ZipSource> files = {{"m/a.json", dir / "a"}, {"m/ünet/b", dir / "b"}, {"m/c", dir / "c"}};
  write_zip(dir / "one.zip", files);
  fs::last_write_time(dir / "a", fs::file_time_type::clock::now() - std::chrono::hours(100));
  write_zip(dir / "two.zip", files);
  const std::string bytes = read_file(dir / "one.zip");
  EXPECT_EQ(bytes, read_file(dir / "two.zip"));
  const auto entries = read_zip(bytes, "one.zip");
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, "m/a.json");
  EXPECT_EQ(unpack(entries[0], 10, ""), "abc");
  EXPECT_EQ(entries[1].name, "m/ünet/b");
  EXPECT_EQ(unpack(entries[1], large.size(), ""), large);
  EXPECT_EQ(entries[2].size, 0u);
}

TEST(ZipWrite, AMissingFileLeavesNothing) {
  const TemporaryFolder dir;
  write_file_atomic(dir / "a", "abc");
  EXPECT_EQ(test::error_of([&] {
              write_zip(dir / "x.zip", {{"a", dir / "a"}, {"b", dir / "none"}});
            }).kind(),
            ErrorKind::data);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace unnoise
