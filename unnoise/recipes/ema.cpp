#include "unnoise/recipes/ema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "unnoise/core/error.h"
#include "unnoise/io/model_card.h"
#include "unnoise/logging/line_plot.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/recipes/ema_snapshots.h"
#include "unnoise/recipes/ema_sweep.h"
#include "unnoise/recipes/held_out_objective_loss.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/output_file.h"
#include "unnoise/recipes/train_evaluation.h"
#include "unnoise/recipes/train_options.h"
#include "unnoise/training/power_ema.h"

namespace unnoise {
namespace {

/// Above this distance of the profiles the average is no longer the one asked for: weights are off by about a tenth of
/// it (docs/ema.md).
constexpr double kWorstResidual = 0.05;

void check_options(const EmaJobOptions& o) {
  if (o.run.empty()) throw usage_error("--run: which run folder?");
  if (o.sigma_rel && o.halflife) throw usage_error("--sigma-rel and --halflife: give one of them");
  const bool one = o.sigma_rel || o.halflife;
  if (one && o.sweep) throw usage_error("--sweep tries many widths: leave --sigma-rel and --halflife out");
  if (one && !o.output && !o.svg) throw usage_error("--output: which folder should the model be written to?");
  if (o.sweep && o.svg) throw usage_error("--svg draws one average: leave --sweep out");
  if ((o.output || o.svg) && !one && !o.sweep)
    throw usage_error("which average?", "Give --sigma-rel 0.08, --halflife or --sweep.");
  if (o.svg) prepare_output_file(*o.svg);
  if (o.sigma_rel) gamma_of(*o.sigma_rel);
  for (const double sigma_rel : o.sweep_values) gamma_of(sigma_rel);
  if (o.halflife && !(*o.halflife > 0))
    throw usage_error(fmt::format("--halflife: expected above 0 (thousands of pictures), found {}", *o.halflife));
  const auto at_least = [](std::string_view flag, int64_t least, int64_t value) {
    if (value < least) throw usage_error(fmt::format("{}: expected at least {}, found {}", flag, least, value));
  };
  at_least("--num-images", 0, o.num_images);
  at_least("--batch-size", 1, o.batch_size);
  at_least("--seed", 0, o.seed);
  if (o.fd_images != 0) at_least("--fd-images", kLeastPictures, o.fd_images);
  at_least("--num-inference-steps", 1, o.num_inference_steps);
}

/// The snapshots up to the chosen step, which is the last one's.
std::vector<EmaSnapshot> usable_snapshots(const EmaJobOptions& o) {
  auto all = list_ema_snapshots(o.run);
  if (all.empty())
    throw data_error(fmt::format("\"{}\" holds no snapshots of averages", o.run),
                     "Train with --ema-sigma-rel 0.05,0.1 to have them stored.");
  if (!o.step) return all;
  std::vector<int64_t> steps;
  for (const EmaSnapshot& s : all)
    if (steps.empty() || steps.back() != s.step) steps.push_back(s.step);
  if (std::find(steps.begin(), steps.end(), *o.step) == steps.end())
    throw usage_error(fmt::format("--step {}: no snapshot was stored then", *o.step),
                      fmt::format("There are those of the steps {}.", fmt::join(steps, ", ")));
  std::erase_if(all, [&](const EmaSnapshot& s) { return s.step > *o.step; });
  return all;
}

std::vector<double> stored_widths(const std::vector<EmaSnapshot>& snapshots) {
  std::vector<double> widths;
  for (const EmaSnapshot& s : snapshots)
    if (std::find(widths.begin(), widths.end(), s.sigma_rel) == widths.end()) widths.push_back(s.sigma_rel);
  std::sort(widths.begin(), widths.end());
  return widths;
}

/// A run's averages, ready to be rebuilt into one network.
class Rebuilder {
 public:
  Rebuilder(const EmaJobOptions& o)
      : run_(o.run), snapshots_(usable_snapshots(o)), time_(static_cast<double>(snapshots_.back().images)) {
    const Json model = load_snapshot_model(run_);
    pipe_.unet_config = model.at("unet");
    pipe_.scheduler = scheduler_from_config(model.at("scheduler"));
    pipe_.self_conditioning = model.value("self_conditioning", false);
    pipe_.unet = std::make_shared<UNet2D>(unet2d_options(pipe_.unet_config), nullptr);
    pipe_.unet->requires_grad(false);
    pipe_.unet->to(find_device(o.device));
    for (const EmaSnapshot& s : snapshots_) profiles_.push_back({static_cast<double>(s.images), gamma_of(s.sigma_rel)});
  }

  const Unconditional& pipe() const { return pipe_; }
  const std::vector<EmaSnapshot>& snapshots() const { return snapshots_; }
  double time() const { return time_; }
  const std::vector<PowerProfile>& profiles() const { return profiles_; }

  ProfileFit fit(double sigma_rel) const { return fit_profile(profiles_, PowerProfile{time_, gamma_of(sigma_rel)}); }
  ProfileFit fit_halflife(double images) const { return fit_profile(profiles_, HalflifeProfile{time_, images}); }

  void set_weights(const ProfileFit& fit) {
    pipe_.unet->load_state(combine_snapshots(snapshots_, fit.weights), (run_ / "ema").string());
  }

  /// The network as it is, as a model folder with a card that says what it is.
  void save(const fs::path& folder, const std::string& what) const {
    pipe_.save(folder);
    ModelCard card;
    card.title = folder.filename().string().empty() ? "An average" : folder.filename().string();
    card.summary = fmt::format("{}, of the run \"{}\" at step {}, rebuilt from {} snapshots.", what,
                               fs::path(run_).filename().string(), snapshots_.back().step, snapshots_.size());
    save_model_card(folder, card);
  }

 private:
  fs::path run_;
  std::vector<EmaSnapshot> snapshots_;
  double time_;
  std::vector<PowerProfile> profiles_;
  Unconditional pipe_;
};

EmaJobResult list(const EmaJobOptions& o) {
  const auto snapshots = usable_snapshots(o);
  const auto widths = stored_widths(snapshots);
  int64_t bytes = 0;
  Json files = Json::array();
  for (const EmaSnapshot& s : snapshots) {
    bytes += static_cast<int64_t>(fs::file_size(s.file));
    files.push_back({{"file", s.file.string()}, {"step", s.step}, {"images", s.images}, {"sigma_rel", s.sigma_rel}});
  }
  if (o.json) return {.report = dump_json({{"run", o.run}, {"snapshots", files}}) + "\n", .files = {}};
  return {.report = fmt::format("{} snapshots of averages with sigma_rel {}, steps {} to {}, {}\n"
                                "Any other width from about {:.2g} to {:.2g} can be rebuilt: --sigma-rel W --output "
                                "DIR, or --sweep\n",
                                snapshots.size(), fmt::join(widths, ", "), snapshots.front().step,
                                snapshots.back().step, human_bytes(static_cast<double>(bytes)), widths.front(),
                                std::min(kLargestSigmaRel, 1.5 * widths.back())),
          .files = {}};
}

/// Of the chosen average and of what the snapshots make of it, between those that were kept.
LinePlot profile_plot(const EmaJobOptions& o, const Rebuilder& rebuilder, const ProfileFit& fit) {
  constexpr int kPoints = 400;
  LinePlot plot{.title = "how much each moment of the training counts",
                .x_label = "pictures trained on (thousands)",
                .y_label = "weight a thousand pictures",
                .curves = {}};
  const auto add = [&](const std::string& name, bool dashed, const auto& value) {
    Curve curve{.name = name, .x = {}, .y = {}, .dashed = dashed};
    for (int i = 0; i <= kPoints; ++i) {
      const double tau = rebuilder.time() * i / kPoints;
      curve.x.push_back(tau / 1000);
      curve.y.push_back(1000 * value(tau));
    }
    plot.curves.push_back(std::move(curve));
  };
  for (const double width : stored_widths(rebuilder.snapshots()))
    add(fmt::format("kept, sigma_rel {}", width), false, [&](double tau) {
      return profile_value(PowerProfile{rebuilder.time(), gamma_of(width)}, tau);
    });
  add(o.sigma_rel ? fmt::format("asked for, sigma_rel {}", *o.sigma_rel)
                  : fmt::format("asked for, half-life {} thousand", *o.halflife),
      false, [&](double tau) {
        return o.sigma_rel ? profile_value(PowerProfile{rebuilder.time(), gamma_of(*o.sigma_rel)}, tau)
                           : profile_value(HalflifeProfile{rebuilder.time(), *o.halflife * 1000}, tau);
      });
  add(fmt::format("rebuilt from {} snapshots", rebuilder.snapshots().size()), true, [&](double tau) {
    double sum = 0;
    for (size_t i = 0; i < fit.weights.size(); ++i) sum += fit.weights[i] * profile_value(rebuilder.profiles()[i], tau);
    return sum;
  });
  return plot;
}

EmaJobResult rebuild(const EmaJobOptions& o, const Observer& observer) {
  Rebuilder rebuilder(o);
  const std::string what =
      o.sigma_rel ? fmt::format("Power-function average with sigma_rel {}", *o.sigma_rel)
                  : fmt::format("Exponential average with a half-life of {} thousand pictures", *o.halflife);
  const ProfileFit fit = o.sigma_rel ? rebuilder.fit(*o.sigma_rel) : rebuilder.fit_halflife(*o.halflife * 1000);
  if (fit.residual > kWorstResidual)
    observer.warn(fmt::format(
        "the stored snapshots do not reach this average: its profile is met to {:.0f} %; stored are sigma_rel {}",
        100 * (1 - fit.residual), fmt::join(stored_widths(rebuilder.snapshots()), ", ")));
  std::vector<std::string> files;
  if (o.svg) {
    write_file_atomic(*o.svg, to_svg(profile_plot(o, rebuilder, fit)));
    files.push_back(*o.svg);
  }
  if (o.output) {
    rebuilder.set_weights(fit);
    rebuilder.save(*o.output, what);
    files.push_back(*o.output);
  }
  const Json json{
      {"model", o.output ? Json(*o.output) : Json()},        {"step", rebuilder.snapshots().back().step},
      {"snapshots", rebuilder.snapshots().size()},           {"sigma_rel", o.sigma_rel ? Json(*o.sigma_rel) : Json()},
      {"halflife", o.halflife ? Json(*o.halflife) : Json()}, {"residual", fit.residual}};
  return {.report = o.json ? dump_json(json) + "\n"
                           : fmt::format("{}\n{} snapshots up to step {}; the profile is met to {:.3f} %\n", what,
                                         rebuilder.snapshots().size(), rebuilder.snapshots().back().step,
                                         100 * (1 - fit.residual)),
          .files = files};
}

/// A dozen, evenly spaced on a logarithmic axis, from half the smallest stored width to twice the largest, and the
/// stored ones themselves.
std::vector<double> usual_widths(const std::vector<double>& stored) {
  const double from = stored.front() / 2, to = std::min(0.28, 2 * stored.back());
  constexpr int kCount = 12;
  std::vector<double> out = stored;
  for (int i = 0; i < kCount; ++i)
    out.push_back(std::round(1000 * from * std::pow(to / from, i / (kCount - 1.0))) / 1000);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  std::erase(out, 0.0);
  return out;
}

TrainOptions trained_with(const EmaJobOptions& o) {
  const fs::path file = fs::path(o.run) / "options.json";
  TrainOptions training;
  assign_json(training, read_json(file), file.string(), UnknownKeys::ignore);
  return training;
}

/// --data, which need not call itself a test part; else a part of the set that the run was trained on.
std::shared_ptr<const Dataset> held_out_set(const EmaJobOptions& o, const Observer& observer) {
  DatasetOptions set = o.data ? DatasetOptions{.path_or_name = *o.data} : training_set(trained_with(o));
  const bool whole = o.data && o.split == EmaJobOptions().split;
  set.split = o.split;
  if (const auto part = find_split(set, observer)) return part;
  if (!o.data)
    throw usage_error(fmt::format("--data: which pictures? The run was trained on \"{}\", which has no part \"{}\"",
                                  set.path_or_name, o.split),
                      "Give a folder of pictures that the run has not seen.");
  if (whole) set.split = DatasetOptions().split;
  return open_dataset(set, observer);
}

/// How far drawn pictures are from the run's own training pictures.
class DrawnDistance {
 public:
  DrawnDistance(const EmaJobOptions& o, const Observer& observer, const std::stop_token& stop)
      : draw_{.num_images = o.fd_images,
              .batch_size = std::min(o.batch_size, o.fd_images),
              .steps = o.num_inference_steps,
              .seed = static_cast<uint64_t>(o.seed)} {
    TrainOptions training = trained_with(o);
    training.device = o.device;
    const TrainPlan plan = plan_training(training, {});
    const std::shared_ptr<FeatureNetwork> network = load_feature_network("fmnist");
    network->to(plan.device);
    reference_ = read_reference(training_reference(plan, training.evaluate_num_reference), network,
                                {.metrics = {Metric::fd}}, observer, stop);
  }

  /// nullopt when stopped.
  std::optional<Estimate> of(const Unconditional& pipe, const Observer& observer, const std::stop_token& stop) const {
    if (!reference_) return std::nullopt;
    const DrawnPictures drawn = draw_to_measure(pipe, draw_, observer, stop);
    if (drawn.pictures.size() == 0) return std::nullopt;
    const auto quality = measure_quality(drawn.pictures, *reference_, observer, stop);
    return quality ? quality->fd : std::nullopt;
  }

 private:
  QualityDraw draw_;
  std::optional<QualityReference> reference_;
};

EmaJobResult sweep(const EmaJobOptions& o, const Observer& observer, const std::stop_token& stop) {
  Rebuilder rebuilder(o);
  const auto stored = stored_widths(rebuilder.snapshots());
  HeldOutObjectiveLoss loss(
      held_out_set(o, observer),
      {.num_images = o.num_images, .batch_size = o.batch_size, .seed = static_cast<uint64_t>(o.seed)}, rebuilder.pipe(),
      observer);

  std::vector<std::pair<double, ProfileFit>> tries;
  for (const double width : o.sweep_values.empty() ? usual_widths(stored) : o.sweep_values) {
    ProfileFit fit = rebuilder.fit(width);
    if (fit.residual <= kWorstResidual) {
      tries.emplace_back(width, std::move(fit));
    } else if (!o.sweep_values.empty()) {
      observer.warn(fmt::format("{} is left out: the snapshots meet its profile to {:.0f} % only", width,
                                100 * (1 - fit.residual)));
    }
  }
  if (tries.empty()) throw usage_error("--sweep-values: none of them can be rebuilt from the stored snapshots");

  EmaSweep found{.run = o.run,
                 .step = rebuilder.snapshots().back().step,
                 .num_images = loss.num_images(),
                 .fd_images = o.fd_images,
                 .stored = stored};
  std::optional<DrawnDistance> distance;
  if (o.fd_images > 0) distance.emplace(o, observer, stop);
  for (const auto& [width, fit] : tries) {
    rebuilder.set_weights(fit);
    const auto progress = [&](int64_t done) {
      const auto before = static_cast<int64_t>(found.rows.size());
      observer.progress({.stage = "ema",
                         .done = before * loss.num_images() + done,
                         .total = static_cast<int64_t>(tries.size()) * loss.num_images(),
                         .detail = fmt::format("sigma_rel {}", width)});
    };
    const Tensor losses = loss.per_image(progress, stop);
    if (!losses.defined()) return {.status = JobStatus::interrupted};
    std::optional<Estimate> fd;
    if (distance && !(fd = distance->of(rebuilder.pipe(), observer, stop))) return {.status = JobStatus::interrupted};
    found.rows.push_back({.sigma_rel = width, .residual = fit.residual, .losses = losses, .fd = fd});
  }

  const size_t best = best_row(found);
  EmaJobResult result{.files = write_sweep(found, o.report.value_or(o.run))};
  result.report = o.json ? dump_json(sweep_json(found)) + "\n" : sweep_table(found);
  if (o.output) {
    rebuilder.set_weights(tries[best].second);
    rebuilder.save(*o.output, fmt::format("Power-function average with sigma_rel {}, the best of a sweep",
                                          found.rows[best].sigma_rel));
    result.files.push_back(*o.output);
  }
  return result;
}

}  // namespace

EmaJobResult rebuild_averages(const EmaJobOptions& options, const Observer& observer, std::stop_token stop) {
  check_options(options);
  if (options.sweep || options.output) use_machine(options);
  if (options.sweep) return sweep(options, observer, stop);
  return options.sigma_rel || options.halflife ? rebuild(options, observer) : list(options);
}

}  // namespace unnoise
