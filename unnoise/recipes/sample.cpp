#include "unnoise/recipes/sample.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/io/image_write.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/recipes/frames.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/output_file.h"
#include "unnoise/recipes/pull.h"
#include "unnoise/recipes/scheduler_settings.h"
#include "unnoise/schedulers/ays.h"
#include "unnoise/schedulers/samplers.h"

namespace unnoise {
namespace {

constexpr int64_t kFrameMilliseconds = 50, kLastFrameMilliseconds = 1500;
constexpr int64_t kFrames = 50;  ///< about as many of the steps become frames of an animation

void check_options(const SampleOptions& o) {
  const auto at_least = [](std::string_view flag, int64_t least, int64_t value) {
    if (value < least) throw usage_error(fmt::format("{}: expected at least {}, found {}", flag, least, value));
  };
  if (o.num_images) at_least("--num-images", 1, *o.num_images);
  at_least("--batch-size", 1, o.batch_size);
  at_least("--seed", 0, o.seed);
  for (const int64_t seed : o.seeds) at_least("--seeds", 0, seed);
  if (o.num_inference_steps) at_least("--num-inference-steps", 1, *o.num_inference_steps);
  if (o.num_inference_steps && (o.timesteps || o.sigmas))
    throw usage_error("--num-inference-steps and --timesteps or --sigmas: give one of them",
                      "A list of your own says how many steps there are.");
  if ((o.timesteps || o.sigmas) + o.fitted_timesteps + o.ays.has_value() > 1)
    throw usage_error("--timesteps or --sigmas, --fitted-timesteps, --ays: give one of them");
}

int64_t choose_steps(const SampleOptions& o, const Scheduler& scheduler) {
  if (o.num_inference_steps) return *o.num_inference_steps;
  return std::min(find_sampler(scheduler.class_name()).info->usual_steps, scheduler.num_train_timesteps());
}

/// The saved scheduler, or the asked-for one with the asked-for settings.
std::shared_ptr<const Scheduler> choose_scheduler(const SampleOptions& o, const Unconditional& pipeline) {
  auto scheduler = pipeline.scheduler;
  if (o.scheduler != "as-saved") scheduler = make_scheduler(o.scheduler, *scheduler);
  Json changes = Json::object();
  if (o.clip_sample) changes["clip_sample"] = *o.clip_sample;
  if (o.timestep_spacing) changes["timestep_spacing"] = *o.timestep_spacing;
  changes.update(scheduler_settings(*scheduler, o.scheduler_options));
  if (changes.empty()) return scheduler;
  Json config = scheduler->given_config();
  config.update(changes);
  return make_scheduler(scheduler->class_name(), config);
}

/// Sheets of the first batch while it emerges.
class Animation {
 public:
  void add(const SampleStep& at) {
    const int64_t every = std::max<int64_t>(1, at.steps / kFrames);
    if (at.first_image == 0 && (at.step % every == 0 || at.step == 1 || at.step == at.steps))
      frames_.push_back(image_grid(to_unit_spread(at.x)));
  }
  const std::vector<Image>& frames() const { return frames_; }

 private:
  std::vector<Image> frames_;
};

/// The timesteps that were fitted to the model for `steps` steps.
std::vector<double> fitted_timesteps(const Scheduler& scheduler, int64_t steps) {
  const Json fitted = scheduler.given_config().value("fitted_timesteps", Json::object());
  const auto found = fitted.find(std::to_string(steps));
  if (found != fitted.end()) return found->get<std::vector<double>>();
  std::vector<std::string> known;
  for (const auto& [key, value] : fitted.items()) known.push_back(key);
  throw usage_error(fmt::format("--fitted-timesteps: the model has none for {} steps{}", steps,
                                known.empty() ? "" : fmt::format(", only for {}", fmt::join(known, ", "))),
                    fmt::format("Fit them: unnoise samplers --model DIR --fit-schedule {} --update-model", steps));
}

/// The align-your-steps grid: as sigmas where the sampler takes them, else as its ten timesteps.
void use_ays(const std::string& model, const Scheduler& scheduler, std::optional<int64_t> steps, StartOptions& start) {
  const auto takes = scheduler.run_options();
  const auto has = [&](std::string_view name) { return std::find(takes.begin(), takes.end(), name) != takes.end(); };
  if (has("sigmas")) {
    start.sigmas = ays_sigmas(model, steps.value_or(10));
  } else if (has("timesteps")) {
    start.timesteps = ays_timesteps(model);
    if (steps && *steps != static_cast<int64_t>(start.timesteps->size()))
      throw usage_error(
          fmt::format("--ays: {} takes timesteps, of which there are 10, not {}", scheduler.class_name(), *steps),
          "Ask for 10 steps, or choose a sampler that takes sigmas, such as euler.");
  } else {
    throw usage_error(fmt::format("--ays: {} takes neither sigmas nor timesteps", scheduler.class_name()));
  }
}

/// The model, for those who get the picture; of a grid in the model's own folder, which may be sent anywhere, ".".
std::string model_of(const SampleOptions& o) {
  std::error_code ec;
  if (o.grid && fs::equivalent(fs::path(*o.grid).parent_path(), o.model, ec)) return ".";
  return hub_label(o.model);
}

/// What it takes to draw the pictures again, as JSON.
Json settings(const SampleOptions& o, int64_t steps, int64_t num_images, const Scheduler& scheduler) {
  Json json{{"model", model_of(o)}, {"scheduler", scheduler.class_name()}, {"num_images", num_images}};
  if (!o.timesteps && !o.sigmas) json["num_inference_steps"] = steps;
  const Json given = to_json<StartOptions>(o), defaults = to_json(StartOptions{});
  for (const auto& [key, value] : given.items())
    if (value != defaults[key]) json[key] = value;
  if (!o.scheduler_options.empty()) json["scheduler_options"] = o.scheduler_options;
  if (!o.class_labels.empty()) json["class_labels"] = o.class_labels;
  if (!o.seeds.empty()) {
    json["seeds"] = o.seeds;
  } else {
    json["seed"] = o.seed;
    json["batch_size"] = o.batch_size;
  }
  return json;
}

PngText provenance(const Json& settings) {
  return {{"Software", fmt::format("unnoise {}", kVersion)}, {"parameters", dump_json_line(settings)}};
}

/// A picture's own: with --seeds its seed alone, for it does not depend on the others; else its place among them.
Json picture_settings(Json settings, const SampleOptions& o, size_t i) {
  if (o.seeds.empty()) {
    settings["index"] = i;
    return settings;
  }
  settings["seeds"] = Json::array({o.seeds[i]});
  settings["num_images"] = 1;
  if (o.class_labels.size() > 1) settings["class_labels"] = Json::array({o.class_labels[i]});
  return settings;
}

std::optional<std::string> output_folder(const SampleOptions& o) {
  if (o.output) return o.output;
  const bool other_outputs = o.grid || o.gif || o.apng || o.frames || o.save_tensor;
  return other_outputs ? std::nullopt : std::optional<std::string>("samples");
}

/// Fails before the first step rather than after the last.
void prepare_outputs(const SampleOptions& o) {
  if (const auto folder = output_folder(o)) make_folders(*folder);
  for (const auto& file : {o.grid, o.gif, o.apng, o.frames, o.save_tensor})
    if (file) prepare_output_file(*file);
}

std::vector<std::string> write_outputs(const SampleOptions& o, const Tensor& samples, const Animation& animation,
                                       const Frames& frames, const Json& how) {
  std::vector<std::string> files;
  const auto images = to_images(samples);
  if (const auto folder = output_folder(o))
    for (size_t i = 0; i < images.size(); ++i) {
      files.push_back((fs::path(*folder) / fmt::format("{:04}.png", i)).string());
      write_png(files.back(), images[i], provenance(picture_settings(how, o, i)));
    }
  if (o.grid) {
    write_png(*o.grid, image_grid(images), provenance(how));
    files.push_back(*o.grid);
  }
  if (o.gif) {
    write_gif(*o.gif, animation.frames(), kFrameMilliseconds, kLastFrameMilliseconds);
    files.push_back(*o.gif);
  }
  if (o.apng) {
    write_apng(*o.apng, animation.frames(), kFrameMilliseconds, kLastFrameMilliseconds);
    files.push_back(*o.apng);
  }
  if (o.frames) {
    Json with_steps = how;
    with_steps["frames_after_steps"] = frames.steps();
    write_grid(*o.frames, frames.grid(), provenance(with_steps));
    files.push_back(*o.frames);
  }
  if (o.save_tensor) {
    save_safetensors(*o.save_tensor, {{"samples", samples}});
    files.push_back(*o.save_tensor);
  }
  return files;
}

}  // namespace

SampleResult sample(const SampleOptions& options, const Observer& observer, std::stop_token stop) {
  check_options(options);
  use_machine(options);
  Unconditional pipeline = Unconditional::load(options.model, {.variant = options.variant.value_or("")});
  pipeline.unet->to(find_device(options.device));
  pipeline.scheduler = choose_scheduler(options, pipeline);

  SampleResult result;
  Animation animation;
  Frames frames;
  SampleRequest request{.num_images = options.num_images,
                        .batch = options.batch_size,
                        .steps = choose_steps(options, *pipeline.scheduler),
                        .seed = static_cast<uint64_t>(options.seed),
                        .seeds = {options.seeds.begin(), options.seeds.end()},
                        .start = options,
                        .height = options.height,
                        .width = options.width,
                        .class_labels = options.class_labels,
                        .on_step = {}};
  if (!options.num_images && options.seeds.empty()) request.num_images = 1;
  if (options.fitted_timesteps) request.start.timesteps = fitted_timesteps(*pipeline.scheduler, request.steps);
  request.on_step = [&](const SampleStep& at) {
    ++result.model_calls;
    if (options.gif || options.apng) animation.add(at);
    if (options.frames) frames.add(at);
  };
  if (options.ays) use_ays(*options.ays, *pipeline.scheduler, options.num_inference_steps, request.start);
  prepare_outputs(options);

  const auto started = std::chrono::steady_clock::now();
  const Tensor samples = pipeline.sample(request, observer, stop);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (stop.stop_requested()) result.status = JobStatus::interrupted;
  if (!samples.defined()) return result;

  result.files = write_outputs(options, samples, animation, frames,
                               settings(options, request.steps, samples.size(0), *pipeline.scheduler));
  return result;
}

}  // namespace unnoise
