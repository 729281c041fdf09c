#include <gmock/gmock.h>

#include "tests/io/format_bytes.h"
#include "unnoise/core/base64.h"
#include "unnoise/core/secret.h"
#include "unnoise/hub/cache.h"
#include "unnoise/hub/digest.h"

namespace unnoise {
namespace {

using test::TemporaryFolder;

TEST(Digest, KnowsThePublishedValues) {
  const TemporaryFolder dir;
  write_file_atomic(dir / "abc", "abc");
  write_file_atomic(dir / "empty", "");
  // FIPS 180-4's example, and of nothing.
  EXPECT_EQ(sha256_of_file(dir / "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_of_file(dir / "empty"), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  // What `git hash-object` says.
  EXPECT_EQ(git_blob_of_file(dir / "abc"), "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f");
  EXPECT_EQ(git_blob_of_file(dir / "empty"), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST(Digest, PiecesMakeNoDifference) {
  Digest whole = Digest::sha256(), pieces = Digest::sha256();
  const std::string bytes(100'000, 'x');
  whole.add(bytes);
  for (size_t at = 0; at < bytes.size(); at += 777) pieces.add(std::string_view(bytes).substr(at, 777));
  EXPECT_EQ(whole.hex(), pieces.hex());
}

TEST(Base64, KnowsTheVectorsOfRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64(std::string("\0\xff", 2)), "AP8=");
}

TEST(Secret, IsOneWordThatNoHeaderCanBeMadeOf) {
  EXPECT_EQ(Secret::from_text("  hf_abc\n", "x").reveal(), "hf_abc");
  EXPECT_TRUE(Secret::from_text(" \n", "x").empty());
  for (const std::string bad : {"hf_a b", "hf_a\nX-Evil: 1", "hf_\x01", "hf_é"}) {
    const Error e = test::error_of([&] { Secret::from_text(bad, "HF_TOKEN"); });
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.what(), testing::Not(testing::HasSubstr(bad)));
  }
}

TEST(Secret, IsHiddenInWhatAServerSays) {
  const Secret secret = Secret::from_text("hf_abc", "x");
  EXPECT_EQ(secret.hidden_in("no hf_abc, hf_abc!"), "no ***, ***!");
  EXPECT_EQ(Secret().hidden_in("hf_abc"), "hf_abc");
}

TEST(Secret, FromAFileIsItsFirstLine) {
  const TemporaryFolder dir;
  write_file_atomic(dir / "token", "hf_abc\nnot this\n");
  EXPECT_EQ(Secret::from_file(dir / "token").reveal(), "hf_abc");
  write_file_atomic(dir / "token", "\nhf_abc\n");
  EXPECT_EQ(test::error_of([&] { Secret::from_file(dir / "token"); }).kind(), ErrorKind::data);
  EXPECT_EQ(test::error_of([&] { Secret::from_file(dir / "none"); }).kind(), ErrorKind::data);
}

const HubFile kSmall{"unet/config.json", 3, "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f", ""};
const std::string kCommit(40, 'c');

TEST(HubCache, LinksContentsUnderTheirNames) {
  const TemporaryFolder dir;
  const HubCache cache(dir.path(), {"ada/m"});
  EXPECT_FALSE(cache.holds(kCommit, kSmall));
  make_folders(cache.blob(kSmall).parent_path());
  write_file_atomic(cache.blob(kSmall), "abc");
  cache.link(kCommit, kSmall);
  EXPECT_TRUE(cache.holds(kCommit, kSmall));
  const fs::path name = dir / "models--ada--m/snapshots" / kCommit / "unet/config.json";
  EXPECT_EQ(read_file(name), "abc");
  EXPECT_EQ(fs::read_symlink(name), fs::path("../../../blobs") / kSmall.blob_id);
  write_file_atomic(cache.blob(kSmall), "abcd");  // not the size that the list says
  EXPECT_FALSE(cache.holds(kCommit, kSmall));
}

TEST(HubCache, RemembersCommitsAndLists) {
  const TemporaryFolder dir;
  const HubCache cache(dir.path(), {"ada/m"});
  EXPECT_FALSE(cache.known_commit("main"));
  EXPECT_EQ(cache.known_commit(kCommit), kCommit);
  cache.remember_commit("refs/pr/1", kCommit);
  EXPECT_EQ(cache.known_commit("refs/pr/1"), kCommit);
  EXPECT_EQ(read_file(dir / "models--ada--m/refs/refs/pr/1"), kCommit);

  const HubFile large{"w.safetensors", 5, std::string(40, 'a'), std::string(64, 'b')};
  EXPECT_FALSE(cache.known_files(kCommit));
  cache.remember_files(kCommit, {kSmall, large});
  const auto files = cache.known_files(kCommit);
  ASSERT_TRUE(files);
  ASSERT_EQ(files->size(), 2u);
  EXPECT_EQ(files->at(0).etag(), kSmall.blob_id);
  EXPECT_EQ(files->at(1).etag(), large.sha256);
  EXPECT_EQ(files->at(1).size, 5u);
}

TEST(HubCache, IgnoresListsThatItCannotTrust) {
  const TemporaryFolder dir;
  const HubCache cache(dir.path(), {"ada/m"});
  make_folders(dir / "models--ada--m/trees");
  for (const std::string text : {"", "{", "[]", R"({"format_version": 2, "files": {}})", R"({"format_version": 1})",
                                 R"({"format_version": 1, "files": {"a": {"size": -1, "blob_id": 3}}})",
                                 R"({"format_version": 1, "files": {"../a": {"size": 1, "blob_id": "b"}}})",
                                 R"({"format_version": 1, "files": {"a": {"size": 1, "blob_id": "../b"}}})"}) {
    write_file_atomic(dir / "models--ada--m/trees" / (kCommit + ".json"), text);
    EXPECT_FALSE(cache.known_files(kCommit)) << text;
  }
  make_folders(dir / "models--ada--m/refs");
  write_file_atomic(dir / "models--ada--m/refs/main", "../../../etc");
  EXPECT_FALSE(cache.known_commit("main"));
}

TEST(HubCache, KnowsWhoseSnapshotItIs) {
  for (const std::string end : {"", "/"})
    for (const RepoType type : {RepoType::model, RepoType::dataset}) {
      const HubCache cache("/x", {"ada/my-own", type});
      const auto found = name_of_snapshot(cache.snapshot(kCommit).string() + end);
      ASSERT_TRUE(found);
      EXPECT_EQ(found->repository.name, "ada/my-own");
      EXPECT_EQ(found->repository.type, type);
      EXPECT_EQ(found->revision, kCommit);
    }
  EXPECT_EQ(HubCache("/x", {"ada/s", RepoType::dataset}).folder(), "/x/datasets--ada--s");
  for (const std::string& path :
       std::vector<std::string>{"", "runs/mine", "/x/models--ada/snapshots/" + kCommit, "/x/snapshots/y"})
    EXPECT_FALSE(name_of_snapshot(path)) << path;
}

}  // namespace
}  // namespace unnoise
