#include "unnoise/io/image_grid.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

TEST(ToImages, RoundsHalfToEvenAndClamps) {
  const Tensor x = at::tensor({-9.0F, 9.0F, 0.0F, NAN, -1.0F, 1.0F}).view({1, 1, 2, 3});
  const auto images = to_images(x);
  ASSERT_EQ(images.size(), 1U);
  EXPECT_EQ(images[0].pixels, (std::vector<uint8_t>{0, 255, 128, 0, 0, 255}));  // 127.5 -> 128, the even neighbour
}

TEST(ToImages, InterleavesChannels) {
  const Tensor x = at::tensor({-1.0F, 1.0F, 1.0F, -1.0F, -1.0F, -1.0F}).view({1, 3, 1, 2});
  EXPECT_EQ(to_images(x)[0].pixels, (std::vector<uint8_t>{0, 255, 0, 255, 0, 0}));
}

TEST(ToImages, TakesHalfPrecision) { EXPECT_EQ(to_images(at::zeros({2, 1, 3, 3}).to(at::kHalf)).size(), 2U); }

TEST(ToImages, RejectsOtherShapesAndTypes) {
  EXPECT_THROW(to_images(at::zeros({3, 4, 4})), Error);
  EXPECT_THROW(to_images(at::zeros({1, 5, 4, 4})), Error);
  EXPECT_THROW(to_images(at::zeros({1, 3, 4, 4}, at::kLong)), Error);
  EXPECT_THROW(to_images(Tensor()), Error);
}

TEST(ImageGrid, HasTheSizeOfTorchvisions) {
  const Image sheet = image_grid(at::ones({8, 3, 32, 32}), 8);
  EXPECT_EQ(sheet.width, 274);
  EXPECT_EQ(sheet.height, 36);
  EXPECT_EQ(sheet.channels, 3);
}

TEST(ImageGrid, StaysGreyAndPadsWithBlack) {
  const Image sheet = image_grid(at::ones({3, 1, 1, 1}), 2, 1);
  EXPECT_EQ(sheet, (Image{5, 5, 1, {0, 0,   0, 0,   0,  //
                                    0, 255, 0, 255, 0,  //
                                    0, 0,   0, 0,   0,  //
                                    0, 255, 0, 0,   0,  //
                                    0, 0,   0, 0,   0}}));
}

TEST(ImageGrid, IsAboutSquareByDefault) {
  const Image sheet = image_grid(at::ones({16, 1, 2, 2}), 0, 0);
  EXPECT_EQ(sheet.width, 8);
  EXPECT_EQ(sheet.height, 8);
  EXPECT_EQ(image_grid(at::ones({5, 1, 2, 2}), 0, 0).width, 6);
}

TEST(ImageGrid, LeavesOnePictureWithoutBorder) { EXPECT_EQ(image_grid(at::ones({1, 3, 4, 5})).width, 5); }

TEST(ImageGrid, RejectsNothingAndMixedSizes) {
  EXPECT_THROW(image_grid(std::vector<Image>{}), Error);
  EXPECT_THROW(image_grid({blank_image(2, 2, 1), blank_image(3, 2, 1)}), Error);
  EXPECT_THROW(image_grid(at::ones({2, 1, 2, 2}), -1), Error);
}

TEST(ImageGrid, InvertedIsInkOnPaper) {
  Image picture{.width = 3, .height = 1, .channels = 1, .pixels = {0, 100, 255}};
  EXPECT_EQ(inverted(picture).pixels, (std::vector<uint8_t>{255, 155, 0}));
  EXPECT_EQ(inverted(inverted(picture)), picture);
  EXPECT_EQ(inverted(image_grid(std::vector<Image>{picture, picture})).pixels[0], 255) << "the gaps are white";
}

}  // namespace
}  // namespace unnoise
