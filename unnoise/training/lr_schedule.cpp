#include "unnoise/training/lr_schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>
#include <string_view>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

template <class Number>
std::optional<Number> read_number(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return std::nullopt;
  text = text.substr(first, text.find_last_not_of(' ') - first + 1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Error bad_rules(std::string_view text, std::string_view part) {
  return usage_error(fmt::format("step_rules: cannot read \"{}\" in \"{}\"", part, text),
                     "Write VALUE:STEP pairs and a last VALUE, e.g. 1:1000,0.1:2000,0.01");
}

}  // namespace

LrSchedule::LrSchedule(LrScheduleOptions options) : options_(std::move(options)) {
  const auto& o = options_;
  if (o.warmup_steps < 0) throw usage_error(fmt::format("warmup_steps: expected 0 or more, found {}", o.warmup_steps));
  if (o.total_steps < 0) throw usage_error(fmt::format("total_steps: expected 0 or more, found {}", o.total_steps));
  if (o.num_cycles < 1) throw usage_error(fmt::format("num_cycles: expected 1 or more, found {}", o.num_cycles));
  if (o.type == LrScheduleType::polynomial && !(o.learning_rate > o.end_learning_rate))
    throw usage_error(fmt::format("the polynomial schedule ends at {}, which is not below the learning rate {}",
                                  o.end_learning_rate, o.learning_rate));
  if (o.type == LrScheduleType::piecewise_constant) rules_ = parse_rules(o.step_rules, last_value_);
}

std::vector<LrSchedule::Rule> LrSchedule::parse_rules(const std::string& text, double& last_value) {
  std::vector<Rule> rules;
  std::string_view rest = text;
  for (size_t comma; (comma = rest.find(',')) != std::string_view::npos; rest.remove_prefix(comma + 1)) {
    const std::string_view rule = rest.substr(0, comma);
    const size_t colon = std::min(rule.find(':'), rule.size());
    const auto value = read_number<double>(rule.substr(0, colon));
    const auto below = read_number<int64_t>(rule.substr(std::min(colon + 1, rule.size())));
    if (!value || !below) throw bad_rules(text, rule);
    rules.push_back({*below, *value});
  }
  const auto last = read_number<double>(rest);
  if (!last) throw bad_rules(text, rest);
  last_value = *last;
  std::ranges::sort(rules, {}, &Rule::below);
  return rules;
}

double LrSchedule::multiplier(int64_t step) const {
  switch (options_.type) {
    case LrScheduleType::constant:
      return 1.0;
    case LrScheduleType::piecewise_constant:
      for (const Rule& rule : rules_)
        if (step < rule.below) return rule.value;
      return last_value_;
    default:
      if (step < options_.warmup_steps) return static_cast<double>(step) / static_cast<double>(options_.warmup_steps);
      return after_warmup(step);
  }
}

double LrSchedule::after_warmup(int64_t step) const {
  const auto& o = options_;
  const auto span = static_cast<double>(std::max<int64_t>(1, o.total_steps - o.warmup_steps));
  const double progress = static_cast<double>(step - o.warmup_steps) / span;
  constexpr double pi = std::numbers::pi;
  switch (o.type) {
    case LrScheduleType::linear:
      return std::max(0.0, static_cast<double>(o.total_steps - step) / span);
    case LrScheduleType::cosine:
      return std::max(0.0, 0.5 * (1.0 + std::cos(pi * progress)));
    case LrScheduleType::cosine_with_restarts: {
      if (progress >= 1.0) return 0.0;
      const double within_cycle = std::fmod(static_cast<double>(o.num_cycles) * progress, 1.0);
      return std::max(0.0, 0.5 * (1.0 + std::cos(pi * within_cycle)));
    }
    case LrScheduleType::polynomial: {
      if (step >= o.total_steps) return o.end_learning_rate / o.learning_rate;
      const double range = o.learning_rate - o.end_learning_rate;
      return (range * std::pow(1.0 - progress, o.power) + o.end_learning_rate) / o.learning_rate;
    }
    default:
      return 1.0;
  }
}

}  // namespace unnoise
