#include "unnoise/data/resize.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

Image noise(int64_t width, int64_t height, int64_t channels) {
  Image image = blank_image(width, height, channels);
  std::mt19937 random(5);
  for (auto& sample : image.pixels) sample = static_cast<uint8_t>(random());
  return image;
}

TEST(ResizeBilinear, KeepsAPictureOfTheRightSize) {
  const Image image = noise(7, 5, 3);
  EXPECT_EQ(resize_bilinear(image, 7, 5), image);
}

TEST(ResizeBilinear, KeepsAConstantAtEveryScale) {
  // weights are rounded to 2^-22, so their sum is off by at most a few 2^-22: too little to change 8 bits
  for (const uint8_t value : {0, 1, 127, 254, 255}) {
    Image image = blank_image(53, 41, 3);
    std::ranges::fill(image.pixels, value);
    for (const auto& [width, height] : {std::pair<int64_t, int64_t>{1, 1}, {8, 9}, {53, 2}, {100, 3}, {211, 97}}) {
      const Image resized = resize_bilinear(image, width, height);
      EXPECT_TRUE(std::ranges::all_of(resized.pixels, [&](uint8_t v) { return v == value; })) << width << "x" << height;
    }
  }
}

TEST(ResizeBilinear, AveragesWithATriangleWhenHalving) {
  // support 2: weights 1/8 3/8 3/8 1/8 inside, 3/7 3/7 1/7 at the border
  const Image image{4, 1, 1, {0, 0, 70, 70}};
  EXPECT_EQ(resize_bilinear(image, 2, 1).pixels, (std::vector<uint8_t>{10, 60}));
}

TEST(ResizeBilinear, InterpolatesWhenDoubling) {
  const Image image{2, 1, 1, {0, 100}};
  EXPECT_EQ(resize_bilinear(image, 4, 1).pixels, (std::vector<uint8_t>{0, 25, 75, 100}));
}

TEST(ResizeBilinear, FiltersEveryChannelAlone) {
  for (int64_t channels = 2; channels <= 4; ++channels) {
    const Image image = noise(37, 23, channels);  // an odd number of rows: the last has no partner
    const Image resized = resize_bilinear(image, 11, 29);
    for (int64_t c = 0; c < channels; ++c) {
      Image plane = blank_image(37, 23, 1);
      for (size_t i = 0; i < plane.pixels.size(); ++i)
        plane.pixels[i] = image.pixels[i * static_cast<size_t>(channels) + static_cast<size_t>(c)];
      const Image alone = resize_bilinear(plane, 11, 29);
      for (size_t i = 0; i < alone.pixels.size(); ++i)
        ASSERT_EQ(alone.pixels[i], resized.pixels[i * static_cast<size_t>(channels) + static_cast<size_t>(c)]);
    }
  }
}

TEST(ResizeBilinear, RejectsSizesThatCannotBe) {
  const Image image = noise(3, 3, 1);
  EXPECT_THROW(resize_bilinear(image, 0, 3), Error);
  EXPECT_THROW(resize_bilinear(image, 3, -1), Error);
  EXPECT_THROW(resize_bilinear(image, 3, 65537), Error);
  EXPECT_THROW(resize_bilinear({3, 3, 1, {1}}, 2, 2), Error);
}

TEST(ResizeBilinear, TakesTensorsWithAndWithoutABatch) {
  EXPECT_EQ(resize_bilinear(at::ones({3, 8, 6}), 4, 5).sizes(), (std::vector<int64_t>{3, 5, 4}));
  EXPECT_EQ(resize_bilinear(at::ones({2, 3, 8, 6}), 4, 5).sizes(), (std::vector<int64_t>{2, 3, 5, 4}));
  EXPECT_THROW(resize_bilinear(at::ones({8, 6}), 4, 5), Error);
  EXPECT_THROW(resize_bilinear(at::zeros({3, 8, 6}, at::kByte), 4, 5), Error);
}

TEST(ResizedShorterSide, TruncatesTheLongerSide) {
  EXPECT_EQ(resized_shorter_side({500, 333}, 64), (ImageSize{96, 64}));  // 96.096
  EXPECT_EQ(resized_shorter_side({333, 500}, 64), (ImageSize{64, 96}));
  EXPECT_EQ(resized_shorter_side({100, 100}, 32), (ImageSize{32, 32}));
  EXPECT_EQ(resized_shorter_side({640, 427}, 64), (ImageSize{95, 64}));  // 95.92
  EXPECT_THROW(resized_shorter_side({0, 5}, 64), Error);
}

}  // namespace
}  // namespace unnoise
