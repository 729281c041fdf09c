#include "unnoise/recipes/sample.h"

#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/io/image_write.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

constexpr int64_t kFrameMilliseconds = 50, kLastFrameMilliseconds = 1500;
constexpr int64_t kFrames = 50;  ///< about as many of the steps become frames of an animation

/// The options with everything that follows from them filled in.
struct Request {
  int64_t num_images = 1;
  int64_t batch_size = 1;
  int64_t steps = 0;
  std::vector<uint64_t> seeds;  ///< a stream a picture, or empty
  std::optional<std::string> folder;
};

Request read_request(const SampleOptions& o, const Unconditional& pipeline) {
  const auto at_least_one = [](std::string_view flag, int64_t value) {
    if (value < 1) throw usage_error(fmt::format("{}: expected at least 1, found {}", flag, value));
  };
  at_least_one("--num-images", o.num_images);
  at_least_one("--batch-size", o.batch_size);
  if (o.num_inference_steps) at_least_one("--num-inference-steps", *o.num_inference_steps);
  if (o.seed < 0) throw usage_error(fmt::format("--seed: expected 0 or more, found {}", o.seed));

  Request r;
  r.num_images = o.num_images;
  for (const int64_t seed : o.seeds) {
    if (seed < 0) throw usage_error(fmt::format("--seeds: expected 0 or more, found {}", seed));
    r.seeds.push_back(static_cast<uint64_t>(seed));
  }
  if (!r.seeds.empty()) {
    const auto count = static_cast<int64_t>(r.seeds.size());
    if (o.num_images != 1 && o.num_images != count)
      throw usage_error(fmt::format("--seeds has {} numbers for --num-images {}", count, o.num_images),
                        "Give one seed a picture, or leave --num-images out.");
    r.num_images = count;
  }
  r.batch_size = std::min(o.batch_size, r.num_images);
  r.steps = o.num_inference_steps.value_or(pipeline.scheduler->class_name() == "DDPMScheduler" ? 1000 : 50);
  r.steps = o.num_inference_steps ? r.steps : std::min(r.steps, pipeline.scheduler->noise.num_train_timesteps());
  if (!o.timesteps.empty()) r.steps = static_cast<int64_t>(o.timesteps.size());
  if (const auto labels = static_cast<int64_t>(o.class_labels.size()); labels > 1 && labels != r.num_images)
    throw usage_error(fmt::format("--class-labels has {} numbers for {} pictures", labels, r.num_images),
                      "Give one for all, or one a picture.");
  const bool other_outputs = o.grid || o.gif || o.apng || o.save_tensor;
  r.folder = o.output ? o.output : other_outputs ? std::nullopt : std::optional<std::string>("samples");
  return r;
}

/// The saved scheduler, or the asked-for one with the asked-for settings.
std::shared_ptr<const Scheduler> choose_scheduler(const SampleOptions& o, const Unconditional& pipeline) {
  auto scheduler = pipeline.scheduler;
  if (o.scheduler != "as-saved") scheduler = make_scheduler(o.scheduler, *scheduler);
  if (!o.clip_sample && !o.timestep_spacing) return scheduler;
  Json config = scheduler->config();
  if (o.clip_sample) config["clip_sample"] = *o.clip_sample;
  if (o.timestep_spacing) config["timestep_spacing"] = *o.timestep_spacing;
  return make_scheduler(scheduler->class_name(), config);
}

/// Grids of the first batch while it emerges.
class Animation {
 public:
  Animation(bool wanted, int64_t steps) : wanted_(wanted), every_(std::max<int64_t>(1, steps / kFrames)), steps_(steps) {}
  void add(int64_t step, const Tensor& x) {
    if (wanted_ && ((step + 1) % every_ == 0 || step + 1 == steps_ || step == 0)) frames_.push_back(image_grid(x));
  }
  const std::vector<Image>& frames() const { return frames_; }

 private:
  bool wanted_;
  int64_t every_, steps_;
  std::vector<Image> frames_;
};

Json settings(const SampleOptions& o, const Request& r, const Scheduler& scheduler) {
  Json json{{"model", o.model}, {"scheduler", scheduler.class_name()}, {"num_inference_steps", r.steps}};
  if (o.eta != 0) json["eta"] = o.eta;
  if (!o.timesteps.empty()) json["timesteps"] = o.timesteps;
  return json;
}

/// Text chunks by which a picture can be drawn again.
PngText provenance(Json settings, const SampleOptions& o, const Request& r, std::optional<int64_t> picture) {
  if (r.seeds.empty()) {
    settings["seed"] = o.seed;
    settings["num_images"] = r.num_images;
    settings["batch_size"] = r.batch_size;
    if (picture) settings["index"] = *picture;
  } else if (picture) {
    settings["seeds"] = Json::array({r.seeds[*picture]});
  } else {
    settings["seeds"] = r.seeds;
  }
  return {{"Software", fmt::format("unnoise {}", kVersion)}, {"parameters", dump_json_line(settings)}};
}

/// Fails before the first step rather than after the last.
void check_outputs(const SampleOptions& o, const Request& r) {
  if (r.folder) make_folders(*r.folder);
  for (const auto& file : {o.grid, o.gif, o.apng, o.save_tensor})
    if (file) {
      const fs::path path = *file;
      if (fs::is_directory(path)) throw usage_error(fmt::format("\"{}\" is a folder; give a file's name", *file));
      if (path.has_parent_path()) make_folders(path.parent_path());
    }
}

}  // namespace

SampleResult sample(const SampleOptions& options, const Observer& observer, std::stop_token stop) {
  use_threads(options.threads);
  Unconditional pipeline = Unconditional::load(options.model, {.device = find_device(options.device),
                                                               .variant = options.variant.value_or("")});
  pipeline.scheduler = choose_scheduler(options, pipeline);
  const Request request = read_request(options, pipeline);
  check_outputs(options, request);

  SampleResult result;
  Animation animation(options.gif || options.apng, request.steps);
  Rng one_stream(static_cast<uint64_t>(options.seed));
  std::vector<Tensor> batches;
  const auto started = std::chrono::steady_clock::now();
  const int64_t num_batches = (request.num_images + request.batch_size - 1) / request.batch_size;
  for (int64_t first = 0; first < request.num_images; first += request.batch_size) {
    const int64_t count = std::min(request.batch_size, request.num_images - first);
    SampleRequest batch{.num_images = count, .steps = request.steps, .eta = options.eta,
                        .use_clipped_model_output = options.use_clipped_model_output,
                        .height = options.height, .width = options.width};
    if (!options.timesteps.empty()) batch.timesteps = options.timesteps;
    for (int64_t i = first; i < first + count && !options.class_labels.empty(); ++i)
      batch.class_labels.push_back(options.class_labels[options.class_labels.size() == 1 ? 0 : i]);
    Rng streams = request.seeds.empty()
                      ? Rng(0)
                      : Rng::per_image({request.seeds.begin() + first, request.seeds.begin() + first + count});
    Rng& rng = request.seeds.empty() ? one_stream : streams;
    batch.on_step = [&](int64_t step, const Tensor& x, const Tensor&) {
      ++result.model_calls;
      if (first == 0) animation.add(step, x);
      const int64_t done = first / request.batch_size * request.steps + step + 1;
      observer.progress({.stage = "sample", .done = done, .total = num_batches * request.steps,
                         .detail = num_batches > 1 ? fmt::format("batch {}/{}", first / request.batch_size + 1, num_batches) : ""});
    };
    const Tensor images = pipeline.sample(batch, rng, {}, stop);
    if (!images.defined()) {
      result.status = JobStatus::interrupted;
      break;
    }
    batches.push_back(images);
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (batches.empty()) return result;

  const Tensor samples = at::cat(batches);
  const auto images = to_images(samples);
  const Json how = settings(options, request, *pipeline.scheduler);
  const auto wrote = [&](const fs::path& path) { result.files.push_back(path.string()); };
  if (request.folder)
    for (size_t i = 0; i < images.size(); ++i) {
      const fs::path path = fs::path(*request.folder) / fmt::format("{:04}.png", i);
      write_png(path, images[i], provenance(how, options, request, static_cast<int64_t>(i)));
      wrote(path);
    }
  if (options.grid) {
    write_png(*options.grid, image_grid(images), provenance(how, options, request, std::nullopt));
    wrote(*options.grid);
  }
  if (options.gif && !animation.frames().empty()) {
    write_gif(*options.gif, animation.frames(), kFrameMilliseconds, kLastFrameMilliseconds);
    wrote(*options.gif);
  }
  if (options.apng && !animation.frames().empty()) {
    write_apng(*options.apng, animation.frames(), kFrameMilliseconds, kLastFrameMilliseconds);
    wrote(*options.apng);
  }
  if (options.save_tensor) {
    save_safetensors(*options.save_tensor, {{"samples", samples}});
    wrote(*options.save_tensor);
  }
  return result;
}

}  // namespace unnoise
