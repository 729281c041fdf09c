#include "unnoise/kernels/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/targets.h"

namespace unnoise::kernels {
namespace {

struct Parameter {
  std::vector<float> value, gradient, exp_avg, exp_avg_sq, average;
  double step = 1;
};

std::vector<float> numbers(std::mt19937& random, int64_t count, float spread) {
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> out(static_cast<size_t>(count));
  for (float& x : out) x = normal(random);
  return out;
}

/// Some parameters in the middle of a training, every second with an average.
std::vector<Parameter> some_parameters(const std::vector<int64_t>& sizes) {
  std::mt19937 random(7);
  std::vector<Parameter> out;
  for (const int64_t n : sizes) {
    Parameter p{numbers(random, n, 0.1F), numbers(random, n, 0.01F), numbers(random, n, 0.01F), {}, {}, 0};
    p.exp_avg_sq = numbers(random, n, 0.01F);
    for (float& v : p.exp_avg_sq) v *= v;
    if (out.size() % 2 == 0) p.average = numbers(random, n, 0.1F);
    p.step = static_cast<double>(1 + out.size());
    out.push_back(p);
  }
  return out;
}

std::vector<AdamSpan> spans(std::vector<Parameter>& parameters) {
  std::vector<AdamSpan> out;
  for (Parameter& p : parameters)
    out.push_back({p.value.data(), p.gradient.data(), p.exp_avg.data(), p.exp_avg_sq.data(),
                   p.average.empty() ? nullptr : p.average.data(), static_cast<int64_t>(p.value.size()), p.step});
  return out;
}

/// The plain twin: the papers' formulas in double.
void plain_step(std::vector<Parameter>& parameters, const AdamSettings& s) {
  for (Parameter& p : parameters)
    for (size_t i = 0; i < p.value.size(); ++i) {
      double value = p.value[i], gradient = static_cast<double>(p.gradient[i]) * s.gradient_scale;
      if (s.decoupled)
        value *= 1 - s.learning_rate * s.weight_decay;
      else
        gradient += s.weight_decay * value;
      const double m = s.beta1 * p.exp_avg[i] + (1 - s.beta1) * gradient;
      const double v = s.beta2 * p.exp_avg_sq[i] + (1 - s.beta2) * gradient * gradient;
      const double corrected_m = m / (1 - std::pow(s.beta1, p.step)), corrected_v = v / (1 - std::pow(s.beta2, p.step));
      value -= s.learning_rate * corrected_m / (std::sqrt(corrected_v) + s.epsilon);
      p.exp_avg[i] = static_cast<float>(m);
      p.exp_avg_sq[i] = static_cast<float>(v);
      p.value[i] = static_cast<float>(value);
      if (!p.average.empty())
        p.average[i] = static_cast<float>(p.average[i] + s.average_weight * (value - p.average[i]));
    }
}

/// Float32 rounds six times on the way to a value: within 4 units in the last place of it and of what it came from.
void expect_near(const std::vector<float>& found, const std::vector<float>& expected, double scale) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], expected[i], 4 * 6e-8 * (scale + std::abs(expected[i]))) << "at " << i;
}

const std::vector<int64_t> kSizes = {1, 3, 16, 33, 0, 1000, 40000, 17, 5, 16384, 2};

TEST(AdamStep, FollowsThePapers) {
  for_each_target([] {
    for (const AdamSettings& s :
         {AdamSettings{}, AdamSettings{.learning_rate = 0.01, .beta1 = 0.9, .weight_decay = 0.1, .average_weight = 0.3},
          AdamSettings{.decoupled = false, .beta1 = 0.4, .weight_decay = 0.1, .gradient_scale = 0.25F},
          AdamSettings{.learning_rate = 0.01, .average_weight = 0.9},
          AdamSettings{.decoupled = false, .average_weight = 1}}) {
      auto found = some_parameters(kSizes), expected = found;
      const auto before = found;
      adam_step(spans(found), s);
      plain_step(expected, s);
      for (size_t i = 0; i < found.size(); ++i) {
        SCOPED_TRACE(i);
        expect_near(found[i].value, expected[i].value, 0.5);
        expect_near(found[i].exp_avg, expected[i].exp_avg, 0.1);
        expect_near(found[i].exp_avg_sq, expected[i].exp_avg_sq, 0.01);
        expect_near(found[i].average, expected[i].average, 0.5);
        EXPECT_EQ(found[i].gradient, before[i].gradient);
      }
    }
  });
}

TEST(AdamStep, AWholeWeightCopiesTheParameterIntoItsAverage) {
  auto parameters = some_parameters({100});
  adam_step(spans(parameters), {.average_weight = 1});
  EXPECT_EQ(parameters[0].average, parameters[0].value);
}

TEST(AdamStep, TakesNothing) {
  adam_step({}, {});
  EXPECT_EQ(sum_of_squares({}), 0);
}

TEST(AdamStep, DoesNotDependOnTheNumberOfThreads) {
  const AdamSettings settings{
      .learning_rate = 0.01, .weight_decay = 0.1, .gradient_scale = 0.7F, .average_weight = 0.1};
  for_each_target([&] {
    std::vector<Parameter> first;
    for (int threads = 1; threads <= 4; ++threads) {
      const Threads scope(threads);
      auto parameters = some_parameters({70001, 5, 16384, 100003});
      adam_step(spans(parameters), settings);
      if (threads == 1) first = parameters;
      for (size_t i = 0; i < first.size(); ++i) {
        EXPECT_EQ(parameters[i].value, first[i].value);
        EXPECT_EQ(parameters[i].exp_avg_sq, first[i].exp_avg_sq);
        EXPECT_EQ(parameters[i].average, first[i].average);
      }
    }
  });
}

std::vector<FloatSpan> values(const std::vector<Parameter>& parameters) {
  std::vector<FloatSpan> out;
  for (const Parameter& p : parameters) out.push_back({p.value.data(), static_cast<int64_t>(p.value.size())});
  return out;
}

TEST(SumOfSquares, IsTheSumForEveryNumberOfThreads) {
  const auto parameters = some_parameters(kSizes);
  double expected = 0;
  for (const Parameter& p : parameters)
    for (const float x : p.value) expected += static_cast<double>(x) * x;
  for_each_target([&] {
    double first = 0;
    for (int threads = 1; threads <= 4; ++threads) {
      const Threads scope(threads);
      const double found = sum_of_squares(values(parameters));
      EXPECT_NEAR(found, expected, 1e-12 * expected);  // all in double: the order alone differs
      if (threads == 1) first = found;
      EXPECT_EQ(found, first);
    }
  });
}

TEST(SumOfSquares, LargeValuesDoNotOverflowAndWhatIsNotFiniteShows) {
  std::vector<Parameter> parameters = some_parameters({100, 50});
  parameters[0].value[99] = 1e30F;
  EXPECT_NEAR(sum_of_squares(values(parameters)), 1e60, 1e54);
  parameters[1].value[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(sum_of_squares(values(parameters))));
  parameters[1].value[7] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(sum_of_squares(values(parameters))));
}

}  // namespace
}  // namespace unnoise::kernels
