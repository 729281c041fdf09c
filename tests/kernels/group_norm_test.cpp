#include "unnoise/kernels/group_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/kernels/targets.h"
#include "unnoise/kernels/scalar.h"

namespace unnoise::kernels {
namespace {

template <class T>
T from_float(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return to_bf16(x);
}

template <class T>
struct Case {
  GroupNormShape shape;
  bool silu = false;
  double eps = 1e-5;
  std::vector<T> x, dy;
  std::vector<float> weight, bias;

  int64_t size() const { return shape.images * shape.pixels * shape.channels; }
};

/// Activations of a network: each channel has its own mean and spread.
template <class T>
Case<T> make_case(const GroupNormShape& shape, bool silu, float mean = 1, float spread = 1) {
  std::mt19937 random(static_cast<unsigned>(shape.pixels * 31 + shape.channels));
  std::normal_distribution<float> normal;
  Case<T> c{shape, silu, 1e-5, {}, {}, {}, {}};
  std::vector<float> means;
  for (int64_t i = 0; i < shape.channels; ++i) {
    means.push_back(mean * normal(random));
    c.weight.push_back(1 + 0.3F * normal(random));
    c.bias.push_back(0.5F * normal(random));
  }
  for (int64_t i = 0; i < c.size(); ++i) {
    c.x.push_back(from_float<T>(means[static_cast<size_t>(i % shape.channels)] + spread * normal(random)));
    c.dy.push_back(from_float<T>(normal(random)));
  }
  return c;
}

template <class T>
struct Results {
  std::vector<T> y, dx;
  std::vector<float> mean, rstd, dweight, dbias;
};

template <class T>
Results<T> run(const Case<T>& c) {
  const auto& s = c.shape;
  const auto size = static_cast<size_t>(c.size()), groups = static_cast<size_t>(s.images * s.groups);
  Results<T> r{std::vector<T>(size),
               std::vector<T>(size),
               std::vector<float>(groups),
               std::vector<float>(groups),
               std::vector<float>(static_cast<size_t>(s.channels)),
               std::vector<float>(static_cast<size_t>(s.channels))};
  group_norm(s, c.x.data(), c.weight.data(), c.bias.data(), c.eps, c.silu, r.y.data(), r.mean.data(), r.rstd.data());
  const GroupNormSaved<T> saved{c.x.data(), r.mean.data(), r.rstd.data(), c.weight.data(), c.bias.data(), c.silu};
  group_norm_backward(s, saved, c.dy.data(), r.dx.data(), r.dweight.data(), r.dbias.data());
  return r;
}

/// The plain twin: the definition and its derivative, group by group, in double.
template <class T>
struct Plain {
  std::vector<double> y, dx, mean, rstd, dweight, dbias;

  explicit Plain(const Case<T>& c) : y(c.x.size()), dx(c.x.size()), dweight(c.weight.size()), dbias(c.weight.size()) {
    const auto& s = c.shape;
    for (int64_t image = 0; image < s.images; ++image)
      for (int64_t g = 0; g < s.groups; ++g) add_group(c, image, g * (s.channels / s.groups));
  }

 private:
  void add_group(const Case<T>& c, int64_t image, int64_t first) {
    const auto& s = c.shape;
    const int64_t width = s.channels / s.groups;
    const auto each = [&](const auto& f) {
      for (int64_t p = 0; p < s.pixels; ++p)
        for (int64_t k = first; k < first + width; ++k)
          f(static_cast<size_t>((image * s.pixels + p) * s.channels + k), static_cast<size_t>(k));
    };
    const double n = static_cast<double>(s.pixels * width);
    double sum = 0, squares = 0;
    each([&](size_t i, size_t) { sum += to_float(c.x[i]); });
    const double m = sum / n;
    each([&](size_t i, size_t) { squares += (to_float(c.x[i]) - m) * (to_float(c.x[i]) - m); });
    const double r = 1 / std::sqrt(squares / n + c.eps);
    mean.push_back(m);
    rstd.push_back(r);
    double gradient = 0, product = 0;
    const auto normed = [&](size_t i) { return (to_float(c.x[i]) - m) * r; };
    const auto dz = [&](size_t i, size_t k) {
      const double z = normed(i) * c.weight[k] + c.bias[k], sigmoid = 1 / (1 + std::exp(-z));
      return to_float(c.dy[i]) * (c.silu ? sigmoid * (1 + z * (1 - sigmoid)) : 1);
    };
    each([&](size_t i, size_t k) {
      const double z = normed(i) * c.weight[k] + c.bias[k];
      y[i] = c.silu ? z / (1 + std::exp(-z)) : z;
      dbias[k] += dz(i, k);
      dweight[k] += dz(i, k) * normed(i);
      gradient += c.weight[k] * dz(i, k);
      product += c.weight[k] * dz(i, k) * normed(i);
    });
    each([&](size_t i, size_t k) { dx[i] = r * (c.weight[k] * dz(i, k) - gradient / n - normed(i) * product / n); });
  }
};

/// The largest error, relative to the largest magnitude expected.
template <class A>
double error(const std::vector<A>& actual, const std::vector<double>& expected) {
  double scale = 1e-30, worst = 0;
  for (const double e : expected) scale = std::max(scale, std::abs(e));
  for (size_t i = 0; i < actual.size(); ++i) {
    const double distance = std::abs(to_float(actual[i]) - expected[i]);
    worst = std::isnan(distance) ? distance : std::max(worst, distance);
  }
  return worst / scale;
}

template <class T>
void expect_close(const Case<T>& c, double tolerance) {
  const Plain<T> plain(c);
  const Results<T> fast = run(c);
  // All arithmetic is float32, so bf16 adds the roundings of what is stored, 2^-9 each: y, and dz on the way to dx.
  const double stored = std::is_same_v<T, float> ? tolerance : 0.01;
  EXPECT_LT(error(fast.mean, plain.mean), tolerance);
  EXPECT_LT(error(fast.rstd, plain.rstd), tolerance);
  EXPECT_LT(error(fast.y, plain.y), stored);
  EXPECT_LT(error(fast.dx, plain.dx), stored);
  EXPECT_LT(error(fast.dweight, plain.dweight), tolerance);
  EXPECT_LT(error(fast.dbias, plain.dbias), tolerance);
}

// No group of two values: those normalise to -1 and 1 whatever they are, and their gradient is all rounding.
const GroupNormShape kShapes[] = {{1, 1024, 128, 32}, {3, 16, 512, 32}, {1, 16, 512, 32}, {2, 1, 18, 2},
                                  {5, 49, 64, 32},    {1, 1, 4, 1},     {2, 70, 33, 11},  {3, 129, 21, 7},
                                  {1, 4100, 20, 4},   {4, 3, 5, 5},     {1, 20000, 8, 2}, {2, 100, 3, 1},
                                  {7, 65, 48, 16},    {3, 1000, 96, 6}, {1, 63, 17, 1},   {2, 64, 40, 20}};

TEST(GroupNorm, AgreesWithThePlainLoops) {
  // Sums of up to 256 float32 terms each, then double: a few ulp of the largest term.
  for_each_target([] {
    for (const auto& shape : kShapes)
      for (const bool silu : {false, true}) {
        SCOPED_TRACE(testing::Message() << shape.images << "x" << shape.pixels << "x" << shape.channels << "/"
                                        << shape.groups << (silu ? " silu" : ""));
        expect_close(make_case<float>(shape, silu), 3e-6);
        expect_close(make_case<bf16>(shape, silu), 3e-6);
      }
  });
}

TEST(GroupNorm, KeepsItsDigitsUnderLargeMeans) {
  // Channels' means of 1e3 around deviations of 1: one value has an error of 6e-5 of a deviation to begin with.
  for_each_target([] {
    expect_close(make_case<float>({2, 1024, 32, 32}, true, 1e3F, 1), 2e-4);
    expect_close(make_case<float>({2, 300, 32, 8}, true, 300, 300), 3e-6);
  });
  // A first pixel far away, from which the distances are summed.
  auto c = make_case<float>({1, 1024, 32, 32}, false);
  for (int i = 0; i < 32; ++i) c.x[static_cast<size_t>(i)] = 1000;
  expect_close(c, 2e-5);
}

TEST(GroupNorm, HandlesConstantImages) {
  auto c = make_case<float>({2, 100, 16, 4}, true);
  std::fill(c.x.begin(), c.x.end(), 1234.567F);
  const auto results = run(c);
  for (const float rstd : results.rstd) EXPECT_FLOAT_EQ(rstd, static_cast<float>(1 / std::sqrt(1e-5)));
  EXPECT_LT(error(results.y, Plain<float>(c).y), 3e-6);
}

TEST(GroupNorm, SaturatesSiluWithoutOverflow) {
  auto c = make_case<float>({1, 8, 4, 1}, true);
  c.bias = {200, -200, 90, -90};
  expect_close(c, 3e-6);
  c.bias = {-1e30F, -200, -100, -90};
  for (const float y : run(c).y) EXPECT_LT(std::abs(y), 1e-8F);  // the exponential stops at e^88
}

TEST(GroupNorm, PassesNotANumberOn) {
  auto c = make_case<float>({1, 70, 24, 4}, true);
  c.x[25] = NAN;
  const auto results = run(c);
  EXPECT_TRUE(std::isnan(results.y[5]));
  EXPECT_TRUE(std::isnan(results.dx[5]));
  EXPECT_FALSE(std::isnan(results.y[23]));
}

TEST(GroupNorm, DoesNotDependOnThreads) {
  for (const auto& shape : {GroupNormShape{1, 1024, 128, 32}, {3, 1000, 96, 6}, {5, 300, 160, 32}, {2, 4100, 20, 4}}) {
    const auto c = make_case<float>(shape, true);
    const auto alone = [&] {
      const Threads one(1);
      return run(c);
    }();
    for (const int threads : {2, 3, 4}) {
      const Threads several(threads);
      const auto results = run(c);
      EXPECT_EQ(results.y, alone.y);
      EXPECT_EQ(results.dx, alone.dx);
      EXPECT_EQ(results.dweight, alone.dweight);
      EXPECT_EQ(results.dbias, alone.dbias);
    }
  }
}

TEST(GroupNorm, WorksInPlaceAndInParts) {
  const auto c = make_case<float>({2, 200, 40, 8}, true);
  const auto expected = run(c);
  auto y = c.x;
  std::vector<float> mean(16), rstd(16), dweight(40), dbias(40);
  group_norm(c.shape, y.data(), c.weight.data(), c.bias.data(), c.eps, c.silu, y.data(), mean.data(), rstd.data());
  EXPECT_EQ(y, expected.y);
  const GroupNormSaved<float> saved{c.x.data(), mean.data(), rstd.data(), c.weight.data(), c.bias.data(), c.silu};
  auto again = c.x;
  group_norm_again<float>(c.shape, {again.data(), mean.data(), rstd.data(), c.weight.data(), c.bias.data(), c.silu},
                          again.data());
  EXPECT_EQ(again, expected.y);
  group_norm_backward<float>(c.shape, saved, c.dy.data(), nullptr, dweight.data(), dbias.data());
  EXPECT_EQ(dweight, expected.dweight);
  EXPECT_EQ(dbias, expected.dbias);
  auto dx = c.dy;
  group_norm_backward<float>(c.shape, saved, dx.data(), dx.data(), nullptr, nullptr);
  EXPECT_EQ(dx, expected.dx);
}

}  // namespace
}  // namespace unnoise::kernels
