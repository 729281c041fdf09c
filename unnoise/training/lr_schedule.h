// The learning rate's course over a training run: diffusers' seven schedules as pure functions of the step.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace unnoise {

enum class LrScheduleType {
  linear,                ///< 1 down to 0
  cosine,                ///< half a cosine, 1 down to 0
  cosine_with_restarts,  ///< `num_cycles` half cosines, each from 1, and 0 at the end
  polynomial,            ///< (1 - progress)^power, down to `end_learning_rate`
  constant,
  constant_with_warmup,
  piecewise_constant,  ///< `step_rules`
};
constexpr auto enum_names(LrScheduleType) {
  using enum LrScheduleType;
  return std::array{std::pair{linear, "linear"},
                    std::pair{cosine, "cosine"},
                    std::pair{cosine_with_restarts, "cosine_with_restarts"},
                    std::pair{polynomial, "polynomial"},
                    std::pair{constant, "constant"},
                    std::pair{constant_with_warmup, "constant_with_warmup"},
                    std::pair{piecewise_constant, "piecewise_constant"}};
}

/// Steps are optimizer updates. All but `constant` and `piecewise_constant` rise linearly from 0 to 1 in the first
/// `warmup_steps`.
struct LrScheduleOptions {
  LrScheduleType type = LrScheduleType::cosine;
  int64_t warmup_steps = 0;
  int64_t total_steps = 0;          ///< where linear, cosine and polynomial end
  double learning_rate = 1e-4;      ///< what 1 stands for; only polynomial asks
  double end_learning_rate = 1e-7;  ///< polynomial's last, below learning_rate
  double power = 1.0;               ///< polynomial
  int64_t num_cycles = 1;           ///< cosine_with_restarts
  std::string step_rules;           ///< "1:10,0.1:20,0.005": times 1 below step 10, 0.1 below step 20, then 0.005
};

class LrSchedule {
 public:
  /// Throws Error::usage that names the option: negative counts, end_learning_rate not below learning_rate, rules that
  /// cannot be read.
  explicit LrSchedule(LrScheduleOptions options);

  /// What the learning rate is multiplied by for update number `step` (the first is 0). Equal to diffusers'
  /// get_scheduler.
  double multiplier(int64_t step) const;

  const LrScheduleOptions& options() const { return options_; }

 private:
  struct Rule {
    int64_t below;  ///< holds for steps below this one
    double value;
  };
  static std::vector<Rule> parse_rules(const std::string& text, double& last_value);
  double after_warmup(int64_t step) const;

  LrScheduleOptions options_;
  std::vector<Rule> rules_;  ///< ascending
  double last_value_ = 1.0;
};

}  // namespace unnoise
