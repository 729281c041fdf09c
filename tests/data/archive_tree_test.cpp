#include <gmock/gmock.h>

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
  EXPECT_THAT(error_of([&] { open_tar(folder, tar, {.unpacked_ratio = 0, .unpacked_bytes = 0}); }),
              IsEmpty());  // nothing is unpacked
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
