#include "unnoise/data/idx.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include "tests/data/temporary_folder.h"

namespace unnoise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string header(std::initializer_list<uint32_t> sizes) {
  std::string bytes{0, 0, 8, static_cast<char>(sizes.size())};
  for (const uint32_t size : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift);
  return bytes;
}

std::string images(uint32_t n, uint32_t height = 2, uint32_t width = 3) {
  std::string bytes = header({n, height, width});
  for (uint32_t i = 0; i < n * height * width; ++i) bytes += static_cast<char>(i);
  return bytes;
}

std::string labels(std::string_view values) {
  return header({static_cast<uint32_t>(values.size())}) + std::string(values);
}

void write_gz(const fs::path& path, std::string_view bytes) {
  const gzFile file = ::gzopen(path.c_str(), "wb");
  ::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  ::gzclose(file);
}

TEST(Idx, ReadsPlainAndGzippedAlike) {
  TemporaryFolder folder;
  folder.write("plain", images(4));
  write_gz(folder / "zipped", images(4));
  const auto plain = read_idx(folder / "plain"), zipped = read_idx(folder / "zipped");
  EXPECT_THAT(plain.sizes, ElementsAre(4, 2, 3));
  EXPECT_EQ(plain.values, zipped.values);
  EXPECT_EQ(plain.values[7], 7);
}

TEST(Idx, PairsImagesAndLabelsByTheirNames) {
  TemporaryFolder folder;
  folder.write("train-images-idx3-ubyte", images(3));
  write_gz(folder / "train-labels-idx1-ubyte.gz", labels(std::string_view("\2\0\1", 3)));
  folder.write("t10k-images.idx3-ubyte", images(2));
  DatasetOptions options;
  options.path_or_name = folder.path().string();
  const auto train = open_dataset(options);
  EXPECT_EQ(train->size(), 3);
  EXPECT_EQ(train->label(0), 2);
  EXPECT_THAT(train->label_names(), ElementsAre("0", "1", "2"));
  const auto second = train->read(1);
  EXPECT_EQ(second.mode, "L");
  EXPECT_EQ(second.width, 3);
  EXPECT_THAT(second.pixels, ElementsAre(6, 7, 8, 9, 10, 11));
  EXPECT_EQ(train->name(1), "train-images-idx3-ubyte[1]");

  options.split = "test";
  const auto test = open_dataset(options);
  EXPECT_EQ(test->size(), 2);
  EXPECT_EQ(test->label(0), std::nullopt);
  options.split = "validation";
  EXPECT_THAT(error_of([&] { open_dataset(options); }), HasSubstr("no images file of the split \"validation\""));
  options.path_or_name = (folder / "train-images-idx3-ubyte").string();
  EXPECT_EQ(open_dataset(options)->label(1), 0);
}

TEST(Idx, RefusesWhatIsNoIdxFile) {
  TemporaryFolder folder;
  const auto reading = [&](const std::string& bytes) {
    folder.write("x", bytes);
    return error_of([&] { read_idx(folder / "x"); });
  };
  EXPECT_THAT(reading(""), HasSubstr("found 0 bytes"));
  EXPECT_THAT(reading("PK\3\4----------------"), AllOf(HasSubstr("no IDX file"), HasSubstr("found 50 4b 03 04")));
  EXPECT_THAT(reading(std::string("\0\0\x0D\3", 4) + std::string(40, 0)), HasSubstr("found 00 00 0d 03"));  // floats
  EXPECT_THAT(reading(header({2, 2, 2}).substr(0, 9)), HasSubstr("within the sizes"));
}

TEST(Idx, RefusesATruncatedOrOverlongFile) {
  TemporaryFolder folder;
  folder.write("short", images(4).substr(0, 30));
  EXPECT_THAT(error_of([&] { read_idx(folder / "short"); }), HasSubstr("more than its 30 bytes can hold"));
  folder.write("long", images(4) + "x");
  EXPECT_THAT(error_of([&] { read_idx(folder / "long"); }), HasSubstr("goes on after its 24 values"));

  write_gz(folder / "whole.gz", images(200, 10, 10));
  const std::string whole = read_file(folder / "whole.gz");
  folder.write("cut.gz", std::string_view(whole).substr(0, whole.size() / 2));
  EXPECT_THAT(error_of([&] { read_idx(folder / "cut.gz"); }),
              AllOf(HasSubstr("cut short"), HasSubstr("expected 20000 values")));
  std::string damaged = whole;
  damaged[whole.size() / 2] = static_cast<char>(~damaged[whole.size() / 2]);
  folder.write("damaged.gz", damaged);
  EXPECT_NE(error_of([&] { read_idx(folder / "damaged.gz"); }), "");
}

TEST(Idx, ChecksSizesBeforeItAllocates) {
  TemporaryFolder folder;
  folder.write("huge", header({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}) + "x");
  EXPECT_THAT(error_of([&] { read_idx(folder / "huge"); }), HasSubstr("can hold"));
  write_gz(folder / "huge.gz", header({0x7FFFFFFF, 28, 28}));
  EXPECT_THAT(error_of([&] { read_idx(folder / "huge.gz"); }), HasSubstr("can hold"));
}

TEST(Idx, RefusesLabelsThatDoNotFit) {
  TemporaryFolder folder;
  folder.write("images", images(3));
  folder.write("two", labels("\1\1"));
  folder.write("high", labels("\1\1\7"));
  EXPECT_THAT(error_of([&] { open_idx_files(folder / "images", folder / "two"); }),
              HasSubstr("has 2 labels for 3 pictures"));
  EXPECT_THAT(error_of([&] {
                open_idx_files(folder / "images", folder / "high", {"a", "b"});
              }),
              HasSubstr("label 7 where there are 2 classes"));
  EXPECT_THAT(error_of([&] { open_idx_files(folder / "two", std::nullopt); }),
              HasSubstr("expected pictures (3 dimensions)"));
  folder.write("none", header({0, 28, 28}));
  EXPECT_THAT(error_of([&] { open_idx_files(folder / "none", std::nullopt); }), HasSubstr("holds no pictures"));
}

}  // namespace
}  // namespace unnoise
