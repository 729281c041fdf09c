#include "unnoise/recipes/classifier.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"
#include "unnoise/data/loader.h"
#include "unnoise/metrics/feature_network.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/output_file.h"
#include "unnoise/training/lr_schedule.h"
#include "unnoise/training/optimizer.h"

namespace unnoise {
namespace {

void check_classifier_options(const ClassifierJobOptions& o) {
  if (o.data.empty()) throw usage_error("--data: which pictures?", "A folder, or a set such as fashion-mnist.");
  const auto at_least = [](std::string_view flag, int64_t least, int64_t value) {
    if (value < least) throw usage_error(fmt::format("{}: expected at least {}, found {}", flag, least, value));
  };
  at_least("--num-epochs", 1, o.num_epochs);
  at_least("--batch-size", 1, o.batch_size);
  at_least("--resolution", 4, o.resolution);
  at_least("--seed", 0, o.seed);
  if (!(o.label_smoothing >= 0 && o.label_smoothing < 1))
    throw usage_error(fmt::format("--label-smoothing: expected 0 to below 1, found {:g}", o.label_smoothing));
  if (!o.output.ends_with(".safetensors"))
    throw usage_error(fmt::format("--output: expected a name that ends in .safetensors, found {}", o.output));
}

LoaderOptions loader_options(const ClassifierJobOptions& o) {
  return {.resolution = o.resolution,
          .mode = o.image_mode,
          .center_crop = o.center_crop,
          .random_flip = o.random_flip,
          .batch_size = o.batch_size,
          .seed = static_cast<uint64_t>(o.seed)};
}

std::shared_ptr<const Dataset> open_labelled(const std::string& data, const std::string& split,
                                             const Observer& observer) {
  auto set = open_dataset({.path_or_name = data, .split = split}, observer);
  if (!set->label(0))
    throw data_error(fmt::format("\"{}\": these pictures have no classes", data),
                     "A class a folder is one way to give them: data/cat/1.png, data/dog/2.png.");
  return set;
}

int64_t count_classes(const Dataset& data) {
  int64_t highest = static_cast<int64_t>(data.label_names().size()) - 1;
  for (int64_t i = 0; i < data.size(); ++i) highest = std::max(highest, *data.label(i));
  if (highest < 1) throw data_error("all pictures are of one class", "A classifier needs at least two.");
  return highest + 1;
}

struct Brightness {
  double mean, deviation;
};

/// Of the values in [0,1] of some hundred pictures.
Brightness measure_brightness(const std::shared_ptr<const Dataset>& data, LoaderOptions options) {
  options.batch_size = 500;
  const Tensor values = (Loader(data, options).next().images + 1) / 2;
  return {values.mean().item<double>(), std::max(values.std().item<double>(), 1e-3)};
}

/// Share of the pictures whose class gets the highest score.
double test_accuracy(const Classifier& network, const std::shared_ptr<const Dataset>& data, LoaderOptions options,
                     at::Device device) {
  c10::NoGradGuard no_grad;
  options.shuffle = false;
  options.random_flip = false;
  options.center_crop = true;
  options.batch_size = 500;
  Loader loader(data, options);
  int64_t right = 0;
  for (int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    const Batch batch = loader.next();
    right += (network(batch.images.to(device)).argmax(1).cpu() == batch.labels).sum().item<int64_t>();
  }
  return static_cast<double>(right) / static_cast<double>(data->size());
}

/// Returns whether it was not stopped.
bool fit(const ClassifierJobOptions& o, Classifier& network, Loader& loader, at::Device device,
         const Observer& observer, const std::stop_token& stop) {
  Optimizer adam(network.named_parameters(),
                 {.learning_rate = o.learning_rate, .beta1 = 0.9, .weight_decay = o.weight_decay});
  const int64_t an_epoch = loader.batches_per_epoch(), total = o.num_epochs * an_epoch;
  const LrSchedule schedule({.type = LrScheduleType::cosine, .warmup_steps = total / 20, .total_steps = total});
  double smooth_loss = 0;
  const auto started = std::chrono::steady_clock::now();
  for (int64_t step = 0; step < total; ++step) {
    if (stop.stop_requested()) return false;
    const Batch batch = loader.next();
    const Tensor loss = at::cross_entropy_loss(network(batch.images.to(device)), batch.labels.to(device), {},
                                               at::Reduction::Mean, -100, o.label_smoothing);
    const double value = loss.item<double>();
    if (!std::isfinite(value))
      throw data_error(fmt::format("the loss is not finite at step {}", step + 1), "Try a lower --learning-rate.");
    adam.zero_grad();
    loss.backward();
    adam.set_learning_rate(o.learning_rate * schedule.multiplier(step));
    adam.step();
    smooth_loss = step == 0 ? value : 0.95 * smooth_loss + 0.05 * value;
    const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    observer.progress(
        {.stage = "train",
         .done = step + 1,
         .total = total,
         .detail = fmt::format("epoch {}/{}  loss {:.4f}", step / an_epoch + 1, o.num_epochs, smooth_loss),
         .per_second = static_cast<double>((step + 1) * o.batch_size) / passed,
         .seconds_left = passed / static_cast<double>(step + 1) * static_cast<double>(total - step - 1)});
  }
  return true;
}

/// The options that say how the file was made, without those of the machine.
Json recipe_of(const ClassifierJobOptions& o) {
  Json json = to_json(o);
  for (const char* key : {"device", "threads", "kernels", "deterministic", "json", "output"}) json.erase(key);
  return json;
}

}  // namespace

ClassifierResult train_classifier(const ClassifierJobOptions& options, const Observer& observer, std::stop_token stop) {
  check_classifier_options(options);
  use_machine(options);
  const at::Device device = find_device(options.device);
  const auto data = open_labelled(options.data, options.split, observer);
  const auto unseen = open_labelled(options.test_data.value_or(options.data), options.test_split, observer);
  const LoaderOptions load = loader_options(options);
  const Brightness brightness = measure_brightness(data, load);
  Rng init(static_cast<uint64_t>(options.seed));
  Classifier network({.channels = image_channels(load.mode),
                      .resolution = options.resolution,
                      .num_classes = count_classes(*data),
                      .widths = options.widths,
                      .mean = brightness.mean,
                      .deviation = brightness.deviation},
                     &init);
  network.to(device);
  prepare_output_file(options.output);
  observer.info(fmt::format("{} pictures of {} classes, a network of {} parameters and {} features",
                            human_count(data->size()), network.options().num_classes,
                            human_count(network.num_parameters()), network.num_features()));

  const auto started = std::chrono::steady_clock::now();
  Loader loader(data, load, observer);
  ClassifierResult result;
  if (!fit(options, network, loader, device, observer, stop)) {
    result.status = JobStatus::interrupted;
    return result;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  // What the file will hold is what is tested.
  network.to(at::kHalf);
  network.to(at::kFloat);
  result.test_accuracy = test_accuracy(network, unseen, load, device);
  save_classifier(options.output, network,
                  {{"made_by", fmt::format("unnoise {}", kVersion)},
                   {"test_accuracy", result.test_accuracy},
                   {"test_pictures", unseen->size()},
                   {"options", recipe_of(options)}});
  if (options.json)
    result.report = dump_json({{"test_accuracy", result.test_accuracy},
                               {"test_pictures", unseen->size()},
                               {"seconds", seconds},
                               {"parameters", network.num_parameters()},
                               {"features", network.num_features()},
                               {"output", options.output}}) +
                    "\n";
  else
    result.report =
        fmt::format("{:.2f} % of {} test pictures named rightly, after {}\n{}\n", 100 * result.test_accuracy,
                    human_count(unseen->size()), human_seconds(seconds), options.output);
  return result;
}

}  // namespace unnoise
