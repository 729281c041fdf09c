// Unpacking the sets known by name, from tiny packages laid out like the real ones (tests/interop/test_data_get.py has
// those).
#include "unnoise/recipes/known_set_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/data/temporary_folder.h"
#include "unnoise/core/json.h"
#include "unnoise/data/dataset.h"
#include "unnoise/io/zip_write.h"

namespace unnoise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Files = std::map<std::string, std::string>;

std::string dot(uint8_t red) {
  Image image = blank_image(2, 2, 4);
  image.pixels = {red, 0, 0, 255, red, 0, 0, 0, red, 0, 0, 255, red, 0, 0, 255};
  return encode_png(image);
}

/// emoji-datasource-google with a cat, a grinning face, a waving person of one other skin tone, and a hand.
Files noto() {
  const auto entry = [](const char* name, const char* image, const char* category, const char* subcategory) {
    return Json{{"name", name},
                {"image", image},
                {"category", category},
                {"subcategory", subcategory},
                {"has_img_google", true}};
  };
  Json person = entry("WAVING PERSON", "p.png", "People & Body", "person");
  person["skin_variations"]["1F3FC"] = {{"image", "p2.png"}, {"has_img_google", true}};
  person["skin_variations"]["1F3FB-1F3FF"] = {{"image", "p3.png"}, {"has_img_google", true}};
  person["skin_variations"]["1F3FF"] = {{"image", "no.png"}, {"has_img_google", false}};
  const Json all = {entry("CAT FACE", "cat.png", "Smileys & Emotion", "cat-face"),
                    entry("GRINNING FACE", "grin.png", "Smileys & Emotion", "face-smiling"), person,
                    entry("RAISED HAND", "hand.png", "People & Body", "hand-fingers-open"),
                    entry("TONE", "tone.png", "Component", "skin-tone")};
  Files files{{"package/emoji.json", all.dump()}};
  for (const char* name : {"cat", "grin", "p", "p2", "p3", "hand", "tone"})
    files[std::string("package/img/google/64/") + name + ".png"] = dot(static_cast<uint8_t>(name[0]));
  return files;
}

/// Unpacks a package of these files as the set `name`; gives file_name, text and label of each picture.
std::vector<std::string> unpacked(const TemporaryFolder& folder, const char* name, const Files& files,
                                  const DataGetOptions& options = {}) {
  std::vector<ZipSource> sources;
  for (const auto& [path, bytes] : files) {
    folder.write("sources/" + path, bytes);
    sources.push_back({path, folder / ("sources/" + path)});
  }
  write_zip(folder / "package.zip", sources);
  fs::create_directories(folder / "out");
  unpack_known_set(*find_known_set(name), {folder / "package.zip"}, folder / "out", options, {}, {});
  std::vector<std::string> rows;
  std::string text = read_file(folder / "out/train/metadata.jsonl");
  for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1)) {
    const Json row = Json::parse(rest.substr(0, rest.find('\n')));
    rows.push_back(row["file_name"].get<std::string>() + "|" + row["text"].get<std::string>() + "|" +
                   row["label"].get<std::string>());
  }
  return rows;
}

TEST(KnownSetFiles, AllEmojiAreLabelledByCategory) {
  const TemporaryFolder folder;
  EXPECT_THAT(unpacked(folder, "emoji", noto()),
              ElementsAre("cat.png|cat face|Smileys & Emotion", "grin.png|grinning face|Smileys & Emotion",
                          "p.png|waving person|People & Body", "hand.png|raised hand|People & Body"));
  const auto image = read_image(folder / "out/train/cat.png");
  EXPECT_EQ(image.pixels, (std::vector<uint8_t>{'c', 0, 0, 255, 255, 255, 'c', 0, 0, 'c', 0, 0}));  // on white
}

TEST(KnownSetFiles, FacesHaveSkinTonesAndAreLabelledFinely) {
  const TemporaryFolder folder;
  // A tiny package without the other subcategories of the set is refused, so these stand in.
  EXPECT_THAT(error_of([&] { unpacked(folder, "emoji-faces", noto()); }), HasSubstr("\"monkey-face\""));
  DataGetOptions options;
  options.categories = {"face-*", "cat-face", "person"};
  EXPECT_THAT(unpacked(folder, "emoji-faces", noto(), options),
              ElementsAre("cat.png|cat face|cat-face", "grin.png|grinning face|face-smiling",
                          "p.png|waving person|person", "p3.png|waving person, light skin tone, dark skin tone|person",
                          "p2.png|waving person, medium-light skin tone|person"));
}

TEST(KnownSetFiles, CategoriesAreNamedEitherWay) {
  for (const char* name : {"smileys-emotion", "Smileys & Emotion"}) {
    const TemporaryFolder folder;
    DataGetOptions options;
    options.categories = {name};
    EXPECT_THAT(unpacked(folder, "emoji", noto(), options),
                ElementsAre("cat.png|cat face|cat-face", "grin.png|grinning face|face-smiling"));
  }
}

TEST(KnownSetFiles, NamesTheCategoriesThatThereAre) {
  const TemporaryFolder folder;
  DataGetOptions options;
  options.categories = {"cat-faces"};
  EXPECT_THAT(error_of([&] { unpacked(folder, "emoji", noto(), options); }),
              AllOf(HasSubstr("--categories"), HasSubstr("\"cat-faces\""), HasSubstr("people-body"),
                    HasSubstr("Did you mean \"cat-face\"?")));
}

TEST(KnownSetFiles, SkinTonesOfAllEmojiOnDemand) {
  const TemporaryFolder folder;
  DataGetOptions options;
  options.skin_tones = true;
  EXPECT_EQ(unpacked(folder, "emoji", noto(), options).size(), 6U);
}

TEST(KnownSetFiles, ShrinksOrKeepsAlpha) {
  const TemporaryFolder small, whole;
  DataGetOptions options;
  options.resolution = 1;
  unpacked(small, "emoji", noto(), options);
  EXPECT_EQ(read_image(small / "out/train/cat.png").width, 1);
  options.resolution.reset();
  options.keep_alpha = true;
  unpacked(whole, "emoji", noto(), options);
  EXPECT_EQ(read_file(whole / "out/train/cat.png"), dot('c'));
}

TEST(KnownSetFiles, SaysWhatIsLaidOutDifferently) {
  const TemporaryFolder folder;
  Files files = noto();
  files["package/emoji.json"] = R"([{"name": "CAT"}])";
  EXPECT_THAT(error_of([&] { unpacked(folder, "emoji", files); }), HasSubstr("its JSON is laid out differently"));
  files["package/emoji.json"] = "[]";
  EXPECT_THAT(error_of([&] { unpacked(folder, "emoji", files); }), HasSubstr("expected emoji.json and pictures"));
  files.erase("package/emoji.json");
  fs::remove_all(folder / "sources");
  EXPECT_THAT(error_of([&] { unpacked(folder, "emoji", files); }), HasSubstr("emoji.json"));
  EXPECT_THAT(error_of([&] { unpacked(folder, "mnist", {{"package/src/digits/0.json", R"({"data": [0.5]})"}}); }),
              HasSubstr("expected 784 numbers a picture"));
  EXPECT_THAT(error_of([&] { unpacked(folder, "digits", {{"sklearn/other", "x"}}); }),
              HasSubstr("expected sklearn/datasets/data/digits.csv.gz"));
}

TEST(KnownSetFiles, TheSetsThatAreKnownArePinned) {
  for (const auto& set : known_sets()) {
    const bool is_pinned = !set.version.empty() ? set.sha256.size() == 64 : !set.file_sha256.empty();
    EXPECT_TRUE(is_pinned) << set.name;
    for (const auto& extra : extra_packages(set)) EXPECT_EQ(extra.sha256.size(), 64U) << extra.package;
  }
}

}  // namespace
}  // namespace unnoise
