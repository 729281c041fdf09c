#include <fmt/format.h>
#include <gmock/gmock.h>
#include <zlib.h>

#include "tests/data/temporary_folder.h"
#include "unnoise/data/file_tree.h"

namespace unnoise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A tar of regular files (POSIX.1-1988, ustar): a header of 512 bytes, the content, zeros up to the next 512.
std::string tar_of(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string tar;
  for (const auto& [name, content] : files) {
    std::string header(512, '\0');
    header.replace(0, name.size(), name);
    header.replace(100, 7, "0000644");
    const auto octal = [&](size_t at, size_t digits, size_t value) {
      for (size_t d = 0; d < digits; ++d, value /= 8) header[at + digits - 1 - d] = static_cast<char>('0' + value % 8);
    };
    octal(124, 11, content.size());
    header[156] = '0';
    header.replace(257, 8, std::string("ustar\00000", 8));
    header.replace(148, 8, "        ");
    size_t sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    octal(148, 6, sum);
    header[154] = '\0';
    tar += header + content + std::string((512 - content.size() % 512) % 512, '\0');
  }
  return tar + std::string(1024, '\0');
}

/// GNU's sparse file (type S): 512 bytes behind `hole` zeros that are not stored, in a file that says it has `size`.
std::string sparse_tar(size_t hole, size_t size) {
  std::string header = tar_of({{"a.png", std::string(512, 'x')}}).substr(0, 512);
  header.replace(257, 8, std::string("ustar  \0", 8));
  header[156] = 'S';
  header.replace(386, 12, fmt::format("{:011o}", hole) + '\0');
  header.replace(398, 12, fmt::format("{:011o}", 512) + '\0');
  header.replace(483, 12, fmt::format("{:011o}", size) + '\0');
  header.replace(148, 8, "        ");
  size_t sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  header.replace(148, 8, fmt::format("{:06o}", sum) + '\0' + ' ');
  return header + std::string(512, 'x') + std::string(1024, '\0');
}

std::string gzipped(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);  // 16: with gzip's header
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::shared_ptr<const FileTree> open_tar(const TemporaryFolder& folder, const std::string& bytes,
                                         const ArchiveLimits& limits = {}) {
  folder.write("set.tar", bytes);
  return archive_tree(folder / "set.tar", folder.path(), {}, limits);
}

TEST(ArchiveTree, ReadsFilesInAnyOrderAndLeavesNothingBehind) {
  TemporaryFolder folder;
  const auto tree =
      open_tar(folder, tar_of({{"b/2.png", "two"}, {"./a.txt", ""}, {".hidden.png", "x"}, {"b/1.png", "one"}}));
  EXPECT_THAT(tree->files(), ElementsAre("a.txt", "b/1.png", "b/2.png"));
  EXPECT_EQ(tree->read("b/2.png").view(), "two");
  EXPECT_EQ(tree->read("b/1.png").view(), "one");
  EXPECT_EQ(tree->read("a.txt").view(), "");
  EXPECT_THAT(error_of([&] { tree->read("c.png"); }), HasSubstr("no file \"c.png\""));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(ArchiveTree, TheLastOfOneNameCounts) {
  TemporaryFolder folder;
  EXPECT_EQ(open_tar(folder, tar_of({{"a.png", "old"}, {"a.png", "new"}}))->read("a.png").view(), "new");
}

TEST(ArchiveTree, RefusesNamesThatLeadOutside) {
  TemporaryFolder folder;
  for (const char* name : {"../a.png", "/a.png", "x/../../a.png", "C:a.png", "x\\a.png"})
    EXPECT_THAT(error_of([&] { open_tar(folder, tar_of({{name, "x"}})); }), HasSubstr("do not trust")) << name;
}

TEST(ArchiveTree, KeepsItsLimits) {
  TemporaryFolder folder;
  const std::string tar = tar_of({{"a.png", std::string(2000, 'x')}, {"b.png", "x"}});
  EXPECT_THAT(error_of([&] { open_tar(folder, tar, {.members = 1}); }), HasSubstr("more than 1 members"));
  EXPECT_THAT(error_of([&] { open_tar(folder, tar, {.member_bytes = 1999}); }), HasSubstr("claims to be 2.0 kB"));
  EXPECT_THAT(error_of([&] { open_tar(folder, tar, {.member_bytes = 2000}); }), IsEmpty());
  const ArchiveLimits nothing{.unpacked_ratio = 0, .unpacked_bytes = 0};
  EXPECT_THAT(error_of([&] { open_tar(folder, tar, nothing); }), IsEmpty());  // read where it lies
}

TEST(ArchiveTree, CountsWhatIsUnpacked) {
  TemporaryFolder folder;
  const std::string packed = gzipped(tar_of({{"a.png", std::string(2000, 'x')}, {"b.png", std::string(300, 'x')}}));
  EXPECT_THAT(error_of([&] { open_tar(folder, packed, {.unpacked_ratio = 0, .unpacked_bytes = 2299}); }),
              HasSubstr("unpacks to more than 2.3 kB"));
  EXPECT_THAT(error_of([&] { open_tar(folder, packed, {.unpacked_ratio = 0, .unpacked_bytes = 2300}); }), IsEmpty());
  const auto size = static_cast<int64_t>(packed.size());
  EXPECT_THAT(error_of([&] { open_tar(folder, packed, {.unpacked_ratio = 1, .unpacked_bytes = 2300 - size}); }),
              IsEmpty());
  EXPECT_THAT(error_of([&] { open_tar(folder, packed, {.member_bytes = 1999}); }), HasSubstr("claims to be 2.0 kB"));
}

TEST(ArchiveTree, CountsWhatComesBeyondTheSizeThatIsClaimed) {
  TemporaryFolder folder;
  const std::string tar = gzipped(sparse_tar(9000, 512));  // 9000 zeros and 512 bytes in a file of 512 bytes
  EXPECT_THAT(error_of([&] { open_tar(folder, tar, {.unpacked_ratio = 0, .unpacked_bytes = 5000}); }),
              HasSubstr("unpacks to more than 5.0 kB"));
  EXPECT_THAT(error_of([&] { open_tar(folder, tar, {.member_bytes = 5000}); }), HasSubstr("claims to be"));
}

TEST(ArchiveTree, RefusesWhatIsCutOrNoArchive) {
  TemporaryFolder folder;
  const std::string tar = tar_of({{"a.png", std::string(3000, 'x')}});
  EXPECT_THAT(error_of([&] { open_tar(folder, tar.substr(0, 1500)); }), HasSubstr("set.tar"));
  EXPECT_THAT(error_of([&] { open_tar(folder, "hello, this is no archive"); }), HasSubstr("another kind"));
}

TEST(SafeMemberPath, DropsDotsAndDoubleSlashes) {
  EXPECT_EQ(safe_member_path("./a//b/./c.png", "x"), "a/b/c.png");
  EXPECT_EQ(safe_member_path("a..b/...png", "x"), "a..b/...png");
  EXPECT_EQ(safe_member_path("./", "x"), "");
  EXPECT_THAT(error_of([] { safe_member_path(std::string_view("a\0b", 3), "x"); }),
              AllOf(HasSubstr("NUL"), HasSubstr("a\\u0000b")));
}

TEST(IsVisiblePath, HidesDotsAndDoubleUnderscoreFolders) {
  for (const char* path : {"a.png", "a/b.png", "a/__b.png", "_a/b"}) EXPECT_TRUE(is_visible_path(path)) << path;
  for (const char* path : {".a.png", "a/.b/c.png", "__MACOSX/a.png", "a/__b/c"})
    EXPECT_FALSE(is_visible_path(path)) << path;
}

}  // namespace
}  // namespace unnoise
