#include "unnoise/kernels/adamw8bit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/targets.h"

namespace unnoise::kernels {
namespace {

/// As training/block_quantization.cpp makes them.
std::array<float, 256> some_map(bool is_signed) {
  std::array<float, 256> map{};
  size_t n = 0;
  map[n++] = 0;
  map[n++] = 1;
  for (int decade = 0; decade < 7; ++decade) {
    const int count = 1 << (is_signed ? decade : decade + 1);
    for (int i = 0; i < count; ++i) {
      const auto mean = static_cast<float>(std::pow(10.0, decade - 6) * (0.1 + 0.9 * (i + 0.5) / count));
      map[n++] = mean;
      if (is_signed) map[n++] = -mean;
    }
  }
  std::sort(map.begin(), map.end());
  return map;
}

/// Values of every size between 1e-9 and 1, borders between neighbours among them.
std::vector<float> test_values(const std::array<float, 256>& map, bool is_signed) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> exponent(-9, 0);
  std::vector<float> out{0, 1};
  for (int i = 0; i < 20000; ++i) out.push_back(std::pow(10.0F, exponent(random)));
  for (size_t i = 0; i + 1 < 256; ++i)
    for (const float near : {0.9999F, 1.0001F}) out.push_back(std::abs(map[i] + map[i + 1]) / 2 * near);
  if (is_signed)
    for (size_t i = out.size(); i-- > 0;) out.push_back(-out[i]);
  return out;
}

TEST(ByteMap, FindsTheNearestValue) {
  for (const bool is_signed : {true, false}) {
    const auto values = some_map(is_signed);
    const ByteMap map(values);
    for (const float x : test_values(values, is_signed)) {
      const float found = std::abs(map.value(map.code(x)) - x);
      float nearest = 2;
      for (const float value : values)
        if (is_signed || x == 0 || value > 0) nearest = std::min(nearest, std::abs(value - x));
      EXPECT_LE(found, nearest * (1 + 1e-6F)) << x << (is_signed ? " signed" : " unsigned");
    }
  }
}

TEST(ByteMap, EveryValueComesBack) {
  for (const bool is_signed : {true, false}) {
    const auto values = some_map(is_signed);
    const ByteMap map(values);
    for (int code = 0; code < 256; ++code) EXPECT_EQ(map.code(values[static_cast<size_t>(code)]), code) << is_signed;
  }
}

/// How far x is from the nearest value times scale, among the codes from `first` on.
double nearest_distance(const std::array<float, 256>& values, size_t first, float scale, double x) {
  double least = std::numeric_limits<double>::infinity();
  for (size_t code = first; code < values.size(); ++code)
    least = std::min(least, std::abs(static_cast<double>(values[code]) * scale - x));
  return least;
}

struct Quantizing {
  explicit Quantizing(int64_t count)
      : codes(static_cast<size_t>(count)), scale(static_cast<size_t>((count + 255) / 256)) {}
  ByteSpan span() { return {codes.data(), scale.data()}; }
  std::vector<uint8_t> codes;
  std::vector<float> scale;
};

// The plain twin: every value by itself, AdamW's formulas in double, the nearest value by comparing with all.
TEST(AdamW8bit, MovesAsAdamWWithRoundedAverages) {
  const auto of_avg = some_map(true), of_sq = some_map(false);
  const ByteMaps maps(of_avg, of_sq);
  const AdamSettings s{.learning_rate = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1};
  for_each_target([&] {
    for (const int threads : {1, 3}) {
      const Threads scope(threads);
      for (const int64_t count : {int64_t{1}, int64_t{255}, int64_t{5000}, int64_t{40001}}) {
        std::mt19937 random(5);
        std::normal_distribution<float> normal(0, 1);
        const auto n = static_cast<size_t>(count);
        std::vector<float> p(n), g(n), average(n);
        for (size_t i = 0; i < n; ++i) p[i] = normal(random), average[i] = p[i];
        Quantizing m(count), v(count);
        std::fill(m.codes.begin(), m.codes.end(), static_cast<uint8_t>(127));  // the value 0
        for (int step = 1; step <= 3; ++step) {
          for (float& x : g) x = 1e-3F * normal(random);
          const std::vector<float> p_before = p;
          const Quantizing m_before = m, v_before = v;
          adamw8bit_step({.parameter = p.data(),
                          .gradient = g.data(),
                          .average = average.data(),
                          .count = count,
                          .step = static_cast<double>(step)},
                         m.span(), v.span(), maps, s);
          for (size_t i = 0; i < n; ++i) {
            const double m_new = s.beta1 * of_avg[m_before.codes[i]] * m_before.scale[i / 256] + (1 - s.beta1) * g[i];
            const double v_new =
                s.beta2 * of_sq[v_before.codes[i]] * v_before.scale[i / 256] + (1 - s.beta2) * g[i] * g[i];
            const double expected = p_before[i] * (1 - s.learning_rate * s.weight_decay) -
                                    s.learning_rate / (1 - std::pow(s.beta1, step)) * m_new /
                                        (std::sqrt(v_new / (1 - std::pow(s.beta2, step))) + s.epsilon);
            ASSERT_NEAR(p[i], expected, 2e-6) << i;  // a few float32 roundings of numbers up to 4
            // What was kept is the nearest value; where two are as near, float32 may take the other.
            const float m_scale = m.scale[i / 256], v_scale = v.scale[i / 256];
            ASSERT_NEAR(of_avg[m.codes[i]] * m_scale, m_new,
                        nearest_distance(of_avg, 0, m_scale, m_new) + 1e-5 * std::abs(m_new) + 1e-7 * m_scale);
            ASSERT_NEAR(of_sq[v.codes[i]] * v_scale, v_new,
                        nearest_distance(of_sq, 1, v_scale, v_new) + 1e-5 * v_new + 1e-7 * v_scale);
            ASSERT_GT(v.codes[i], 0);
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace unnoise::kernels
