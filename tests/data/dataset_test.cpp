#include "unnoise/data/dataset.h"

#include <gmock/gmock.h>

#include "tests/data/temporary_folder.h"

namespace unnoise {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string opening(const std::string& name) {
  return error_of([&] { open_dataset({.path_or_name = name}); });
}

TEST(OpenDataset, OpensFashionMnistByNameOrSaysHowToInstallIt) {
  DatasetOptions options;
  options.path_or_name = "fashion-mnist";
  TemporaryFolder empty;
  options.installed_sets = {empty.path()};
  EXPECT_THAT(error_of([&] { open_dataset(options); }),
              AllOf(HasSubstr("unnoise data get fashion-mnist"), HasSubstr((empty / "fashion-mnist").string())));

  options.installed_sets = DatasetOptions().installed_sets;
  if (!fs::exists("/usr/share/datasets/fashion-mnist")) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  options.split = "test";
  const auto data = open_dataset(options);
  EXPECT_EQ(data->size(), 10000);
  EXPECT_EQ(data->label_names().at(9), "Ankle boot");
  EXPECT_EQ(data->label(0), 9);
  EXPECT_EQ(data->read(0).width, 28);
  options.split = "validation";
  EXPECT_THAT(error_of([&] { open_dataset(options); }), HasSubstr("no images file of the split \"validation\""));
}

TEST(OpenDataset, SuggestsTheNearestName) {
  EXPECT_THAT(opening("fashon-mnist"), HasSubstr("Did you mean \"fashion-mnist\"?"));
  TemporaryFolder folder;
  folder.picture("butterflies/a.png");
  EXPECT_THAT(
      opening((folder / "buterflies").string()),
      AllOf(HasSubstr("no such folder or file"), HasSubstr("Did you mean \"" + (folder / "butterflies").string())));
}

TEST(OpenDataset, SaysHowToFetchFromTheHub) {
  try {
    open_dataset({.path_or_name = "huggan/smithsonian_butterflies_subset"});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.what(),
                AllOf(HasSubstr("there is no such folder"), HasSubstr("unnoise pull --repo-type dataset huggan/")));
  }
}

TEST(OpenDataset, RefusesOtherFilesAndNoName) {
  TemporaryFolder folder;
  folder.picture("a.png");
  folder.write("set.zip", "PK\3\4");
  folder.write("notes.txt", "hello");
  EXPECT_THAT(opening((folder / "a.png").string()), HasSubstr("Give the folder that the picture lies in"));
  EXPECT_THAT(opening((folder / "set.zip").string()), HasSubstr("damaged zip container"));
  EXPECT_THAT(opening((folder / "notes.txt").string()), HasSubstr("expected a folder of pictures, an archive"));
  EXPECT_THAT(opening(""), HasSubstr("no data given"));
  EXPECT_THAT(error_of([&] { open_dataset({.path_or_name = folder.path().string(), .split = "x"}); }),
              HasSubstr("split \"x\""));
}

}  // namespace
}  // namespace unnoise
