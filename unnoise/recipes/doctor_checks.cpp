#include "unnoise/recipes/doctor_checks.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/logging/line_plot.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/training/gradient_noise.h"
#include "unnoise/training/health.h"
#include "unnoise/training/lr_range.h"

namespace unnoise {
namespace {

constexpr int64_t kWarmUpSteps = 10;     // of the short run
constexpr double kLearnedByHeart = 0.2;  // of the first loss
constexpr int64_t kGroup = 8;            // batches of a group for the noise scale
constexpr size_t kBins = 10;

std::string write_figure(const Examination& on, const std::string& name, const LinePlot& plot) {
  make_folders(on.folder);
  write_file_atomic(on.folder / name, to_svg(plot));
  return name;
}

void show(const Examination& on, std::string_view stage, int64_t done, int64_t total, double loss) {
  on.observer.progress({.stage = stage, .done = done, .total = total, .detail = fmt::format("loss {:.4f}", loss)});
}

/// 0.00037 -> "4e-04": a rate that one would type.
std::string rate_text(double rate) { return fmt::format("{:.0e}", rate); }

std::vector<double> counted(size_t n) {
  std::vector<double> steps;
  for (size_t i = 1; i <= n; ++i) steps.push_back(static_cast<double>(i));
  return steps;
}

double mean_of(const std::vector<double>& values, size_t first, size_t last) {
  double sum = 0;
  for (size_t i = first; i < last; ++i) sum += values[i];
  return sum / static_cast<double>(last - first);
}

/// Layers without a gradient, and a network that says the same to every picture.
void look_for_dead_layers(const Examination& on, Finding& finding, std::vector<std::string>& troubles) {
  const MicroBatch batch = on.subject.next_batch();
  const NoiseDraw noise = on.subject.draw(batch.x0);
  on.subject.accumulate(batch, noise);
  const auto dead = on.subject.parameters_without_gradient();
  on.subject.drop_gradients();
  finding.numbers["parameters_without_gradient"] = dead;
  if (!dead.empty())
    troubles.push_back(fmt::format("{} parameters have a gradient of exactly zero ({}{}): those layers are dead",
                                   dead.size(), dead.front(), dead.size() > 1 ? ", ..." : ""));
  const double variation = batch.x0.size(0) > 1 ? on.subject.variation_of_answers(batch, noise) : 1;
  finding.numbers["variation_of_answers"] = variation;
  if (variation < 1e-4)
    troubles.push_back("the network gives the same answer to every picture: its output is constant");
}

}  // namespace

Finding examine_learning_rate(const Examination& on) {
  const DoctorOptions& o = on.options;
  on.subject.reset();
  const MicroBatch probe = on.subject.next_batch();
  const NoiseDraw noise = on.subject.draw(probe.x0);
  const auto rates = lr_ladder(o.lr_lowest, o.lr_highest, o.lr_steps);
  std::vector<double> losses;
  for (const double rate : rates) {
    if (on.halts() || lr_range_is_over(losses)) break;
    const MicroBatch batch = on.subject.next_batch();
    const TrainStepResult step = on.subject.step(batch, on.subject.draw(batch.x0), rate);
    losses.push_back(step.outcome == StepOutcome::updated ? on.subject.loss(probe, noise) : std::nan(""));
    show(on, "learning rate", static_cast<int64_t>(losses.size()), o.lr_steps, losses.back());
  }
  on.subject.reset();  // the next examination shall not begin with what diverged here
  const std::vector<double> tried(rates.begin(), rates.begin() + static_cast<int64_t>(losses.size()));
  const LrFinding found = judge_lr_range(tried, losses);

  Finding finding{.check = DoctorCheck::lr};
  std::vector<double> decades;
  for (const double rate : tried) decades.push_back(std::log10(rate));
  LinePlot plot{.title = "Learning-rate range test",
                .x_label = "log10 of the learning rate",
                .y_label = "loss",
                .curves = {{.name = "loss", .x = decades, .y = losses}},
                .log_y = true};
  if (found.suggested) {
    const auto [low, high] = std::minmax_element(losses.begin(), losses.end());
    plot.curves.push_back({.name = "suggested " + rate_text(*found.suggested),
                           .x = {std::log10(*found.suggested), std::log10(*found.suggested)},
                           .y = {*low, *high},
                           .dashed = true});
  }
  finding.figure = write_figure(on, "learning_rate.svg", plot);
  finding.numbers = {{"learning_rate", o.learning_rate}, {"rates", tried}, {"losses", losses}};
  if (!found.suggested) {
    finding.healthy = false;
    finding.found = fmt::format("the loss did not fall at any rate from {:g} to {:g}", o.lr_lowest, o.lr_highest);
    finding.advice = "Look at what the other examinations say, or widen --lr-lowest and --lr-highest.";
    return finding;
  }
  finding.numbers["suggested"] = *found.suggested;
  if (found.diverges_above) finding.numbers["diverges_above"] = *found.diverges_above;
  finding.found =
      fmt::format("about {} suits this network and data{}", rate_text(*found.suggested),
                  found.diverges_above ? fmt::format("; above {} the loss rises", rate_text(*found.diverges_above))
                                       : std::string());
  const double ratio = o.learning_rate / *found.suggested;
  const bool diverges = found.diverges_above && o.learning_rate >= *found.diverges_above;
  finding.healthy = !diverges && ratio < 10 && ratio > 0.05;
  finding.advice =
      diverges     ? fmt::format("--learning-rate {:g} will make it diverge: use {}.", o.learning_rate,
                                 rate_text(*found.suggested))
      : ratio > 10 ? fmt::format("--learning-rate {:g} is risky: try {}.", o.learning_rate, rate_text(*found.suggested))
      : ratio < 0.05
          ? fmt::format("--learning-rate {:g} will learn slowly: try {}.", o.learning_rate, rate_text(*found.suggested))
          : fmt::format("--learning-rate {:g} is in the good range.", o.learning_rate);
  return finding;
}

Finding examine_short_run(const Examination& on) {
  const DoctorOptions& o = on.options;
  on.subject.reset();
  Finding finding{.check = DoctorCheck::run};
  TrainingHealth health;
  std::vector<double> losses, norms;
  std::vector<std::string> troubles;
  for (int64_t i = 0; i < o.run_steps && !on.halts(); ++i) {
    const double rate = o.learning_rate * std::min(1.0, static_cast<double>(i + 1) / static_cast<double>(kWarmUpSteps));
    const MicroBatch batch = on.subject.next_batch();
    const TrainStepResult step = on.subject.step(batch, on.subject.draw(batch.x0), rate);
    if (step.outcome != StepOutcome::updated) {
      troubles.push_back(fmt::format("the {} is not finite at step {}",
                                     step.outcome == StepOutcome::loss_not_finite ? "loss" : "gradient", i + 1));
      on.subject.drop_gradients();
      break;
    }
    losses.push_back(step.loss);
    norms.push_back(step.grad_norm.value_or(0));
    if (auto trouble = health.look(step.loss, norms.back(), rate)) troubles.push_back(*trouble);
    show(on, "short run", i + 1, o.run_steps, step.loss);
  }
  if (losses.size() >= 4) {
    const size_t quarter = losses.size() / 4, n = losses.size();
    const double before = mean_of(losses, 0, quarter), after = mean_of(losses, n - quarter, n);
    finding.numbers["loss_before"] = before;
    finding.numbers["loss_after"] = after;
    finding.found = fmt::format("in {} steps the loss went from {:.3g} to {:.3g}", n, before, after);
    if (after > 1.5 * before)
      troubles.push_back("the loss grew: the learning rate is too high for a run without a long warm-up");
    const double norm_before = mean_of(norms, 0, quarter), norm_after = mean_of(norms, n - quarter, n);
    finding.numbers["grad_norm_before"] = norm_before;
    finding.numbers["grad_norm_after"] = norm_after;
    if (norm_after > 10 * norm_before) troubles.push_back("the gradient's norm grew tenfold");
  }
  if (static_cast<int64_t>(losses.size()) == o.run_steps) look_for_dead_layers(on, finding, troubles);
  finding.figure = write_figure(on, "short_run.svg",
                                {.title = "Short run at the planned learning rate",
                                 .x_label = "step",
                                 .y_label = "loss and gradient norm",
                                 .curves = {{.name = "loss", .x = counted(losses.size()), .y = losses},
                                            {.name = "gradient norm", .x = counted(norms.size()), .y = norms}},
                                 .log_y = true});
  finding.healthy = troubles.empty();
  if (troubles.empty()) {
    finding.advice = "Every layer gets a gradient and nothing explodes.";
  } else {
    finding.found += finding.found.empty() ? "" : "; ";
    finding.found += fmt::format("{}", fmt::join(troubles, "; "));
    finding.advice =
        "Try a lower --learning-rate or a longer --lr-warmup-steps; a dead layer needs other initial weights.";
  }
  return finding;
}

Finding examine_overfit(const Examination& on) {
  const DoctorOptions& o = on.options;
  on.subject.reset();
  MicroBatch batch = on.subject.next_batch();
  const int64_t count = std::min(o.overfit_images, batch.x0.size(0));
  batch.x0 = batch.x0.narrow(0, 0, count);
  if (batch.labels.defined()) batch.labels = batch.labels.narrow(0, 0, count);
  const NoiseDraw noise = on.subject.draw(batch.x0);
  std::vector<double> losses;
  while (static_cast<int64_t>(losses.size()) < o.overfit_steps && !on.halts()) {
    const double warm_up = static_cast<double>(losses.size() + 1) / static_cast<double>(kWarmUpSteps);
    const TrainStepResult step = on.subject.step(batch, noise, o.learning_rate * std::min(1.0, warm_up));
    losses.push_back(step.loss);
    if (step.outcome != StepOutcome::updated) break;
    show(on, "overfit one batch", static_cast<int64_t>(losses.size()), o.overfit_steps, step.loss);
    if (step.loss < 0.5 * kLearnedByHeart * losses.front()) break;
  }
  Finding finding{.check = DoctorCheck::overfit};
  on.subject.reset();
  if (losses.empty()) return finding;
  const double share = losses.back() / losses.front();
  finding.healthy = share < kLearnedByHeart;
  finding.numbers = {
      {"steps", losses.size()}, {"images", count}, {"first_loss", losses.front()}, {"last_loss", losses.back()}};
  finding.found = fmt::format("on {} pictures with fixed noise the loss fell from {:.3g} to {:.3g} in {} steps", count,
                              losses.front(), losses.back(), losses.size());
  finding.advice = finding.healthy
                       ? "The network, the loss and the optimizer work together."
                       : "It should fall below a fifth: the network is too small, the learning rate wrong (see "
                         "lr), or more --overfit-steps are needed.";
  finding.figure = write_figure(on, "overfit.svg",
                                {.title = "One batch, learned by heart",
                                 .x_label = "step",
                                 .y_label = "loss",
                                 .curves = {{.name = "loss", .x = counted(losses.size()), .y = losses}},
                                 .log_y = true});
  return finding;
}

Finding examine_noise_scale(const Examination& on, std::vector<std::pair<double, double>>& losses) {
  const DoctorOptions& o = on.options;
  GradientNoise noise(o.train_batch_size);
  int64_t in_group = 0;
  for (int64_t i = 0; i < o.noise_batches && !on.halts(); ++i) {
    const MicroBatch batch = on.subject.next_batch();
    if (batch.x0.size(0) != o.train_batch_size) continue;  // the short end of an epoch
    on.subject.drop_gradients();
    const TrainStepResult step = on.subject.accumulate(batch, on.subject.draw(batch.x0));
    if (step.outcome == StepOutcome::loss_not_finite) break;
    noise.add(on.subject.gradients());
    if (++in_group % kGroup == 0) noise.end_group();
    const Tensor t = step.timesteps.to(at::kCPU, at::kDouble), loss = step.per_sample.to(at::kCPU, at::kDouble);
    for (int64_t k = 0; k < t.numel(); ++k) losses.emplace_back(t[k].item<double>(), loss[k].item<double>());
    show(on, "gradient noise", i + 1, o.noise_batches, step.loss);
  }
  noise.end_group();
  on.subject.drop_gradients();
  Finding finding{.check = DoctorCheck::noise_scale};
  const double scale = noise.noise_scale(),
               batch = static_cast<double>(o.train_batch_size * o.gradient_accumulation_steps);
  if (std::isnan(scale)) {
    finding.healthy = false;
    finding.found = "no gradients could be compared";
    finding.advice = "Use more --noise-batches, or a batch that the data fill.";
    return finding;
  }
  finding.numbers = {{"batch_size", batch}, {"gradient_squared", noise.gradient_squared()}, {"trace", noise.trace()}};
  if (std::isinf(scale)) {
    finding.found = fmt::format("noise is all that batches of {:g} pictures show", batch);
    finding.advice = "A larger batch, or --gradient-accumulation-steps, makes each step better nearly in proportion.";
    return finding;
  }
  finding.numbers["noise_scale"] = scale;
  finding.found =
      fmt::format("the gradient's noise scale is about {:.2g} pictures at this stage; a step takes {:g}", scale, batch);
  finding.advice =
      batch < scale / 4 ? "A larger batch saves nearly as many steps as it costs pictures; the scale grows as "
                          "training goes on."
      : batch > 4 * scale
          ? "Much of each batch is spent on certainty that does not pay yet: a smaller one learns more per "
            "picture; the scale grows as training goes on, so this may be right later."
          : "The batch is of the size that pays.";
  return finding;
}

Finding examine_timesteps(const Examination& on, const std::vector<std::pair<double, double>>& losses) {
  Finding finding{.check = DoctorCheck::timesteps};
  if (losses.empty()) {
    finding.found = "no losses were measured";
    finding.healthy = false;
    return finding;
  }
  const auto [low, high] = std::minmax_element(losses.begin(), losses.end());
  const double first = low->first, width = std::max(high->first - first, 1e-9) / static_cast<double>(kBins);
  std::vector<double> sums(kBins), counts(kBins), middles, means;
  double total = 0;
  for (const auto& [t, loss] : losses) {
    const size_t bin = std::min(kBins - 1, static_cast<size_t>((t - first) / width));
    sums[bin] += loss;
    counts[bin] += 1;
    total += loss;
  }
  size_t hardest = 0;
  for (size_t bin = 0; bin < kBins; ++bin) {
    middles.push_back(first + width * (static_cast<double>(bin) + 0.5));
    means.push_back(counts[bin] > 0 ? sums[bin] / counts[bin] : std::nan(""));
    if (sums[bin] > sums[hardest]) hardest = bin;
  }
  Json bins = Json::array();
  for (const double mean : means) bins.push_back(std::isfinite(mean) ? Json(mean) : Json());
  finding.numbers = {{"timesteps", middles}, {"losses", bins}};
  const double share = sums[hardest] / total;
  finding.numbers["hardest_share"] = share;
  finding.found =
      fmt::format("{:.0f} % of the loss comes from timesteps {:.3g} to {:.3g}", 100 * share,
                  first + width * static_cast<double>(hardest), first + width * static_cast<double>(hardest + 1));
  finding.advice = share > 0.6
                       ? "One tenth of the noise levels decides the gradient: a weighting such as --snr-gamma 5, or "
                         "another --prediction-type, spreads it."
                       : "The noise levels share the loss as they should.";
  finding.figure = write_figure(on, "timesteps.svg",
                                {.title = "Loss by noise level",
                                 .x_label = "what the network is told of the noise level",
                                 .y_label = "mean loss",
                                 .curves = {{.name = "loss", .x = middles, .y = means, .dots = true}}});
  return finding;
}

}  // namespace unnoise
