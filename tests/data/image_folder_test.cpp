#include <gmock/gmock.h>

#include <cstdlib>

#include "tests/data/temporary_folder.h"
#include "unnoise/data/dataset.h"
#include "unnoise/data/folder_dataset.h"
#include "unnoise/data/imagefolder_rule.h"
#include "unnoise/data/metadata.h"
#include "unnoise/data/picture_header.h"

namespace unnoise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::vector<std::string> names_of(const Dataset& data) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < data.size(); ++i) names.push_back(data.name(i));
  return names;
}

std::vector<int64_t> labels_of(const Dataset& data) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < data.size(); ++i) labels.push_back(data.label(i).value_or(-1));
  return labels;
}

std::shared_ptr<const Dataset> open(const TemporaryFolder& folder, Listener& listener, bool strict = false,
                                    const std::string& split = "train") {
  return open_folder(folder.path(), split, strict, listener.observer());
}

TEST(ImageFolder, FindsPicturesOfAnyDepthSortedByPath) {
  TemporaryFolder folder;
  folder.picture("b.png", 1);
  folder.picture("a/deep/er/c.png", 2);
  folder.picture("a-b/d.PNG", 3);  // '-' sorts before '/'
  folder.picture("B.png", 4);
  Listener heard;
  const auto data = open(folder, heard);
  EXPECT_THAT(names_of(*data), ElementsAre("B.png", "a-b/d.PNG", "a/deep/er/c.png", "b.png"));
  EXPECT_THAT(heard.warnings, IsEmpty());
  EXPECT_GT(heard.progress_calls, 0);
  EXPECT_EQ(data->label(0), std::nullopt);
  EXPECT_EQ(data->read(3), read_image(folder / "b.png"));
}

TEST(ImageFolder, IgnoresHiddenFilesAndNamesTheOthersItSkips) {
  TemporaryFolder folder;
  for (int i = 0; i < 20; ++i) folder.picture("some/where/" + std::to_string(i) + ".png", i);
  folder.picture(".hidden.png");
  folder.picture(".cache/x.png");
  folder.picture("__MACOSX/x.png");
  folder.write("notes.txt", "text");
  folder.write("README.md", "a card is expected here");
  folder.write("broken.jpg", "not a picture");
  folder.write("old.ppm", "P6");
  Listener heard;
  EXPECT_EQ(open(folder, heard)->size(), 20);
  ASSERT_THAT(heard.warnings, SizeIs(2));
  EXPECT_THAT(heard.warnings[0], AllOf(HasSubstr("1 file skipped"), HasSubstr("notes.txt"), Not(HasSubstr("README"))));
  EXPECT_THAT(heard.warnings[1], AllOf(HasSubstr("2 files skipped"),
                                       HasSubstr("\"broken.jpg\" is not a PNG, JPEG, WebP, BMP, GIF or TIFF picture"),
                                       HasSubstr("\"old.ppm\" has a format that cannot be read")));
}

TEST(ImageFolder, StopsAtWhatItWouldSkipWhenStrict) {
  TemporaryFolder folder;
  folder.picture("a.png");
  folder.write("b.png", "");
  Listener heard;
  EXPECT_THAT(error_of([&] { open(folder, heard, true); }),
              AllOf(HasSubstr("\"b.png\" is empty"), HasSubstr("strict")));
  fs::remove(folder / "b.png");
  folder.write("b.txt", "");
  EXPECT_THAT(error_of([&] { open(folder, heard, true); }), HasSubstr("\"b.txt\" is no picture"));
}

TEST(ImageFolder, SaysWhatItLookedForWhenThereIsNothing) {
  TemporaryFolder folder;
  Listener heard;
  EXPECT_THAT(
      error_of([&] { open(folder, heard); }),
      AllOf(HasSubstr(folder.path().string()), HasSubstr(".png, .jpg, .jpeg, .webp"), HasSubstr("found nothing")));
  folder.write("deep/a.txt", "");
  EXPECT_THAT(error_of([&] { open(folder, heard); }), HasSubstr("1 other files, e.g. \"deep/a.txt\""));
}

TEST(ImageFolder, SaysThatAllPicturesAreBroken) {
  TemporaryFolder folder;
  folder.write("a.png", "");
  folder.write("b.jpg", "\xFF\xD8\xFF");
  Listener heard;
  EXPECT_THAT(error_of([&] { open(folder, heard); }),
              AllOf(HasSubstr("none of its 2 pictures can be read"), HasSubstr("\"a.png\" is empty"),
                    HasSubstr("\"b.jpg\" ends within its header")));
}

TEST(ImageFolder, MakesClassesOfFoldersAtOneDepth) {
  TemporaryFolder folder;
  folder.picture("dog/1.png");
  folder.picture("cat/1.png");
  folder.picture("Ant/1.png");
  Listener heard;
  const auto data = open(folder, heard);
  EXPECT_THAT(data->label_names(), ElementsAre("Ant", "cat", "dog"));
  EXPECT_THAT(labels_of(*data), ElementsAre(0, 1, 2));
}

TEST(ImageFolder, MakesNoClassesOfOneFolderOrOfSeveralDepths) {
  TemporaryFolder folder;
  folder.picture("cat/1.png");
  folder.picture("cat/2.png");
  Listener heard;
  EXPECT_THAT(open(folder, heard)->label_names(), IsEmpty());
  folder.picture("dog/3.png");
  EXPECT_THAT(open(folder, heard)->label_names(), ElementsAre("cat", "dog"));
  folder.picture("dog/puppy/4.png");  // another depth: no classes any more
  const auto data = open(folder, heard);
  EXPECT_THAT(data->label_names(), IsEmpty());
  EXPECT_EQ(data->label(0), std::nullopt);
}

TEST(ImageFolder, CountsBrokenPicturesWhenItNamesClasses) {
  TemporaryFolder folder;
  folder.picture("a/1.png");
  folder.write("b/1.png", "broken");
  folder.picture("c/1.png");
  Listener heard;
  const auto data = open(folder, heard);
  EXPECT_THAT(data->label_names(), ElementsAre("a", "b", "c"));  // repairing the file must not renumber c
  EXPECT_THAT(labels_of(*data), ElementsAre(0, 2));
}

TEST(ImageFolder, TakesTheTrainSplitUnlessAskedOtherwise) {
  TemporaryFolder folder;
  for (const auto* path : {"train/cat/1.png", "train/dog/2.png", "test/cat/3.png", "val_1/dog/4.png", "loose.png"})
    folder.picture(path);
  Listener heard;
  const auto train = open(folder, heard);
  EXPECT_THAT(names_of(*train), ElementsAre("train/cat/1.png", "train/dog/2.png"));
  EXPECT_THAT(train->label_names(), ElementsAre("cat", "dog"));
  EXPECT_THAT(heard.infos, ElementsAre(HasSubstr("2 of 5 pictures")));
  EXPECT_THAT(names_of(*open(folder, heard, false, "test")), ElementsAre("test/cat/3.png"));
  EXPECT_THAT(names_of(*open(folder, heard, false, "validation")), ElementsAre("val_1/dog/4.png"));
}

TEST(ImageFolder, NamesTheSplitsThereAreWhenTheWantedOneIsMissing) {
  TemporaryFolder folder;
  folder.picture("test/1.png");
  Listener heard;
  EXPECT_THAT(error_of([&] { open(folder, heard); }), HasSubstr("has no split \"train\", only: test"));
  EXPECT_THAT(error_of([&] { split_name("trian"); }), HasSubstr("expected train, validation or test"));
  EXPECT_EQ(split_name("dev"), "validation");
}

TEST(ImageFolder, ReadsSplitsFromFileNamesOnlyIfTheWantedOneIsThere) {
  const std::vector<std::string> marked = {"a_train_1.png", "b.png", "test-2.png"};
  EXPECT_EQ(split_files(marked, "train").rule, SplitRule::file_names);
  EXPECT_THAT(*split_files(marked, "train").find("train"), ElementsAre("a_train_1.png"));
  EXPECT_THAT(*split_files({"b.png", "test.png"}, "train").find("train"), ElementsAre("b.png", "test.png"));
  EXPECT_THAT(*split_files({"trainer.png", "retrain.png"}, "train").find("train"), SizeIs(2));  // whole words only
}

TEST(ImageFolder, OrdersASplitByThePatternThatCaughtIt) {
  const auto splits = split_files({"my train/b.png", "train/z.png", "training/a.png"}, "train");
  EXPECT_THAT(*splits.find("train"), ElementsAre("train/z.png", "my train/b.png", "training/a.png"));
}

TEST(ImageFolder, TakesRowsAndLabelsFromMetadata) {
  TemporaryFolder folder;
  folder.picture("x/b.png");
  folder.picture("x/a.png");
  folder.picture("x/unnamed.png");
  folder.write("x/metadata.csv",
               "file_name,text,label\r\nb.png,\"a \"\"red\"\" fox,\n running\",fox\r\n./a.png,an ant,ant\r\n");
  Listener heard;
  const auto data = open(folder, heard);
  EXPECT_THAT(names_of(*data), ElementsAre("x/b.png", "x/a.png"));
  EXPECT_EQ(data->text(0), "a \"red\" fox,\n running");
  EXPECT_THAT(data->label_names(), ElementsAre("ant", "fox"));
  EXPECT_THAT(labels_of(*data), ElementsAre(1, 0));
  EXPECT_THAT(heard.warnings, ElementsAre(HasSubstr("\"x/unnamed.png\" has no row in the metadata")));
}

TEST(ImageFolder, KeepsNumbersOfMetadataLines) {
  TemporaryFolder folder;
  folder.picture("a.png");
  folder.picture("b.png");
  folder.write(
      "metadata.jsonl",
      "{\"file_name\": \"b.png\", \"label\": 7, \"size\": [1, 2]}\n\n{\"file_name\": \"a.png\", \"label\": 2}");
  Listener heard;
  const auto data = open(folder, heard);
  EXPECT_THAT(labels_of(*data), ElementsAre(7, 2));
  EXPECT_THAT(data->label_names(), IsEmpty());
  EXPECT_EQ(data->columns(0)["size"], Json::parse("[1,2]"));
  EXPECT_EQ(data->text(0), std::nullopt);
}

TEST(ImageFolder, NamesTheFileThatMetadataMisses) {
  TemporaryFolder folder;
  folder.picture("a.png");
  folder.write("metadata.csv", "file_name\na.png\ngone.png\n");
  Listener heard;
  EXPECT_EQ(open(folder, heard)->size(), 1);
  EXPECT_THAT(heard.warnings, ElementsAre(HasSubstr("\"gone.png\" does not exist")));
  EXPECT_THAT(error_of([&] { open(folder, heard, true); }), HasSubstr("\"gone.png\" does not exist"));
}

TEST(ImageFolder, RefusesBadMetadataWithFileAndLine) {
  TemporaryFolder folder;
  folder.picture("a.png");
  Listener heard;
  const auto with = [&](std::string_view name, std::string_view text) {
    folder.write(name, text);
    const auto error = error_of([&] { open(folder, heard); });
    fs::remove(folder / name);
    return error;
  };
  EXPECT_THAT(with("metadata.csv", "image,text\na.png,x\n"),
              HasSubstr("expected a column file_name, found the columns image, text"));
  EXPECT_THAT(with("metadata.csv", "file_name,text\na.png,x,y\n"), HasSubstr("line 2: expected 2 fields, found 3"));
  EXPECT_THAT(with("metadata.csv", "file_name,text\na.png,\"x\n"), HasSubstr("line 2: a quoted value is not closed"));
  EXPECT_THAT(with("metadata.csv", "file_name\n\"a\"b\n"), HasSubstr("line 2: text after a closing quote"));
  EXPECT_THAT(with("metadata.csv", "file_name,text\n,x\n"), HasSubstr("line 2: no file_name"));
  EXPECT_THAT(with("metadata.csv", "file_name,text\na.png,\xE9t\xE9\n"), HasSubstr("not UTF-8"));
  EXPECT_THAT(with("metadata.csv", ""), HasSubstr("is empty"));
  EXPECT_THAT(with("metadata.jsonl", "{\"file_name\": \"a.png\"}\n[1]\n"), HasSubstr("line 2: expected an object"));
  EXPECT_THAT(with("metadata.jsonl", "{\"file_name\": \n"), HasSubstr("line 1"));
  EXPECT_THAT(with("metadata.jsonl", "{\"file_name\": \"a.png\", \"label\": -1}"),
              HasSubstr("expected a whole number from 0"));
  EXPECT_THAT(with("metadata.parquet", "PAR1"), HasSubstr("cannot be read as Parquet"));
}

TEST(ImageFolder, ReadsTheSameWhateverTheLocaleOfTheDirectory) {
  TemporaryFolder folder;
  for (const auto* name : {"z.png", "a.png", "\xC3\xA4.png", "10.png", "9.png"}) folder.picture(name);
  EXPECT_THAT(list_visible_files(folder.path()), ElementsAre("10.png", "9.png", "a.png", "z.png", "\xC3\xA4.png"));
}

TEST(Csv, ReadsQuotesLineEndsAndEmptyFields) {
  const auto rows = parse_csv(
      "\xEF\xBB\xBF"
      "a,b,c\n1,,\"\"\n\n\"x\r\ny\",\"\"\"\",z",
      "here");
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_THAT(rows[0].fields, ElementsAre("a", "b", "c"));
  EXPECT_THAT(rows[1].fields, ElementsAre("1", "", ""));
  EXPECT_THAT(rows[2].fields, ElementsAre("x\r\ny", "\"", "z"));
  EXPECT_EQ(rows[2].line, 4);
}

TEST(PictureHeader, TellsTheSizeOrWhatIsWrong) {
  EXPECT_EQ(probe_picture(encode_png(blank_image(70, 3, 1))).size, (PictureSize{70, 3}));
  const std::string_view jpeg("\xFF\xD8\xFF\xE0\x00\x04\x00\x00\xFF\xC2\x00\x0B\x08\x01\x02\x03\x04", 17);
  EXPECT_EQ(probe_picture(jpeg).size, (PictureSize{0x304, 0x102}));
  const std::string_view webp("RIFF\x1A\x00\x00\x00WEBPVP8L\x0D\x00\x00\x00\x2F\x09\x40\x01\x00", 25);
  EXPECT_EQ(probe_picture(webp).size, (PictureSize{10, 6}));
  EXPECT_EQ(probe_picture("").problem, "is empty");
  EXPECT_EQ(probe_picture("GIF89a").problem, "ends within its header");
  EXPECT_EQ(probe_picture("%PDF-1.7").problem, "is not a PNG, JPEG, WebP, BMP, GIF or TIFF picture");
  EXPECT_EQ(probe_picture(jpeg.substr(0, 12)).problem, "ends within its header");
  std::string bomb = encode_png(blank_image(1, 1, 1));
  bomb.replace(16, 8, std::string("\x7F\xFF\xFF\xFF\x7F\xFF\xFF\xFF", 8));
  EXPECT_EQ(probe_picture(bomb).problem, "has too many pixels");
}

TEST(PictureHeader, FindsAJpegSizeBehindALongComment) {
  TemporaryFolder folder;
  std::string jpeg("\xFF\xD8", 2);
  for (int i = 0; i < 3; ++i) jpeg += std::string("\xFF\xFE\xFF\xFF", 4) + std::string(0xFFFD, 'x');
  jpeg += std::string("\xFF\xC0\x00\x0B\x08\x00\x10\x00\x20", 9);
  folder.write("a.jpg", jpeg);
  EXPECT_EQ(probe_picture_file(folder / "a.jpg").size, (PictureSize{32, 16}));
}

TEST(PictureHeader, SurvivesEveryCutAndFlippedByte) {
  const std::string whole = encode_png(blank_image(9, 9, 3));
  for (size_t n = 0; n <= whole.size(); ++n) probe_picture(whole.substr(0, n));
  std::string jpeg("\xFF\xD8\xFF\xE1\x00\x10", 6);
  jpeg += std::string(40, '\xFF');
  std::srand(1);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = jpeg;
    for (int k = 0; k < 4; ++k) bytes[3 + std::rand() % (bytes.size() - 3)] = static_cast<char>(std::rand());
    probe_picture(bytes);
  }
}

}  // namespace
}  // namespace unnoise
