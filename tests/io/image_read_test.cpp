#include "unnoise/io/image_read.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "unnoise/core/error.h"
#include "unnoise/io/image_decode.h"
#include "unnoise/io/image_write.h"

namespace unnoise {
namespace {

using ::testing::HasSubstr;

const fs::path kData = UNNOISE_TEST_DATA;

std::string error_of(std::string_view bytes) {
  try {
    decode_image(bytes, "the-file");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    return error.message();
  }
  return "no error";
}

/// An EXIF block with one directory of one entry.
std::string exif(bool little, std::string_view tag, std::string_view value) {
  const std::string head = little ? std::string("II*\0\x08\0\0\0\x01\0", 10) : std::string("MM\0*\0\0\0\x08\0\x01", 10);
  const std::string type = little ? std::string("\x03\0\x01\0\0\0", 6) : std::string("\0\x03\0\0\0\x01", 6);
  return head + std::string(tag) + type + std::string(value) + std::string(6, '\0');
}

TEST(ImageRead, OpensEveryFormatOfRealPictures) {
  const auto cat = read_image(kData / "cat.jpg");
  EXPECT_EQ(cat.mode, "RGB");
  EXPECT_EQ(cat.width, 451);
  EXPECT_EQ(cat.height, 300);
  EXPECT_EQ(read_image(kData / "brick.jpg").mode, "L");
  EXPECT_EQ(read_image(kData / "gravel.png").mode, "L");
  EXPECT_EQ(read_image(kData / "rocket.webp").mode, "RGB");
}

TEST(ImageRead, GoesByTheBytesAndNotByTheName) {
  const auto picture = decode_image(read_file(kData / "cat.jpg"), "cat.png");
  EXPECT_EQ(picture.width, 451);
}

TEST(ImageRead, NamesTheFileOfUnknownBytes) {
  EXPECT_THAT(error_of("%PDF-1.7"), HasSubstr("the-file: not a PNG, JPEG, WebP, BMP, GIF or TIFF picture"));
  EXPECT_THAT(error_of(""), HasSubstr("the-file"));
}

TEST(ImageRead, RefusesEveryCutOfAPng) {
  Image picture = blank_image(5, 4, 3);
  picture.pixels[7] = 200;
  const std::string png = encode_png(picture);
  const size_t end_chunk = 12;
  for (size_t size = 0; size + end_chunk < png.size(); ++size)
    EXPECT_THAT(error_of(std::string_view(png).substr(0, size)), HasSubstr("the-file")) << size;
}

TEST(ImageRead, RefusesCutJpegAndWebp) {
  for (const char* name : {"cat.jpg", "brick.jpg", "rocket.webp"}) {
    const std::string bytes = read_file(kData / name);
    for (size_t keep = 3; keep < bytes.size() - 1; keep += bytes.size() / 23 + 1)
      EXPECT_THAT(error_of(std::string_view(bytes).substr(0, keep)), HasSubstr("the-file")) << name << " " << keep;
  }
}

TEST(ImageRead, RefusesMorePixelsThanPillowBeforeAllocating) {
  EXPECT_NO_THROW(image_decode::check_size(13'377, 13'377, "x"));
  EXPECT_THROW(image_decode::check_size(13'378, 13'378, "x"), Error);
  EXPECT_THROW(image_decode::check_size(INT64_MAX / 2, INT64_MAX / 2, "x"), Error);
  EXPECT_THROW(image_decode::check_size(0, 5, "x"), Error);
}

TEST(ImageRead, KnowsPictureNames) {
  for (const char* name : {"a.png", "b/c.JPG", "d.jpeg", "e.WebP", "f.GIF", "g.bmp", "h.tif", "i.tiff"})
    EXPECT_TRUE(is_image_name(name)) << name;
  for (const char* name : {"a.ico", "png", ".png", "a.png.txt", "a"}) EXPECT_FALSE(is_image_name(name)) << name;
}

TEST(ExifOrientation, ReadsBothByteOrders) {
  EXPECT_EQ(image_decode::exif_orientation(exif(true, "\x12\x01", std::string("\x06\0\0\0", 4))), 6);
  EXPECT_EQ(image_decode::exif_orientation(exif(false, "\x01\x12", std::string("\0\x08\0\0", 4))), 8);
  EXPECT_EQ(
      image_decode::exif_orientation(std::string("Exif\0\0", 6) + exif(true, "\x12\x01", std::string("\x03\0\0\0", 4))),
      3);
}

TEST(ExifOrientation, IsUprightForNonsense) {
  EXPECT_EQ(image_decode::exif_orientation(""), 1);
  EXPECT_EQ(image_decode::exif_orientation("II*"), 1);
  EXPECT_EQ(image_decode::exif_orientation(std::string("II*\0\xff\xff\xff\xff", 8)), 1);
  EXPECT_EQ(image_decode::exif_orientation(exif(true, "\x12\x01", std::string("\x09\0\0\0", 4))), 1);
  EXPECT_EQ(image_decode::exif_orientation(exif(true, "\x13\x01", std::string("\x06\0\0\0", 4))), 1);
  const std::string whole = exif(true, "\x12\x01", std::string("\x06\0\0\0", 4));
  for (size_t size = 0; size < whole.size(); ++size) {
    const int orientation = image_decode::exif_orientation(std::string_view(whole).substr(0, size));
    EXPECT_TRUE(orientation == 1 || orientation == 6);
  }
}

TEST(Orientation, TurnsAQuarterClockwiseFor6) {
  //  1 2 3      4 1
  //  4 5 6  ->  5 2
  //             6 3
  const auto turned = image_decode::turned_upright({3, 2, "L", {1, 2, 3, 4, 5, 6}, {}, {}}, 6);
  EXPECT_EQ(turned, (DecodedImage{2, 3, "L", {4, 1, 5, 2, 6, 3}, {}, {}}));
}

TEST(Orientation, KeepsPixelsOfSeveralBytesTogether) {
  const auto mirrored = image_decode::turned_upright({2, 1, "RGB", {1, 2, 3, 4, 5, 6}, {}, {}}, 2);
  EXPECT_EQ(mirrored.pixels, (std::vector<uint8_t>{4, 5, 6, 1, 2, 3}));
}

}  // namespace
}  // namespace unnoise
