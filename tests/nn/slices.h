// Comparing with the corners of feature maps that diffusers' own tests pin down.
#pragma once

#include <ATen/ops/allclose.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// The last 3x3 pixels of the first picture's last channel; printed numbers have four digits.
inline void expect_corner(const Tensor& y, const std::array<double, 9>& expected, double tolerance = 1e-4) {
  ASSERT_EQ(y.dim(), 4);
  const Tensor corner = y.detach().select(0, 0).select(0, -1).slice(0, -3).slice(1, -3).reshape({9});
  for (int64_t i = 0; i < 9; ++i) EXPECT_NEAR(corner[i].item<double>(), expected[i], tolerance) << "at " << i;
}

/// Largest absolute difference over the largest magnitude of `expected`.
inline double relative_difference(const Tensor& actual, const Tensor& expected) {
  const double scale = expected.abs().max().item<double>();
  return actual.sub(expected).abs().max().item<double>() / std::max(scale, 1e-12);
}

}  // namespace unnoise
