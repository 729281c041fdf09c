#include "unnoise/recipes/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"
#include "unnoise/recipes/evaluate_likelihood.h"
#include "unnoise/recipes/held_out_pictures.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/neighbours_sheet.h"
#include "unnoise/recipes/output_file.h"
#include "unnoise/recipes/pull.h"
#include "unnoise/recipes/quality.h"
#include "unnoise/recipes/quality_draw.h"
#include "unnoise/recipes/reference_pictures.h"

namespace unnoise {
namespace {

void check_evaluate_options(const EvaluateOptions& o) {
  if (o.data.empty()) throw usage_error("--data: which pictures?", "A folder, or a set such as fashion-mnist.");
  const auto at_least = [](std::string_view flag, int64_t least, int64_t value) {
    if (value < least) throw usage_error(fmt::format("{}: expected at least {}, found {}", flag, least, value));
  };
  at_least("--batch-size", 1, o.batch_size);
  at_least("--num-reference", 0, o.num_reference);
  at_least("--probes", 1, o.probes);
  at_least("--seed", 0, o.seed);
  at_least("--num-images", 0, o.num_images.value_or(0));
  if (o.num_inference_steps) at_least("--num-inference-steps", 1, *o.num_inference_steps);
  if (o.resolution) at_least("--resolution", 1, *o.resolution);
}

bool wants_copies(const EvaluateOptions& o) {
  return std::find(o.metrics.begin(), o.metrics.end(), Metric::nn) != o.metrics.end();
}

void check_quality_options(const EvaluateOptions& o) {
  if (o.model.empty() == !o.samples)
    throw usage_error("which pictures are to be measured? Give --model or --samples",
                      "--model DIR draws them, --samples FOLDER takes those that are there.");
  if (o.metrics.empty()) throw usage_error("--metrics: nothing to measure");
  if (o.num_images && *o.num_images < kLeastPictures)
    throw usage_error(fmt::format("--num-images: expected at least {}, found {}", kLeastPictures, *o.num_images),
                      "Hundreds tell little, thousands are usual.");
  if (o.neighbours && !wants_copies(o))
    throw usage_error("--neighbours: the nearest pictures are those of --metrics nn, which is not asked for");
  if (o.use_labels) throw usage_error("--use-labels is for --bits-per-dim", "Classes to draw: --class-labels 0,1,2.");
}

/// How every set of pictures is read: as the measured ones are.
LoaderOptions reading(const EvaluateOptions& o, int64_t channels, int64_t resolution) {
  if (channels != 1 && channels != 3)
    throw usage_error(fmt::format("pictures of {} channels cannot be measured; expected 1 or 3", channels));
  return {.resolution = resolution,
          .mode = channels == 1 ? ImageMode::grey : ImageMode::rgb,
          .center_crop = o.center_crop,
          .seed = static_cast<uint64_t>(o.seed)};
}

/// What is measured, not yet drawn or read: its channels and size are needed to read the others.
struct MeasuredSet {
  std::optional<Unconditional> pipe;
  std::shared_ptr<const Dataset> folder;
  LoaderOptions loader;

  PictureSet pictures(const EvaluateOptions& o, const Observer& observer, const std::stop_token& stop) {
    if (!pipe) return read_pictures(folder, loader, o.num_images.value_or(0), observer, stop);
    const QualityDraw draw{.num_images = o.num_images.value_or(1000),
                           .batch_size = o.batch_size,
                           .scheduler = o.scheduler,
                           .steps = o.num_inference_steps,
                           .class_labels = o.class_labels,
                           .seed = static_cast<uint64_t>(o.seed)};
    DrawnPictures drawn = draw_to_measure(*pipe, draw, observer, stop);
    how = drawn.how;
    return drawn.pictures;
  }
  std::string how;
};

/// The test part where a set has parts, else all of it.
std::shared_ptr<const Dataset> open_test_part(const std::string& path, const Observer& observer) {
  const auto parts = open_splits({.path_or_name = path}, observer);
  for (const SplitDataset& part : parts)
    if (part.split == "test") return part.data;
  return parts.front().data;
}

MeasuredSet open_measured(const EvaluateOptions& o, const Observer& observer) {
  MeasuredSet measured;
  if (!o.samples) {
    measured.pipe = Unconditional::load(o.model, {.variant = o.variant.value_or("")});
    measured.pipe->unet->to(find_device(o.device));
    const UNet2DOptions& unet = measured.pipe->unet->options();
    measured.loader = reading(o, unet.in_channels, evaluate_resolution(o, unet));
    measured.how = "model";
    return measured;
  }
  measured.folder = open_test_part(*o.samples, observer);
  const DecodedImage first = measured.folder->read(0);
  const bool is_grey = first.mode == "L" || first.mode == "1" || first.mode == "LA" || first.mode == "I;16";
  measured.loader = reading(o, is_grey ? 1 : 3, o.resolution.value_or(std::min(first.width, first.height)));
  measured.how = fmt::format("the pictures of {}", *o.samples);
  return measured;
}

EvaluateResult evaluate_quality(const EvaluateOptions& o, const Observer& observer, const std::stop_token& stop) {
  check_quality_options(o);
  const auto started = std::chrono::steady_clock::now();
  const std::shared_ptr<FeatureNetwork> network = load_feature_network(o.features);
  network->to(find_device(o.device));
  MeasuredSet measured = open_measured(o, observer);
  const DatasetOptions set = evaluated_set(o, "train");
  ReferenceSource source{.training = open_dataset(set, observer),
                         .trust_unseen = o.held_out.has_value(),
                         .reading = measured.loader,
                         .num_reference = o.num_reference,
                         .mirrored = o.random_flip};
  if (wants_copies(o)) source.unseen = o.held_out ? open_test_part(*o.held_out, observer) : open_unseen(set, observer);
  if (o.neighbours) prepare_output_file(*o.neighbours);

  const QualityOptions how{.metrics = o.metrics,
                           .seed = static_cast<uint64_t>(o.seed),
                           .cache = o.cache_dir ? fs::path(*o.cache_dir) : fs::path()};
  EvaluateResult result;
  result.status = JobStatus::interrupted;
  const auto reference = read_reference(source, network, how, observer, stop);
  if (!reference) return result;
  const PictureSet drawn = measured.pictures(o, observer, stop);
  if (stop.stop_requested()) return result;
  const auto quality = measure_quality(drawn, *reference, observer, stop);
  if (!quality) return result;
  result.status = JobStatus::done;

  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  Json json = to_json(*quality);
  json.update({{"data", hub_label(o.data)},
               {"split", o.split.value_or("train")},
               {"how", measured.how},
               {"seed", o.seed},
               {"seconds", seconds}});
  json[o.samples ? "samples" : "model"] = hub_label(o.samples ? *o.samples : o.model);
  if (o.neighbours) {
    write_grid(*o.neighbours, neighbours_sheet(drawn, *reference, *quality),
               {{"Software", fmt::format("unnoise {}", kVersion)}, {"evaluation", dump_json_line(json)}});
    result.files.push_back(*o.neighbours);
  }
  result.report = o.json ? dump_json(json) + "\n"
                         : fmt::format("{} ({})\n", o.samples ? *o.samples : o.model, measured.how) + to_text(*quality);
  return result;
}

}  // namespace

DatasetOptions evaluated_set(const EvaluateOptions& o, const std::string& usual_split) {
  return {.path_or_name = o.data, .split = o.split.value_or(usual_split), .config = o.dataset_config_name.value_or("")};
}

int64_t evaluate_resolution(const EvaluateOptions& o, const UNet2DOptions& unet) {
  if (o.resolution) return *o.resolution;
  if (!unet.sample_size) throw usage_error("the model states no sample_size", "Give --resolution.");
  if (unet.sample_size->height != unet.sample_size->width)
    throw usage_error("the model's pictures are not square; pictures of a folder are read as squares",
                      "Give --resolution.");
  return unet.sample_size->height;
}

EvaluateResult evaluate(const EvaluateOptions& options, const Observer& observer, std::stop_token stop) {
  check_evaluate_options(options);
  use_machine(options);
  return options.bits_per_dim ? evaluate_likelihood(options, observer, stop)
                              : evaluate_quality(options, observer, stop);
}

}  // namespace unnoise
