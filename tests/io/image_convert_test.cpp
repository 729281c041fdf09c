#include "unnoise/io/image_convert.h"

#include <gtest/gtest.h>

#include <cstring>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

DecodedImage grey16(const std::vector<uint16_t>& values) {
  DecodedImage image{static_cast<int64_t>(values.size()), 1, "I;16", std::vector<uint8_t>(2 * values.size()), {}, {}};
  std::memcpy(image.pixels.data(), values.data(), image.pixels.size());
  return image;
}

std::vector<uint8_t> grey_of(const DecodedImage& image) { return convert(image, ImageMode::grey).pixels; }
std::vector<uint8_t> rgb_of(const DecodedImage& image) { return convert(image, ImageMode::rgb).pixels; }

TEST(Convert, WeighsColoursByItuR601) {
  EXPECT_EQ(grey_of({4, 1, "RGB", {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255}, {}, {}}),
            (std::vector<uint8_t>{76, 150, 29, 255}));
}

TEST(Convert, DropsAlphaWithoutBlending) {
  EXPECT_EQ(rgb_of({1, 1, "RGBA", {10, 20, 30, 0}, {}, {}}), (std::vector<uint8_t>{10, 20, 30}));
  EXPECT_EQ(rgb_of({1, 1, "LA", {77, 0}, {}, {}}), (std::vector<uint8_t>{77, 77, 77}));
}

TEST(Convert, LooksPalettesUpAndTakesMissingEntriesAsBlack) {
  const DecodedImage image{3, 1, "P", {1, 0, 200}, {1, 2, 3, 40, 50, 60}, {0}};
  EXPECT_EQ(rgb_of(image), (std::vector<uint8_t>{40, 50, 60, 1, 2, 3, 0, 0, 0}));
}

TEST(Convert, MultipliesInkByBlack) {
  EXPECT_EQ(rgb_of({2, 1, "CMYK", {0, 128, 255, 0, 0, 0, 0, 255}, {}, {}}),
            (std::vector<uint8_t>{255, 127, 0, 0, 0, 0}));
}

TEST(Convert, Cuts16BitGreyOffAt255AsPillow) {
  EXPECT_EQ(grey_of(grey16({0, 200, 255, 256, 65535})), (std::vector<uint8_t>{0, 200, 255, 255, 255}));
}

TEST(Convert, RejectsPixelsThatDoNotFitTheMode) {
  EXPECT_THROW(convert({2, 1, "RGB", {1, 2, 3}, {}, {}}, ImageMode::rgb), Error);
  EXPECT_THROW(convert({1, 1, "YCbCr", {1, 2, 3}, {}, {}}, ImageMode::rgb), Error);
}

TEST(PreservingTensor, Keeps16Bits) {
  const Tensor x = preserving_tensor(grey16({1, 65535}), ImageMode::rgb);
  ASSERT_EQ(x.sizes(), (std::vector<int64_t>{3, 1, 2}));
  for (int c = 0; c < 3; ++c) EXPECT_FLOAT_EQ(x[c][0][0].item<float>(), 1.0F / 65535.0F);
  EXPECT_EQ(x[2][0][1].item<float>(), 1.0F);
  EXPECT_EQ(preserving_tensor(grey16({1, 65535}), ImageMode::grey).size(0), 1);
}

TEST(PreservingTensor, AppendsTheFirstOfTwoChannelsAndCutsFour) {
  const Tensor two = preserving_tensor({1, 1, "LA", {51, 102}, {}, {}}, ImageMode::rgb);
  EXPECT_FLOAT_EQ(two[0].item<float>(), 0.2F);
  EXPECT_FLOAT_EQ(two[1].item<float>(), 0.4F);
  EXPECT_FLOAT_EQ(two[2].item<float>(), 0.2F);
  const Tensor four = preserving_tensor({1, 1, "CMYK", {51, 102, 153, 255}, {}, {}}, ImageMode::rgb);
  ASSERT_EQ(four.size(0), 3);
  EXPECT_FLOAT_EQ(four[2].item<float>(), 0.6F);
}

TEST(PreservingTensor, WeighsColoursForGreyNetworks) {
  const Tensor x = preserving_tensor({1, 1, "RGB", {255, 0, 255}, {}, {}}, ImageMode::grey);
  ASSERT_EQ(x.sizes(), (std::vector<int64_t>{1, 1, 1}));
  EXPECT_FLOAT_EQ(x.item<float>(), 0.413F);
}

}  // namespace
}  // namespace unnoise
