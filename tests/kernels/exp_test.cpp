#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/exp_test.cpp"
#include <hwy/foreach_target.h>  // must come before the functions under test

#include "tests/kernels/targets.h"
#include "unnoise/kernels/exp-inl.h"
#include "unnoise/kernels/vector_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

void exp_of_all(const std::vector<float>& x, std::vector<float>& y) {
  for_vectors(static_cast<int64_t>(x.size()),
              [&](auto d, int64_t i) { hn::StoreU(exp(d, hn::LoadU(d, &x[i])), d, &y[i]); });
}
void exp2_of_all(const std::vector<float>& x, std::vector<float>& y) {
  for_vectors(static_cast<int64_t>(x.size()),
              [&](auto d, int64_t i) { hn::StoreU(exp2(d, hn::LoadU(d, &x[i])), d, &y[i]); });
}
void sigmoid_of_all(const std::vector<float>& x, std::vector<float>& y) {
  for_vectors(static_cast<int64_t>(x.size()),
              [&](auto d, int64_t i) { hn::StoreU(sigmoid(d, hn::LoadU(d, &x[i])), d, &y[i]); });
}
void round_to_bf16(const std::vector<float>& x, std::vector<bf16>& y) {
  for_vectors(static_cast<int64_t>(x.size()), [&](auto d, int64_t i) { store_floats(d, hn::LoadU(d, &x[i]), &y[i]); });
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unnoise::kernels {
namespace {

HWY_EXPORT(exp_of_all);
HWY_EXPORT(exp2_of_all);
HWY_EXPORT(sigmoid_of_all);
HWY_EXPORT(round_to_bf16);

std::vector<float> steps(double from, double to, int count) {
  std::vector<float> x;
  for (int i = 0; i <= count; ++i) x.push_back(static_cast<float>(from + (to - from) * i / count));
  return x;
}

/// The largest distance of y from f(x) in units of f(x)'s last place.
template <class F>
double ulps(const std::vector<float>& x, const std::vector<float>& y, const F& f) {
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = f(static_cast<double>(x[i]));
    const auto near = static_cast<float>(exact);
    const double ulp = static_cast<double>(std::nextafter(near, INFINITY)) - near;
    worst = std::max(worst, std::abs(y[i] - exact) / ulp);
  }
  return worst;
}

TEST(Exp, IsWithinTwoUlp) {
  for_each_target([] {
    auto x = steps(-87, 88, 500'001);
    std::vector<float> y(x.size());
    HWY_DYNAMIC_DISPATCH(exp_of_all)(x, y);
    EXPECT_LT(ulps(x, y, [](double v) { return std::exp(v); }), 2);
    HWY_DYNAMIC_DISPATCH(sigmoid_of_all)(x, y);
    EXPECT_LT(ulps(x, y, [](double v) { return 1 / (1 + std::exp(-v)); }), 4);  // a sum and a quotient more
    x = steps(-126, 127, 500'001);
    HWY_DYNAMIC_DISPATCH(exp2_of_all)(x, y);
    EXPECT_LT(ulps(x, y, [](double v) { return std::exp2(v); }), 2);
  });
}

TEST(Exp, StopsAtTheEndsAndPassesNotANumberOn) {
  for_each_target([] {
    const std::vector<float> x = {-1e30F, -INFINITY, -200, 200, INFINITY, NAN, 0};
    std::vector<float> y(x.size());
    HWY_DYNAMIC_DISPATCH(exp_of_all)(x, y);
    for (const int i : {0, 1, 2}) EXPECT_LT(y[static_cast<size_t>(i)], 2e-38F);
    for (const int i : {3, 4}) EXPECT_NEAR(y[static_cast<size_t>(i)] / 1.6516363e38F, 1, 1e-5);  // e^88
    EXPECT_TRUE(std::isnan(y[5]));
    EXPECT_EQ(y[6], 1);
  });
}

TEST(VectorIo, RoundsToBfloat16AsTheScalarDoes) {
  for_each_target([] {
    std::vector<float> x = {0, -0.0F, 1, NAN, INFINITY, -INFINITY, 3.4e38F, 1e-40F};
    for (uint32_t i = 0; i < 200'000; ++i) x.push_back(std::bit_cast<float>(i * 21'474U));
    x.push_back(std::bit_cast<float>(0x7fffffffU));  // not a number with all bits
    std::vector<bf16> y(x.size());
    HWY_DYNAMIC_DISPATCH(round_to_bf16)(x, y);
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i]))
        EXPECT_TRUE(std::isnan(to_float(y[i]))) << i;
      else
        ASSERT_EQ(y[i].bits, to_bf16(x[i]).bits) << x[i];
    }
  });
}

}  // namespace
}  // namespace unnoise::kernels
#endif
