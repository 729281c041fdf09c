#include <gmock/gmock.h>

#include <limits>

#include "unnoise/core/error.h"
#include "unnoise/hub/http.h"
#include "unnoise/hub/repository.h"

namespace unnoise {
namespace {

TEST(HubName, TakesWhatTheHubAllows) {
  for (const std::string name : {"a/b", "ada/my-model_2.0", "A/B", "user/x.y-z"}) {
    const auto found = hub_name(name);
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(found->repository.name, name);
    EXPECT_EQ(found->revision, "main");
  }
  const auto branch = hub_name("ada/m@refs/pr/1");
  ASSERT_TRUE(branch);
  EXPECT_EQ(branch->repository.name, "ada/m");
  EXPECT_EQ(branch->revision, "refs/pr/1");
}

TEST(HubName, ModelsAndDataSetsHaveAddressesOfTheirOwn) {
  const HubRepository model = hub_name("ada/m")->repository;
  EXPECT_EQ(model.api_path(), "/api/models/ada/m");
  EXPECT_EQ(model.page_path(), "/ada/m");
  const HubRepository dataset = hub_name("ada/m@v1", RepoType::dataset)->repository;
  EXPECT_EQ(dataset.api_path(), "/api/datasets/ada/m");
  EXPECT_EQ(dataset.page_path(), "/datasets/ada/m");
}

TEST(HubName, LeavesPathsAndTricksAlone) {
  for (const std::string name :
       {"",      "model",   "/a/b", "a/b/c",  "./b",  "../b", "a/..",   "a//b",    "a/b@",   "a/b@../x", "a/b@x//y",
        "a/b c", "a/b?x=1", "a/b#", "a/b%2F", "-a/b", "a/b.", "a--b/c", "a/b.git", "a\\b/c", "a/\n"})
    EXPECT_FALSE(hub_name(name)) << name;
}

TEST(HubName, ErrorsNameTheFlag) {
  try {
    check_repository("--repo", "a b");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.message(), testing::StartsWith("--repo: \"a b\""));
  }
  EXPECT_NO_THROW(check_repository("--repo", "mine", true));
  EXPECT_THROW(check_repository("--repo", "mine"), Error);
}

TEST(HubPath, StaysBelowItsFolder) {
  for (const std::string path : {"a", "unet/config.json", "a/b/c.d", ".gitattributes", "a/..b", "ä/ö"})
    EXPECT_TRUE(is_path_below(path)) << path;
  for (const std::string path :
       {"", "/etc/passwd", "..", "../a", "a/../b", "a/..", "./a", "a/./b", "a//b", "a/", "a\\..\\b", "a\nb"})
    EXPECT_FALSE(is_path_below(path)) << path;
  EXPECT_FALSE(is_path_below(std::string("a\0b", 3)));
}

TEST(Url, OriginDecidesWhoGetsTheToken) {
  EXPECT_EQ(url_origin("https://Hub.co/a/b?c"), "https://hub.co");
  EXPECT_EQ(url_origin("https://hub.co:443/a"), "https://hub.co");
  EXPECT_EQ(url_origin("http://hub.co:80"), "http://hub.co");
  EXPECT_EQ(url_origin("http://hub.co:8080#x"), "http://hub.co:8080");
  EXPECT_EQ(url_origin("file:///etc/passwd"), "");
  EXPECT_EQ(url_origin("hub.co/a"), "");
  // Not the hub, though its name stands there.
  for (const std::string other : {"https://hub.co.evil.org/a", "https://hub.co@evil.org/", "https://evil.org/hub.co",
                                  "http://hub.co/", "https://hub.co:444/"})
    EXPECT_NE(url_origin(other), "https://hub.co") << other;
}

TEST(Url, LocationsAreSeenFromTheRequest) {
  EXPECT_EQ(resolved_url("https://hub.co/a/b?c", "/d"), "https://hub.co/d");
  EXPECT_EQ(resolved_url("https://hub.co/a/b", "d"), "https://hub.co/a/d");
  EXPECT_EQ(resolved_url("https://hub.co/a", "//cdn.co/d"), "https://cdn.co/d");
  EXPECT_EQ(resolved_url("https://hub.co/a", "https://cdn.co/d"), "https://cdn.co/d");
  EXPECT_EQ(resolved_url("https://hub.co/a", "file:///etc/passwd"), "");
}

TEST(Url, QuotesAllThatHasAMeaning) {
  EXPECT_EQ(url_quoted("a b/c?d#e%f&é", "/"), "a%20b/c%3Fd%23e%25f%26%C3%A9");
  EXPECT_EQ(url_quoted("refs/pr/1"), "refs%2Fpr%2F1");
}

}  // namespace
}  // namespace unnoise
