// LMS, linear multistep: dx/dsigma = (x - x0) / sigma by Adams and Bashforth's method on uneven levels, as k-diffusion
// has it (Crowson 2022): the slopes of the last steps, interpolated by a polynomial, which is integrated exactly.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/sigma_solver.h"

namespace unnoise {
namespace {

constexpr auto kLmsName = "LMSDiscreteScheduler";
constexpr int64_t kHighestOrder = 10;

/// The integral of Lagrange's polynomial that is 1 at sigmas[i - j] and 0 at the others of sigmas[i], sigmas[i - 1],
/// ... sigmas[i - order + 1], from sigmas[i] to sigmas[i + 1].
double adams_bashforth(const std::vector<float>& sigmas, size_t i, size_t j, size_t order) {
  // in u = (sigma - sigmas[i]) / length, which runs from 0 to 1
  const double length = static_cast<double>(sigmas[i + 1]) - sigmas[i];
  const auto u = [&](size_t k) { return (static_cast<double>(sigmas[i - k]) - sigmas[i]) / length; };
  std::vector<double> polynomial{1};  // coefficients, the constant first
  for (size_t k = 0; k < order; ++k) {
    if (k == j) continue;
    const double scale = 1 / (u(j) - u(k));
    polynomial.push_back(0);
    for (size_t p = polynomial.size(); p-- > 0;)
      polynomial[p] = ((p > 0 ? polynomial[p - 1] : 0) - u(k) * polynomial[p]) * scale;
  }
  double integral = 0;
  for (size_t p = 0; p < polynomial.size(); ++p) integral += polynomial[p] / static_cast<double>(p + 1);
  return integral * length;
}

class LmsSolver final : public SigmaSolver {
 public:
  LmsSolver(PredictionType prediction_type, std::vector<float> sigmas, int64_t order)
      : SigmaSolver(prediction_type, sigmas), sigmas_(std::move(sigmas)), order_(static_cast<size_t>(order)) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng&) override {
    const auto i = static_cast<size_t>(step.index);
    const Tensor x0 = this->x0(x, model_output, step);
    slopes_.push_front((x - x0) / sigmas_[i]);
    if (slopes_.size() > order_) slopes_.pop_back();
    Tensor next = x;
    for (size_t j = 0; j < slopes_.size(); ++j)
      next = at::add(next, slopes_[j], adams_bashforth(sigmas_, i, j, slopes_.size()));
    return {next, x0};
  }

 private:
  const std::vector<float> sigmas_;
  const size_t order_;
  std::deque<Tensor> slopes_;  // the newest first
};

class LmsScheduler final : public SigmaScheduler<SigmaConfig> {
 public:
  LmsScheduler(const SigmaConfig& config, const Json& json) : SigmaScheduler(kLmsName, config, json) {}

  std::vector<std::string_view> run_options() const override { return {"timesteps", "order"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const int64_t order = options.order.value_or(4);
    if (order < 1 || order > kHighestOrder)
      throw usage_error(fmt::format("order: expected 1 to {}, found {}", kHighestOrder, order));
    const auto grid = sigma_grid(config_, table_, rounded_to_float(sigma_timesteps(config_, options)));
    auto sigmas = with_last(grid.sigmas);
    if (const auto same = std::adjacent_find(sigmas.begin(), sigmas.end()); same != sigmas.end())
      throw usage_error(fmt::format("{}: two steps have the same noise level {}", kLmsName, *same),
                        "Take fewer steps or another spacing.");
    const double first = init_noise_sigma(config_.timestep_spacing, sigmas);
    return Run(timestep_tensors(std::vector<float>(grid.timesteps.begin(), grid.timesteps.end())), options.begin, first,
               std::make_unique<LmsSolver>(prediction_type, std::move(sigmas), order));
  }
};

}  // namespace

std::shared_ptr<const Scheduler> make_lms(const Json& json) {
  return std::make_shared<LmsScheduler>(read_config<SigmaConfig>(kLmsName, json), json);
}

}  // namespace unnoise
