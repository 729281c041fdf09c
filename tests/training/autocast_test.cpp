#include "unnoise/training/autocast.h"

#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using at::Tensor;

at::ScalarType product_type() { return at::matmul(at::ones({2, 2}), at::ones({2, 2})).scalar_type(); }

TEST(Autocast, MultipliesInBfloat16WithinTheScopeOnly) {
  EXPECT_EQ(product_type(), at::kFloat);
  {
    const AutocastScope scope(Precision::bf16, at::kCPU);
    EXPECT_EQ(product_type(), at::kBFloat16);
    {
      const AutocastScope off(Precision::no, at::kCPU);
      EXPECT_EQ(product_type(), at::kFloat);
    }
    EXPECT_EQ(product_type(), at::kBFloat16);
    const AutocastScope half(Precision::fp16, at::kCPU);
    EXPECT_EQ(product_type(), at::kHalf);
  }
  EXPECT_EQ(product_type(), at::kFloat);
}

// Converted weights are cached within a scope: a second forward pass must see an update made in between.
TEST(Autocast, SeesWeightsThatMovedBetweenTwoScopes) {
  const Tensor w = at::ones({1, 1}).set_requires_grad(true);
  const auto forward = [&] {
    const AutocastScope scope(Precision::bf16, at::kCPU);
    return at::matmul(at::ones({1, 1}), w).item<double>();
  };
  EXPECT_EQ(forward(), 1.0);
  {
    c10::NoGradGuard no_grad;
    w.fill_(2.0);
  }
  EXPECT_EQ(forward(), 2.0);
  EXPECT_EQ(w.scalar_type(), at::kFloat);
}

TEST(Autocast, RefusesFp16OnAProcessorWithAHint) {
  check_precision(Precision::fp16, at::kCUDA);
  check_precision(Precision::bf16, at::kCPU);
  try {
    check_precision(Precision::fp16, at::kCPU);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_NE(e.hint().find("bf16"), std::string::npos);
  }
}

}  // namespace
}  // namespace unnoise
