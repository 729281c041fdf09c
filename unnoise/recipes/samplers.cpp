#include "unnoise/recipes/samplers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/io/image_write.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/logging/line_plot.h"
#include "unnoise/recipes/fit_schedule.h"
#include "unnoise/recipes/labelled_grid.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/pull.h"
#include "unnoise/recipes/sampler_comparison.h"
#include "unnoise/schedulers/samplers.h"

namespace unnoise {
namespace {

constexpr int64_t kShownPictures = 2;  // of each sampler and budget, in the grid

// The list

std::string aliases_of(std::string_view name) {
  std::vector<std::string_view> found;
  for (const SamplerAlias& alias : sampler_aliases())
    if (alias.name == name) found.push_back(alias.alias);
  return fmt::format("{}", fmt::join(found, ", "));
}

std::string list_as_text() {
  std::string text = fmt::format("{:<22} {:>6} {:>9} {:>6}  {}\n", "name", "order", "calls", "noise", "when to use it");
  for (const SamplerInfo& s : samplers()) {
    const auto calls = s.calls.substr(0, s.calls.find_first_of(",("));
    text += fmt::format("{:<22} {:>6} {:>9} {:>6}  {}\n", s.name, s.order, calls, s.stochastic ? "yes" : "-", s.when);
  }
  text += "\nN = --num-inference-steps. Names of AUTOMATIC1111's web UI are understood too:\n";
  for (const SamplerInfo& s : samplers())
    if (const auto also = aliases_of(s.name); !also.empty()) text += fmt::format("{:<22} {}\n", s.name, also);
  return text + "\nTry them on a model of yours: unnoise samplers --model DIR\n";
}

std::string list_as_markdown() {
  std::string text =
      "| name | class | paper | order | noise | calls for N steps | A1111 | when to use it |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const SamplerInfo& s : samplers())
    text += fmt::format("| `{}` | {}{} | {} | {} | {} | {} | {} | {} |\n", s.name, s.class_name,
                        s.in_diffusers ? "" : " (unnoise only)", s.paper, s.order, s.stochastic ? "yes" : "no", s.calls,
                        aliases_of(s.name), s.when);
  return text;
}

Json list_as_json() {
  Json list = Json::array();
  for (const SamplerInfo& s : samplers())
    list.push_back({{"name", s.name},
                    {"class_name", s.class_name},
                    {"in_diffusers", s.in_diffusers},
                    {"paper", s.paper},
                    {"order", s.order},
                    {"stochastic", s.stochastic},
                    {"calls", s.calls},
                    {"usual_steps", s.usual_steps},
                    {"special", s.special},
                    {"aliases", aliases_of(s.name)},
                    {"when", s.when}});
  return list;
}

// The comparison

struct Comparison {
  std::vector<int64_t> budgets;
  SamplerRun reference;
  std::vector<SamplerScore> scores;
  std::string spacing;
};

/// The deterministic sampler closest to the reference within a budget.
const SamplerScore* best_within(const Comparison& c, size_t budget) {
  const SamplerScore* best = nullptr;
  double least = 0;
  for (const SamplerScore& score : c.scores) {
    if (score.stochastic) continue;
    for (const auto& run : score.runs) {
      if (!run || run->calls > c.budgets[budget]) continue;
      if (best && run->distance >= least) continue;
      best = &score;
      least = run->distance;
    }
  }
  return best;
}

std::string cell(const std::optional<SamplerRun>& run, bool stochastic) {
  if (!run) return "-";
  return fmt::format("{}{:.2f} ({}, {:.1f} s)", stochastic ? "~" : "", run->distance, run->calls, run->seconds);
}

/// How to draw with it.
std::string command_of(const SamplerScore& score, const Comparison& c) {
  std::string command = fmt::format(
      "--scheduler {}", score.name.find(' ') == std::string::npos ? score.name : fmt::format("\"{}\"", score.name));
  return c.spacing == "as-saved" ? command : fmt::format("{} --timestep-spacing {}", command, c.spacing);
}

std::string as_table(const Comparison& c) {
  std::string text = fmt::format("{:<22}", "up to so many calls");
  for (const int64_t budget : c.budgets) text += fmt::format("{:>22}", budget);
  text += "\n";
  for (const SamplerScore& score : c.scores) {
    text += fmt::format("{:<22}", score.name);
    for (const auto& run : score.runs) text += fmt::format("{:>22}", cell(run, score.stochastic));
    text += "\n";
  }
  text += fmt::format(
      "\nDistance from the exact picture (DDIM in {} steps, {:.1f} s) in grey levels of 255, root mean square; in "
      "brackets the calls\nof the network really made and the time for all pictures. ~ marks samplers that add noise: "
      "other pictures by design.\nAll with timestep_spacing {}.\n\n",
      c.reference.calls, c.reference.seconds, c.spacing);
  for (size_t i = 0; i < c.budgets.size(); ++i)
    if (const SamplerScore* best = best_within(c, i))
      text += fmt::format("best with {:>3} calls: {}\n", c.budgets[i], command_of(*best, c));
  return text;
}

Json as_json(const Comparison& c, const SamplersOptions& o) {
  Json list = Json::array();
  for (const SamplerScore& score : c.scores) {
    Json runs = Json::array();
    for (const auto& run : score.runs)
      runs.push_back(run ? Json{{"calls", run->calls},
                                {"steps", run->steps},
                                {"distance", run->distance},
                                {"seconds", run->seconds}}
                         : Json(nullptr));
    list.push_back({{"name", score.name}, {"stochastic", score.stochastic}, {"runs", runs}});
  }
  Json best = Json::object();
  for (size_t i = 0; i < c.budgets.size(); ++i)
    if (const SamplerScore* found = best_within(c, i)) best[std::to_string(c.budgets[i])] = found->name;
  return {{"model", hub_label(o.model.value_or(""))},
          {"num_images", o.num_images},
          {"seed", o.seed},
          {"timestep_spacing", c.spacing},
          {"budgets", c.budgets},
          {"reference", {{"sampler", "ddim"}, {"calls", c.reference.calls}, {"seconds", c.reference.seconds}}},
          {"samplers", list},
          {"best", best}};
}

/// Distance over calls, of the samplers without noise that come closest; more curves than colours are not read.
std::string curves_as_svg(const Comparison& c) {
  LinePlot plot{.title = "How close a sampler comes to the exact picture",
                .x_label = "calls of the network",
                .y_label = "distance, grey levels (RMS)",
                .curves = {},
                .log_y = true};
  std::vector<const SamplerScore*> by_closeness;
  const auto closest = [](const SamplerScore& score) {
    double least = 1e30;
    for (const auto& run : score.runs)
      if (run) least = std::min(least, run->distance * static_cast<double>(run->calls));
    return least;
  };
  for (const SamplerScore& score : c.scores)
    if (!score.stochastic) by_closeness.push_back(&score);
  std::stable_sort(by_closeness.begin(), by_closeness.end(),
                   [&](const auto* a, const auto* b) { return closest(*a) < closest(*b); });
  if (by_closeness.size() > kPlotColors) by_closeness.resize(kPlotColors);
  for (const SamplerScore* score : by_closeness) {
    Curve curve{.name = score->name, .x = {}, .y = {}, .dots = true};
    for (const auto& run : score->runs)
      if (run) {
        curve.x.push_back(static_cast<double>(run->calls));
        curve.y.push_back(run->distance);
      }
    plot.curves.push_back(std::move(curve));
  }
  return to_svg(plot);
}

LabelledGrid pictures_of(const Comparison& c) {
  const int64_t shown = std::min(kShownPictures, c.reference.pictures.size(0));
  const auto first = [&](const Tensor& pictures) { return to_images(pictures.narrow(0, 0, shown)); };
  const auto exact = first(c.reference.pictures);
  LabelledGrid grid{
      .title = "The same noise, every sampler", .columns = {}, .columns_each = shown, .rows = {{"exact", {}}}};
  for (const int64_t budget : c.budgets) {
    grid.columns.push_back(fmt::format("{} calls", budget));
    grid.rows[0].pictures.insert(grid.rows[0].pictures.end(), exact.begin(), exact.end());
  }
  for (const SamplerScore& score : c.scores) {
    LabelledRow row{score.stochastic ? score.name + " ~" : score.name, {}};
    for (const auto& run : score.runs) {
      const Image blank = blank_image(exact[0].width, exact[0].height, exact[0].channels);
      const auto pictures = run ? first(run->pictures) : std::vector<Image>(static_cast<size_t>(shown), blank);
      row.pictures.insert(row.pictures.end(), pictures.begin(), pictures.end());
    }
    grid.rows.push_back(std::move(row));
  }
  return grid;
}

void check_options(const SamplersOptions& o) {
  const auto at_least = [](std::string_view flag, int64_t least, int64_t value) {
    if (value < least) throw usage_error(fmt::format("{}: expected at least {}, found {}", flag, least, value));
  };
  at_least("--num-images", 1, o.num_images);
  at_least("--reference-steps", 1, o.reference_steps);
  at_least("--seed", 0, o.seed);
  if (o.calls.empty()) throw usage_error("--calls: the list is empty");
  for (const int64_t calls : o.calls) at_least("--calls", 1, calls);
  if (o.json && o.markdown) throw usage_error("--json and --markdown: give one of them");
  if (!o.model && o.fit_schedule) throw usage_error("--fit-schedule needs a model", "Give --model DIR.");
  if (o.update_model && !o.fit_schedule) throw usage_error("--update-model stores what --fit-schedule N finds");
  if (o.update_model && hub_label(*o.model) != *o.model)
    throw usage_error("--update-model: this model belongs to the folder of downloads",
                      fmt::format("Make a copy of your own: unnoise pull {} --output my-copy", hub_label(*o.model)));
}

SamplersResult compare(const SamplersOptions& o, const Trial& trial, const Observer& observer,
                       const std::stop_token& stop) {
  Comparison c;
  c.budgets = o.calls;
  c.spacing = o.timestep_spacing;
  const auto names = o.samplers.empty() ? samplers_for(*trial.pipe.scheduler) : o.samplers;
  for (const std::string& name : names) (void)make_scheduler(name, *trial.pipe.scheduler);  // errors before the work
  make_folders(o.output);

  const auto at = [&](size_t done, const std::string& what) {
    observer.progress({.stage = "samplers",
                       .done = static_cast<int64_t>(done),
                       .total = static_cast<int64_t>(names.size()) + 1,
                       .detail = what});
  };
  at(0, "exact picture");
  c.reference = reference_run(trial, o.reference_steps, {}, stop);
  if (!c.reference.pictures.defined()) return {.status = JobStatus::interrupted};
  for (size_t i = 0; i < names.size() && !stop.stop_requested(); ++i) {
    at(i + 1, names[i]);
    c.scores.push_back(score_sampler(trial, names[i], o.calls, c.reference.pictures, {}, stop));
  }
  if (stop.stop_requested()) return {.status = JobStatus::interrupted};

  SamplersResult result;
  const fs::path folder = o.output;
  const auto write = [&](const char* name, const std::string& bytes) {
    write_file_atomic(folder / name, bytes);
    result.files.push_back((folder / name).string());
  };
  const LabelledGrid grid = pictures_of(c);
  const Json json = as_json(c, o);
  write("samplers.svg", curves_as_svg(c));
  write("grid.svg", to_svg(grid));
  write("grid.png", encode_png(sheet_of(grid)));
  write("report.json", dump_json(json) + "\n");
  result.report = o.json ? dump_json(json) + "\n" : as_table(c);
  return result;
}

// The fit

/// "fitted_timesteps": {"10": [...]} on top of what the config holds.
Json with_fitted(Json config, const std::vector<int64_t>& timesteps) {
  Json fitted = config.value("fitted_timesteps", Json::object());
  fitted[std::to_string(timesteps.size())] = timesteps;
  config["fitted_timesteps"] = fitted;
  return config;
}

SamplersResult fit(const SamplersOptions& o, const Trial& trial, const Observer& observer,
                   const std::stop_token& stop) {
  const auto scheduler = make_scheduler(o.fit_sampler, *trial.pipe.scheduler);
  const FittedSchedule found = fit_schedule(trial, scheduler, *o.fit_schedule, o.reference_steps, observer, stop);
  if (found.timesteps.empty()) return {.status = JobStatus::interrupted};

  SamplersResult result;
  const auto save = [&](const fs::path& model_dir, const Json& config) {
    save_component_config(model_dir / "scheduler", config, "scheduler_config.json");
    result.files.push_back((model_dir / "scheduler" / "scheduler_config.json").string());
  };
  save(o.output, with_fitted(scheduler->config(), found.timesteps));
  if (o.update_model) {
    const Json as_saved = load_component_config(*o.model, "scheduler", "scheduler_config.json");
    save(*o.model, with_fitted(as_saved, found.timesteps));
  }

  const Json json{{"timesteps", found.timesteps},
                  {"sampler", o.fit_sampler},
                  {"distance", found.distance},
                  {"usual_distance", found.usual_distance}};
  result.report =
      o.json
          ? dump_json(json) + "\n"
          : fmt::format(
                "{} timesteps for {}: {}\non noise that the fit did not see, {:.2f} grey levels (RMS) from the exact "
                "picture; with the sampler's own timesteps {:.2f}\n",
                found.timesteps.size(), o.fit_sampler, fmt::join(found.timesteps, ","), found.distance,
                found.usual_distance);
  return result;
}

}  // namespace

SamplersResult samplers_report(const SamplersOptions& options, const Observer& observer, std::stop_token stop) {
  check_options(options);
  if (!options.model) {
    SamplersResult list;
    list.report = options.json       ? dump_json(list_as_json()) + "\n"
                  : options.markdown ? list_as_markdown()
                                     : list_as_text();
    return list;
  }
  use_machine(options);
  Unconditional pipe = Unconditional::load(*options.model, {.variant = options.variant.value_or("")});
  pipe.unet->to(find_device(options.device));
  if (options.timestep_spacing != "as-saved") {
    Json config = pipe.scheduler->given_config();
    config["timestep_spacing"] = options.timestep_spacing;
    pipe.scheduler = make_scheduler(pipe.scheduler->class_name(), config);
  }
  const Trial trial{pipe, options.num_images, options.class_labels, static_cast<uint64_t>(options.seed)};
  return options.fit_schedule ? fit(options, trial, observer, stop) : compare(options, trial, observer, stop);
}

}  // namespace unnoise
