#include "unnoise/recipes/averages.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/training/power_ema.h"

namespace unnoise {
namespace {

constexpr const char* kUsualWidths = "EDM2 keeps --ema-sigma-rel 0.05,0.1.";

void refuse_repeated(std::string_view flag, const std::vector<double>& values) {
  for (const double value : values)
    if (std::count(values.begin(), values.end(), value) > 1)
      throw usage_error(fmt::format("{}: {} is there twice", flag, value));
}

std::vector<EmaOptions> of_halflives(const TrainOptions& o) {
  std::vector<EmaOptions> averages;
  for (const double thousands : o.ema_halflife) {
    if (!(thousands > 0))
      throw usage_error(fmt::format("--ema-halflife: expected above 0 (thousands of pictures), found {}", thousands));
    averages.push_back({.halflife = thousands * 1000, .rampup_ratio = o.ema_rampup});
  }
  refuse_repeated("--ema-halflife", o.ema_halflife);
  if (!(o.ema_rampup >= 0)) throw usage_error(fmt::format("--ema-rampup: expected at least 0, found {}", o.ema_rampup));
  return averages;
}

void check_widths(const std::vector<double>& widths) {
  for (const double sigma_rel : widths) {
    if (!(sigma_rel > 0 && sigma_rel <= kLargestSigmaRel))
      throw usage_error(
          fmt::format("--ema-sigma-rel: expected above 0 and at most {:.4f}, found {}", kLargestSigmaRel, sigma_rel),
          kUsualWidths);
  }
  refuse_repeated("--ema-sigma-rel", widths);
}

}  // namespace

AveragesPlan plan_averages(const TrainOptions& o, int64_t total_updates) {
  AveragesPlan plan{.models = of_halflives(o),
                    .snapshots = {.sigma_rel = o.ema_sigma_rel, .dtype = o.ema_snapshot_dtype}};
  if (!plan.models.empty()) {
    plan.main = plan.models.front();
    plan.models.erase(plan.models.begin());
  } else if (o.use_ema) {
    plan.main = EmaOptions{
        .decay = o.ema_max_decay, .use_ema_warmup = true, .inv_gamma = o.ema_inv_gamma, .power = o.ema_power};
  }
  if (o.ema_sigma_rel.empty()) {
    if (o.ema_snapshot_steps)
      throw usage_error("--ema-snapshot-steps: there is nothing to store without --ema-sigma-rel", kUsualWidths);
    return plan;
  }
  check_widths(o.ema_sigma_rel);
  constexpr int64_t kUsualSnapshots = 32;  // docs/ema.md: what is rebuilt is then exact to about 1e-5
  plan.snapshots.every = o.ema_snapshot_steps.value_or((total_updates + kUsualSnapshots - 1) / kUsualSnapshots);
  if (plan.snapshots.every < 1)
    throw usage_error(fmt::format("--ema-snapshot-steps: expected at least 1, found {}", plan.snapshots.every));
  return plan;
}

Averages::Averages(const StateDict& named_parameters, const AveragesPlan& plan) : plan_(plan.snapshots) {
  const auto add = [&](const EmaOptions& options) {
    return all_.emplace_back(std::make_unique<Ema>(named_parameters, options)).get();
  };
  if (plan.main) add(*plan.main);
  for (const EmaOptions& options : plan.models) models_.push_back(add(options));
  for (const double sigma_rel : plan.snapshots.sigma_rel) stored_.push_back(add({.sigma_rel = sigma_rel}));
  for (const auto& average : all_) (main_ ? others_.emplace_back() : main_) = average.get();
}

void Averages::save_snapshots(const fs::path& run, int64_t step, bool last) const {
  if (stored_.empty() || (step % plan_.every != 0 && !last)) return;
  for (const Ema* average : stored_) save_ema_snapshot(run, *average, step, plan_.dtype);
}

}  // namespace unnoise
