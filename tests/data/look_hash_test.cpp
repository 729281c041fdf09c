#include "unnoise/data/look_hash.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <random>

#include "tests/data/temporary_folder.h"
#include "unnoise/data/resize.h"
#include "unnoise/io/image_convert.h"
#include "unnoise/io/image_read.h"

namespace unnoise {
namespace {

int distance(const DecodedImage& a, const DecodedImage& b) { return std::popcount(look_hash(a) ^ look_hash(b)); }

DecodedImage photo(const char* name) { return read_image(fs::path(UNNOISE_TEST_DATA) / name); }

TEST(LookHash, StaysWhenAPictureIsResizedOrBrightenedAndDiffersBetweenPhotos) {
  const DecodedImage cat = photo("cat.jpg");
  const Image rgb = convert(cat, ImageMode::rgb);
  EXPECT_LE(distance(cat, decoded_image(resize_bilinear(rgb, rgb.width / 3, rgb.height / 2))), 4);
  Image bright = rgb;
  for (auto& p : bright.pixels) p = static_cast<uint8_t>(std::min(255, p + 12));
  EXPECT_LE(distance(cat, decoded_image(bright)), 4);
  EXPECT_LT(difference(thumbnail_of(cat), thumbnail_of(decoded_image(bright))), 12.5 / 255);  // at most what was added
  for (const char* other : {"brick.jpg", "rocket.webp", "gravel.png"})
    EXPECT_GT(distance(cat, photo(other)), 12) << other;
}

TEST(LookHash, DifferenceOfThumbnailsIsTheRootMeanSquare) {
  Thumbnail a{}, b{};
  EXPECT_EQ(difference(a, b), 0);
  b.fill(255);
  EXPECT_DOUBLE_EQ(difference(a, b), 1);
  for (size_t i = 0; i < b.size(); i += 4) b[i] = 0;  // three quarters differ
  EXPECT_DOUBLE_EQ(difference(a, b), std::sqrt(0.75));
}

TEST(NearPairs, FindsWhatComparingAllFinds) {
  std::mt19937_64 random(5);
  std::vector<uint64_t> hashes;
  for (int i = 0; i < 300; ++i) {
    hashes.push_back(random());
    uint64_t near = hashes.back();
    for (int flips = i % 10; flips > 0; --flips) near ^= uint64_t{1} << random() % 64;
    hashes.push_back(near);
  }
  for (const int most : {0, 3, 7}) {
    std::vector<std::pair<int64_t, int64_t>> expected;
    for (int64_t i = 0; i < 600; ++i)
      for (int64_t j = i + 1; j < 600; ++j)
        if (std::popcount(hashes[i] ^ hashes[j]) <= most) expected.emplace_back(i, j);
    EXPECT_GT(expected.size(), 20u);
    EXPECT_EQ(near_pairs(hashes, most), expected) << most;
  }
}

}  // namespace
}  // namespace unnoise
