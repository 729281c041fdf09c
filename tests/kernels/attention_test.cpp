#include "unnoise/kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/targets.h"
#include "unnoise/kernels/scalar.h"

namespace unnoise::kernels {
namespace {

/// q, k and v side by side in rows with a gap after them, out and its gradient likewise.
template <class T>
struct Case {
  AttentionShape shape;
  std::vector<T> qkv, out_gradient;

  int64_t row(int64_t image, int64_t token) const { return image * shape.tokens + token; }
  int64_t inner() const { return shape.heads * shape.head_dim; }
  /// Where value j of head h of q (0), k (1) or v (2) of a token is.
  size_t at(int64_t which, int64_t image, int64_t token, int64_t h, int64_t j) const {
    return static_cast<size_t>(row(image, token) * shape.qkv_stride + which * inner() + h * shape.head_dim + j);
  }
  size_t out_at(int64_t image, int64_t token, int64_t h, int64_t j) const {
    return static_cast<size_t>(row(image, token) * shape.out_stride + h * shape.head_dim + j);
  }
};

template <class T>
Case<T> make_case(int64_t images, int64_t tokens, int64_t heads, int64_t head_dim, float spread = 1) {
  std::mt19937 random(static_cast<unsigned>(tokens * 31 + head_dim));
  std::normal_distribution<float> normal;
  const int64_t inner = heads * head_dim;
  Case<T> c{{images, tokens, heads, head_dim, 3 * inner + 6, inner + 4}, {}, {}};
  const auto draw = [&](std::vector<T>& values, int64_t count, float deviation) {
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (std::is_same_v<T, float>)
        values.push_back(deviation * normal(random));
      else
        values.push_back(to_bf16(deviation * normal(random)));
    }
  };
  draw(c.qkv, images * tokens * c.shape.qkv_stride, spread);
  draw(c.out_gradient, images * tokens * c.shape.out_stride, 1);
  return c;
}

template <class T>
struct Results {
  std::vector<T> out, gradients;  // as Case's
  std::vector<float> log_sum;
};

template <class T>
Results<T> run(const Case<T>& c) {
  Results<T> r{std::vector<T>(c.out_gradient.size()), std::vector<T>(c.qkv.size()),
               std::vector<float>(static_cast<size_t>(c.shape.images * c.shape.heads * c.shape.tokens))};
  const T* const q = c.qkv.data();
  const AttentionInputs<T> in{q, q + c.inner(), q + 2 * c.inner()};
  attention(c.shape, in, r.out.data(), r.log_sum.data());
  T* const dq = r.gradients.data();
  attention_backward(c.shape, {in, r.out.data(), r.log_sum.data()}, c.out_gradient.data(), dq, dq + c.inner(),
                     dq + 2 * c.inner());
  return r;
}

/// The plain twin: the definition and its derivative with all weights in memory, in double.
struct Plain {
  std::vector<double> out, gradients;

  template <class T>
  explicit Plain(const Case<T>& c) : out(c.out_gradient.size()), gradients(c.qkv.size()) {
    for (int64_t image = 0; image < c.shape.images; ++image)
      for (int64_t h = 0; h < c.shape.heads; ++h)
        for (int64_t query = 0; query < c.shape.tokens; ++query) add_query(c, image, h, query);
  }

 private:
  template <class T>
  void add_query(const Case<T>& c, int64_t image, int64_t h, int64_t query) {
    const auto& s = c.shape;
    const auto value = [&](int64_t which, int64_t t, int64_t j) {
      return to_float(c.qkv[c.at(which, image, t, h, j)]);
    };
    const double scale = 1 / std::sqrt(static_cast<double>(s.head_dim));
    std::vector<double> weights;
    double largest = -1e300, sum = 0;
    for (int64_t t = 0; t < s.tokens; ++t) {
      double score = 0;
      for (int64_t j = 0; j < s.head_dim; ++j) score += value(0, query, j) * scale * value(1, t, j);
      weights.push_back(score);
      largest = std::max(largest, score);
    }
    for (double& w : weights) sum += w = std::exp(w - largest);
    for (double& w : weights) w /= sum;
    std::vector<double> dw(weights.size());
    double product = 0;
    for (size_t t = 0; t < weights.size(); ++t)
      for (int64_t j = 0; j < s.head_dim; ++j) {
        const double dout = to_float(c.out_gradient[c.out_at(image, query, h, j)]);
        out[c.out_at(image, query, h, j)] += weights[t] * value(2, static_cast<int64_t>(t), j);
        gradients[c.at(2, image, static_cast<int64_t>(t), h, j)] += weights[t] * dout;
        dw[t] += dout * value(2, static_cast<int64_t>(t), j);
      }
    for (size_t t = 0; t < weights.size(); ++t) product += weights[t] * dw[t];
    for (size_t t = 0; t < weights.size(); ++t)
      for (int64_t j = 0; j < s.head_dim; ++j) {
        const double dscore = weights[t] * (dw[t] - product) * scale;
        gradients[c.at(0, image, query, h, j)] += dscore * value(1, static_cast<int64_t>(t), j);
        gradients[c.at(1, image, static_cast<int64_t>(t), h, j)] += dscore * value(0, query, j);
      }
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
  SCOPED_TRACE(testing::Message() << c.shape.images << " images, " << c.shape.tokens << " tokens, " << c.shape.heads
                                  << " heads of " << c.shape.head_dim);
  const Plain plain(c);
  const auto fast = run(c);
  EXPECT_LT(error(fast.out, plain.out), tolerance);
  EXPECT_LT(error(fast.gradients, plain.gradients), tolerance);  // what lies in the gaps too: 0 in both
}

struct Size {
  int64_t images, tokens, heads, head_dim;
};
constexpr Size kSizes[] = {{2, 49, 3, 8}, {1, 196, 2, 8},  {2, 16, 4, 8},   {1, 64, 2, 32}, {1, 65, 1, 64},
                           {3, 1, 2, 8},  {1, 33, 2, 16},  {1, 31, 1, 5},   {2, 17, 1, 1},  {1, 130, 1, 40},
                           {1, 3, 5, 24}, {1, 100, 1, 72}, {1, 40, 1, 512}, {2, 81, 2, 48}, {1, 257, 1, 32}};

TEST(Attention, AgreesWithThePlainLoops) {
  for_each_target([] {
    for (const auto& [images, tokens, heads, head_dim] : kSizes) {
      // Float32 sums of head_dim or of tokens terms; the exponentials multiply the scores' error by their size.
      expect_close(make_case<float>(images, tokens, heads, head_dim), 5e-6);
      // Bfloat16 where values are stored, and in pairs where they are multiplied: out enters the gradients once more.
      expect_close(make_case<bf16>(images, tokens, heads, head_dim), 0.01);
    }
  });
}

TEST(Attention, HandlesScoresThatDecide) {
  // Scores of 1e3 to 1e4: the weights are 0 or 1 but for a few. In pairs, scores of 1e2, which bfloat16 rounds to a few
  // tenths of a weight where two are close.
  for_each_target([] { expect_close(make_case<float>(1, 150, 2, 8, 30), 1e-2); });
  for_each_target([] { expect_close(make_case<bf16>(1, 150, 2, 32, 4), 2e-2); });
  const auto results = run(make_case<float>(2, 70, 1, 16, 300));
  for (const float value : results.gradients) EXPECT_TRUE(std::isfinite(value));
  const auto in_pairs = run(make_case<bf16>(2, 71, 1, 32, 300));
  for (const bf16 value : in_pairs.gradients) EXPECT_TRUE(std::isfinite(to_float(value)));
}

template <class T>
void expect_the_same_on_all_threads(const Size& size) {
  const auto c = make_case<T>(size.images, size.tokens, size.heads, size.head_dim);
  const auto bytes = [](const std::vector<T>& values) {
    return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  };
  const auto alone = [&] {
    const Threads one(1);
    return run(c);
  }();
  for (const int threads : {2, 3, 4}) {
    const Threads several(threads);
    const auto results = run(c);
    EXPECT_EQ(bytes(results.out), bytes(alone.out));
    EXPECT_EQ(results.log_sum, alone.log_sum);
    EXPECT_EQ(bytes(results.gradients), bytes(alone.gradients));
  }
}

TEST(Attention, DoesNotDependOnThreads) {
  for (const Size& size : {Size{1, 300, 1, 24}, Size{3, 50, 3, 8}, Size{2, 196, 8, 8}, Size{1, 256, 1, 256}}) {
    expect_the_same_on_all_threads<float>(size);
    expect_the_same_on_all_threads<bf16>(size);
  }
}

template <class T>
void expect_not_a_number_in_one_row(int64_t head_dim) {
  auto c = make_case<T>(1, 20, 1, head_dim);
  T& value = c.qkv[c.at(0, 0, 7, 0, 3)];  // of one query
  if constexpr (std::is_same_v<T, float>)
    value = NAN;
  else
    value = to_bf16(NAN);
  for_each_target([&] {
    const auto out = run(c).out;
    EXPECT_TRUE(std::isnan(to_float(out[c.out_at(0, 7, 0, 0)])));
    EXPECT_FALSE(std::isnan(to_float(out[c.out_at(0, 8, 0, 0)])));
  });
}

TEST(Attention, PassesNotANumberOn) {
  expect_not_a_number_in_one_row<float>(8);
  expect_not_a_number_in_one_row<bf16>(8);
  expect_not_a_number_in_one_row<bf16>(32);
}

TEST(Attention, WritesNoSumsUnlessAsked) {
  const auto c = make_case<float>(2, 40, 2, 8);
  const auto expected = run(c);
  std::vector<float> out(expected.out.size());
  const float* const q = c.qkv.data();
  attention<float>(c.shape, {q, q + c.inner(), q + 2 * c.inner()}, out.data(), nullptr);
  EXPECT_EQ(out, expected.out);
}

}  // namespace
}  // namespace unnoise::kernels
