#include "unnoise/training/block_quantization.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

TEST(BlockQuantization, TheMapIsThatOfThePaper) {
  const auto of_signed = dynamic_map(true), of_unsigned = dynamic_map(false);
  for (const auto& map : {of_signed, of_unsigned}) {
    EXPECT_TRUE(std::is_sorted(map.begin(), map.end()));
    EXPECT_EQ(std::adjacent_find(map.begin(), map.end()), map.end());
    EXPECT_EQ(map.back(), 1);
    EXPECT_EQ(std::count(map.begin(), map.end(), 0.0F), 1);
  }
  // Seven decades, the lowest with one mean (0.55e-6), unsigned with two (0.325e-6, 0.775e-6).
  EXPECT_FLOAT_EQ(of_signed[128], 0.55e-6F);
  EXPECT_FLOAT_EQ(of_signed[126], -0.55e-6F);
  EXPECT_FLOAT_EQ(of_unsigned[1], 0.325e-6F);
  EXPECT_FLOAT_EQ(of_unsigned[254], 1 - 0.9F / 256);
}

TEST(BlockQuantization, ComesBackWithinHalfACode) {
  Rng rng(0);
  const Tensor x = rng.normal({7, 5, 3, 11}).contiguous(at::MemoryFormat::ChannelsLast);  // 5 blocks, the last short
  for (const bool is_signed : {true, false}) {
    const Tensor values = is_signed ? x : x.square();
    const Quantized q = quantized_zeros(values, is_signed);
    EXPECT_EQ(q.codes.strides(), values.strides());
    EXPECT_EQ(q.scale.numel(), 5);
    EXPECT_EQ(dequantized(q, is_signed).abs().max().item<float>(), 0);
    quantize(values, is_signed, q);
    const Tensor back = dequantized(q, is_signed);
    EXPECT_EQ(back.strides(), values.strides());
    // Half the distance of two codes: 0.9 / 64 / 2 of the scale at most, a tenth of that a decade below.
    EXPECT_LE((back - values).abs().max().item<float>(), 0.0071F * q.scale.max().item<float>());
    const Tensor largest = values.abs() > 0.1 * q.scale.max();
    EXPECT_LE(((back - values).abs() / values.abs()).masked_select(largest).max().item<float>(), 0.08F);
  }
}

// Adam divides by the root of the second average.
TEST(BlockQuantization, NothingAboveZeroBecomesZero) {
  Rng rng(0);
  const Tensor x = rng.uniform({256}) * 1e-12;
  x[0].fill_(1.0);
  x[1].zero_();
  const Quantized q = quantized_zeros(x, false);
  quantize(x, false, q);
  const Tensor back = dequantized(q, false);
  EXPECT_EQ(back[1].item<float>(), 0);
  EXPECT_GT(back.narrow(0, 2, 254).min().item<float>(), 0);
}

}  // namespace
}  // namespace unnoise
