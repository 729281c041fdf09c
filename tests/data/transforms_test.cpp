#include "unnoise/data/transforms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "tests/data/temporary_folder.h"

namespace unnoise {
namespace {

/// Pixel (x, y) of channel c has value f(x, y, c).
template <class F>
DecodedImage drawn(int64_t width, int64_t height, int64_t channels, F f) {
  Image image = blank_image(width, height, channels);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c) image.row(y)[x * channels + c] = static_cast<uint8_t>(f(x, y, c));
  return decoded_image(std::move(image));
}

std::vector<float> viewed(const ResizedPicture& picture, const View& view, int64_t resolution, int64_t channels) {
  std::vector<float> out(static_cast<size_t>(channels * resolution * resolution), NAN);
  write_view(picture, view, resolution, out.data());
  return out;
}

TEST(Transforms, ShorterSideBecomesTheResolution) {
  const TransformOptions options{.resolution = 32};
  const auto size = [&](int64_t width, int64_t height) {
    const auto picture = resize_for_training(drawn(width, height, 3, [](auto...) { return 0; }), options);
    return std::pair{picture.width(), picture.height()};
  };
  EXPECT_EQ(size(97, 61), std::pair(int64_t{50}, int64_t{32}));  // trunc(32 * 97 / 61)
  EXPECT_EQ(size(61, 97), std::pair(int64_t{32}, int64_t{50}));
  EXPECT_EQ(size(32, 32), std::pair(int64_t{32}, int64_t{32}));
  EXPECT_EQ(size(1, 400), std::pair(int64_t{32}, int64_t{12800}));
  EXPECT_EQ(size(33, 32), std::pair(int64_t{33}, int64_t{32}));
}

TEST(Transforms, ConvertsToTheNetworksChannels) {
  const auto rgba = drawn(8, 8, 4, [](int64_t, int64_t, int64_t c) { return 60 * c; });
  EXPECT_EQ(resize_for_training(rgba, {.resolution = 8, .mode = ImageMode::rgb}).image.channels, 3);
  EXPECT_EQ(resize_for_training(rgba, {.resolution = 8, .mode = ImageMode::grey}).image.channels, 1);
  const auto grey = drawn(8, 8, 1, [](auto...) { return 9; });
  EXPECT_EQ(resize_for_training(grey, {.resolution = 8}).image.pixels, std::vector<uint8_t>(192, 9));
  const auto slope = drawn(40, 30, 1, [](int64_t x, int64_t y, int64_t) { return 5 * x + y; });
  const auto resized = resize_for_training(slope, {.resolution = 8}).image;
  EXPECT_EQ(resized, resize_bilinear(convert(slope, ImageMode::rgb), resized.width, resized.height));
}

TEST(Transforms, CentreCropRoundsHalvesToEven) {
  const TransformOptions options{.resolution = 4, .center_crop = true};
  const auto top_left = [&](int64_t width, int64_t height) {
    ResizedPicture picture{blank_image(width, height, 3), {}};
    const auto view = choose_view(picture, options, 5);
    return std::pair{view.left, view.top};
  };
  EXPECT_EQ(top_left(5, 4), std::pair(int64_t{0}, int64_t{0}));  // 0.5 -> 0
  EXPECT_EQ(top_left(7, 4), std::pair(int64_t{2}, int64_t{0}));  // 1.5 -> 2
  EXPECT_EQ(top_left(4, 9), std::pair(int64_t{0}, int64_t{2}));  // 2.5 -> 2
  EXPECT_EQ(top_left(4, 8), std::pair(int64_t{0}, int64_t{2}));
}

TEST(Transforms, RandomCropsCoverEveryOffset) {
  const TransformOptions options{.resolution = 32};
  const ResizedPicture picture{blank_image(40, 32, 3), {}};
  std::set<int64_t> lefts, tops;
  for (uint64_t key = 0; key < 1000; ++key) {
    const auto view = choose_view(picture, options, mix(7, key));
    lefts.insert(view.left);
    tops.insert(view.top);
    EXPECT_FALSE(view.flip);
  }
  EXPECT_EQ(lefts, (std::set<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(tops, std::set<int64_t>{0});
}

TEST(Transforms, FlipsHalfOfThePictures) {
  const TransformOptions options{.resolution = 4, .center_crop = true, .random_flip = true};
  const ResizedPicture picture{blank_image(4, 4, 3), {}};
  int flips = 0;
  constexpr int kDraws = 2000;  // standard deviation of the rate .011, so .05 is more than four of them
  for (uint64_t key = 0; key < kDraws; ++key) flips += choose_view(picture, options, mix(key, 3)).flip;
  EXPECT_NEAR(static_cast<double>(flips) / kDraws, 0.5, 0.05);
}

TEST(Transforms, WritesTheCropPlaneByPlaneInMinusOneToOne) {
  const auto image = drawn(5, 4, 3, [](int64_t x, int64_t y, int64_t c) { return 100 * c + 10 * y + x; });
  const auto picture = resize_for_training(image, {.resolution = 4});
  const auto level = [](int p) { return (static_cast<float>(p) / 255.0f - 0.5f) / 0.5f; };
  const auto plain = viewed(picture, {0, 1, false}, 4, 3);
  EXPECT_EQ(plain[0], level(1));
  EXPECT_EQ(plain[3], level(4));
  EXPECT_EQ(plain[4], level(11));
  EXPECT_EQ(plain[16], level(101));
  const auto flipped = viewed(picture, {0, 1, true}, 4, 3);
  EXPECT_EQ(flipped[0], level(4));
  EXPECT_EQ(flipped[3], level(1));
  EXPECT_EQ(flipped[47], level(231));
}

TEST(Transforms, BlackIsMinusOneAndWhiteIsOne) {
  const auto image = drawn(2, 2, 1, [](int64_t x, int64_t, int64_t) { return 255 * x; });
  const auto picture = resize_for_training(image, {.resolution = 2, .mode = ImageMode::grey});
  EXPECT_EQ(viewed(picture, {}, 2, 1), (std::vector<float>{-1, 1, -1, 1}));
}

TEST(Transforms, KeepsThePrecisionOf16BitPicturesOnlyWhenAsked) {
  DecodedImage gradient{64, 64, "I;16", std::vector<uint8_t>(64 * 64 * 2), {}, {}};
  auto* values = reinterpret_cast<uint16_t*>(gradient.pixels.data());
  for (int i = 0; i < 64 * 64; ++i) values[i] = static_cast<uint16_t>(16 * i);
  const auto distinct = [&](bool preserve) {
    const auto picture = resize_for_training(
        gradient, {.resolution = 64, .mode = ImageMode::grey, .preserve_input_precision = preserve});
    const auto out = viewed(picture, {}, 64, 1);
    for (const float v : out) EXPECT_TRUE(v >= -1 && v <= 1);
    return std::set<float>(out.begin(), out.end()).size();
  };
  EXPECT_GT(distinct(true), 256u);
  EXPECT_LE(distinct(false), 256u);
}

TEST(Transforms, PreservedPicturesAreCroppedAndFlippedLikeOthers) {
  const auto image = drawn(6, 4, 3, [](int64_t x, int64_t y, int64_t c) { return 40 * c + 7 * y + 3 * x; });
  const auto exact = resize_for_training(image, {.resolution = 4, .preserve_input_precision = true});
  const auto rounded = resize_for_training(image, {.resolution = 4});
  EXPECT_EQ(exact.width(), 6);
  EXPECT_EQ(exact.bytes(), 3 * 4 * 6 * 4);
  EXPECT_EQ(viewed(exact, {0, 2, true}, 4, 3),
            viewed(rounded, {0, 2, true}, 4, 3));  // nothing to resize: the same levels
}

TEST(Transforms, RefusesACropThatDoesNotFit) {
  const ResizedPicture picture{blank_image(4, 3, 3), {}};
  EXPECT_NE(error_of([&] { choose_view(picture, {.resolution = 4}, 0); }), "");
}

TEST(Mix, IsStable) {  // saved runs depend on these numbers
  EXPECT_EQ(mix(0, 0), mix(0, 0, 0));
  EXPECT_NE(mix(0, 1), mix(1, 0));
  EXPECT_EQ(mix(1, 2, 3), 7702586659592502839u);
}

}  // namespace
}  // namespace unnoise
