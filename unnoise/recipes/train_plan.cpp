#include "unnoise/recipes/train_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/train_objective.h"

namespace unnoise {
namespace {

void check_at_least(std::string_view flag, double value, double least) {
  if (!(value >= least)) throw usage_error(fmt::format("{}: expected at least {}, found {}", flag, least, value));
}

void check_numbers(const TrainOptions& o) {
  const auto positive = [](std::string_view flag, int64_t value) {
    check_at_least(flag, static_cast<double>(value), 1);
  };
  const auto not_negative = [](std::string_view flag, double value) { check_at_least(flag, value, 0); };
  positive("--train-batch-size", o.train_batch_size);
  positive("--eval-batch-size", o.eval_batch_size);
  positive("--num-epochs", o.num_epochs);
  positive("--gradient-accumulation-steps", o.gradient_accumulation_steps);
  if (o.ddpm_num_inference_steps) positive("--ddpm-num-inference-steps", *o.ddpm_num_inference_steps);
  if (o.resolution) positive("--resolution", *o.resolution);
  if (o.max_train_steps) positive("--max-train-steps", *o.max_train_steps);
  if (o.ddpm_num_steps) positive("--ddpm-num-steps", *o.ddpm_num_steps);
  if (o.checkpoints_total_limit) positive("--checkpoints-total-limit", *o.checkpoints_total_limit);
  not_negative("--seed", static_cast<double>(o.seed));
  not_negative("--lr-warmup-steps", static_cast<double>(o.lr_warmup_steps));
  not_negative("--save-images-epochs", static_cast<double>(o.save_images_epochs));
  not_negative("--save-model-epochs", static_cast<double>(o.save_model_epochs));
  not_negative("--evaluate-every", static_cast<double>(o.evaluate_every));
  not_negative("--evaluate-num-reference", static_cast<double>(o.evaluate_num_reference));
  if (o.evaluate_num_inference_steps) positive("--evaluate-num-inference-steps", *o.evaluate_num_inference_steps);
  not_negative("--checkpointing-steps", static_cast<double>(o.checkpointing_steps));
  not_negative("--dataloader-num-workers", static_cast<double>(o.dataloader_num_workers));
  not_negative("--learning-rate", o.learning_rate);
  not_negative("--max-grad-norm", o.max_grad_norm);
}

/// Options that are there so that a script's command line works, and do not do what they say.
void check_not_yet(const TrainOptions& o, const Observer& observer) {
  if (o.enable_xformers_memory_efficient_attention)
    observer.warn(
        "--enable-xformers-memory-efficient-attention: xformers is not used; attention here needs no matrix of all "
        "pairs of pixels anyway");
  if (o.cache_dir)
    observer.warn(
        fmt::format("--cache-dir {}: not used; pictures are read where they lie. Models that come from the hub are "
                    "kept in --hub-cache",
                    *o.cache_dir));
  if (!o.push_to_hub && (o.hub_model_id || o.hub_private_repo))
    throw usage_error(
        "--hub-model-id and --hub-private-repo say how to upload, and nothing is to be uploaded",
        "Add --push-to-hub, or leave them out.");
  if (o.logger == RunLogger::wandb)
    throw usage_error("--logger wandb: not yet",
                      "Use --logger tensorboard; log.jsonl in the run folder has the same numbers.");
}

/// The text of a config.json, which may name a "preset" that it changes.
void choose_inline_network(const std::string& text, TrainPlan& plan) {
  Json given = parse_json(text, "--model-config-name-or-path");
  Json config = Json::object();
  if (given.contains("preset")) {
    config = unet2d_config(unet2d_preset(fields_detail::Value<std::string>::from_json("preset", given["preset"])));
    given.erase("preset");
  }
  config.update(given);
  plan.unet = unet2d_options(config);
}

/// The network's configuration: pretrained folder, preset, config.json or its text. Keys that UNet2DOptions does not
/// know stay in `config`.
void choose_network(const TrainOptions& o, TrainPlan& plan) {
  Json config = Json::object();
  const std::string source = o.model_config_name_or_path.value_or("script");
  if (o.pretrained) {
    if (o.model_config_name_or_path)
      throw usage_error("--pretrained and --model-config-name-or-path exclude each other",
                        "--pretrained brings its own network; leave the other one out.");
    config = load_component_config(*o.pretrained, "unet");
    plan.unet = unet2d_options(config);
    plan.pretrained = o.pretrained;
  } else if (source.starts_with('{')) {
    choose_inline_network(source, plan);
  } else if (const auto presets = unet2d_preset_names();
             std::find(presets.begin(), presets.end(), source) != presets.end()) {
    plan.unet = unet2d_preset(source);
  } else {
    const fs::path path = source;
    if (!fs::exists(path)) {
      const std::string near = nearest_name(source, presets);
      throw usage_error(fmt::format("--model-config-name-or-path: \"{}\" is neither a file, a folder, nor one of {}",
                                    source, fmt::join(presets, ", ")),
                        near.empty() ? "" : fmt::format("Did you mean \"{}\"?", near));
    }
    config = fs::is_directory(path) ? load_component_config(path, "unet") : read_json(path);
    plan.unet = unet2d_options(config);
  }
  if (o.dropout) plan.unet.dropout = *o.dropout;
  check_unet2d_options(plan.unet);
  plan.unet_config = std::move(config);
}

/// rgb or grey, from the option or the network; a preset follows the option.
void choose_pictures(const TrainOptions& o, TrainPlan& plan) {
  const bool preset = plan.unet_config.empty();
  if (o.image_mode) {
    plan.loader.mode = *o.image_mode;
    const int64_t channels = plan.loader.mode == ImageMode::grey ? 1 : 3;
    if (preset) plan.unet.in_channels = plan.unet.out_channels = channels;
  } else {
    plan.loader.mode = plan.unet.in_channels <= 2 ? ImageMode::grey : ImageMode::rgb;
  }
  const int64_t channels = plan.loader.mode == ImageMode::grey ? 1 : 3;
  const int64_t in = channels * (plan.draw.self_conditioning ? 2 : 1);
  const int64_t out = channels * (plan.objective.learned_variance ? 2 : 1);
  if (!plan.pretrained) {  // a configuration for plain pictures gets the channels that the objective needs
    if (plan.unet.in_channels == channels) plan.unet.in_channels = in;
    if (plan.unet.out_channels == channels) plan.unet.out_channels = out;
  }
  if (plan.unet.in_channels != in || plan.unet.out_channels != out)
    throw usage_error(
        fmt::format("the network has {} input and {} output channels, expected {} and {} for pictures of {} "
                    "({})",
                    plan.unet.in_channels, plan.unet.out_channels, in, out, channels, enum_name(plan.loader.mode)),
        "Choose --image-mode grey for 1 channel, rgb for 3, or another network.");

  const int64_t size = o.resolution.value_or(plan.unet.sample_size ? plan.unet.sample_size->height : 64);
  const int64_t multiple = plan.unet.size_multiple();
  if (size % multiple != 0)
    throw usage_error(
        fmt::format("--resolution {}: this network halves the picture {} times, so its size must be a multiple of {}",
                    size, plan.unet.block_out_channels.size() - 1, multiple),
        fmt::format("Use --resolution {} or {}.", std::max(multiple, size / multiple * multiple),
                    (size / multiple + 1) * multiple));
  plan.unet.sample_size = SampleSize{size, size};
  plan.loader.resolution = size;
  plan.loader.center_crop = o.center_crop;
  plan.loader.random_flip = o.random_flip;
  plan.loader.preserve_input_precision = o.preserve_input_precision;
  plan.loader.batch_size = o.train_batch_size;
  plan.loader.num_workers = o.dataloader_num_workers;
  plan.loader.seed = static_cast<uint64_t>(o.seed);
  plan.loader.strict = o.strict;
}

void choose_optimization(const TrainOptions& o, TrainPlan& plan, const Observer& observer) {
  plan.optimizer = {.type = o.optimizer,
                    .learning_rate = o.learning_rate,
                    .beta1 = o.adam_beta1,
                    .beta2 = o.adam_beta2,
                    .epsilon = o.adam_epsilon,
                    .weight_decay = o.adam_weight_decay,
                    .momentum = o.adam_beta1};
  plan.max_grad_norm = o.max_grad_norm;
  plan.precision = o.mixed_precision;
  check_precision(plan.precision, plan.device.type());

  plan.accumulation = AccumulationPlan(plan.dataset->size(), pictures_a_batch(o), o.gradient_accumulation_steps);
  const int64_t per_epoch = plan.accumulation.updates_per_epoch();
  plan.total_updates = o.max_train_steps.value_or(per_epoch * o.num_epochs);
  plan.num_epochs = (plan.total_updates + per_epoch - 1) / per_epoch;
  plan.averages = plan_averages(o, plan.total_updates);
  const LrScheduleType type = o.lr_scheduler;
  plan.lr_schedule.emplace(LrScheduleOptions{.type = type,
                                             .warmup_steps = o.lr_warmup_steps,
                                             .total_steps = plan.total_updates,
                                             .learning_rate = o.learning_rate,
                                             .step_rules = o.lr_step_rules.value_or("")});
  const bool warms_up = type != LrScheduleType::constant && type != LrScheduleType::piecewise_constant;
  if (warms_up && o.lr_warmup_steps >= plan.total_updates)
    observer.warn(fmt::format("--lr-warmup-steps {}: the run has only {} steps, so the learning rate never reaches {}",
                              o.lr_warmup_steps, plan.total_updates, o.learning_rate));
}

void check_labels(TrainPlan& plan) {
  if (!plan.unet.num_class_embeds) return;
  plan.with_labels = true;
  if (!plan.dataset->label(0))
    throw usage_error(
        "the network is conditioned on classes (num_class_embeds), but the pictures have no labels",
        "Put the pictures of each class into a folder of its own, or give a metadata.csv with a label column.");
  int64_t largest = 0;
  for (int64_t i = 0; i < plan.dataset->size(); ++i) largest = std::max(largest, *plan.dataset->label(i));
  if (largest >= *plan.unet.num_class_embeds)
    throw usage_error(fmt::format("the pictures have labels up to {}, the network has {} classes (num_class_embeds)",
                                  largest, *plan.unet.num_class_embeds));
}

/// Values that the optimizer keeps for each weight, in copies of the float32 weights.
double optimizer_copies(OptimizerType type) {
  using enum OptimizerType;
  switch (type) {
    case adamw8bit:
      return 0.51;
    case sgd:
    case muon:
      return 1.0;
    default:
      return 2.0;
  }
}

}  // namespace

DatasetOptions training_set(const TrainOptions& o) {
  if (!o.dataset_name && !o.train_data_dir)
    throw usage_error(
        "no data: neither --train-data-dir nor --dataset-name was given",
        "Give a folder of pictures: --train-data-dir my_pictures, or a built-in set: --dataset-name fashion-mnist.");
  return {.path_or_name = o.dataset_name ? *o.dataset_name : *o.train_data_dir,
          .strict = o.strict,
          .config = o.dataset_config_name.value_or("")};
}

int64_t pictures_a_batch(const TrainOptions& options) {
  return options.train_batch_size * options.processes.world_size;
}

TrainPlan plan_training(const TrainOptions& options, const Observer& observer) {
  check_numbers(options);
  check_not_yet(options, observer);
  const DatasetOptions set = training_set(options);
  TrainPlan plan;
  plan.device = find_device(options.device, options.processes.local_rank);
  choose_network(options, plan);
  choose_objective(options, plan);
  choose_pictures(options, plan);
  plan.dataset = open_dataset(set, observer);
  choose_optimization(options, plan, observer);
  check_labels(plan);
  Json known = unet2d_config(plan.unet);
  plan.unet_config.update(known);
  const UNet2D can_be_built(plan.unet, nullptr);  // else it throws here, before anything is written
  return plan;
}

std::string describe_plan(const TrainPlan& plan, const TrainOptions& options, int64_t num_parameters) {
  const auto& a = plan.accumulation;
  const double copies = 2.0 + optimizer_copies(plan.optimizer.type) + static_cast<double>(plan.averages.count());
  std::string text;
  text += fmt::format("data     {} pictures, {}x{} {}\n", human_count(plan.dataset->size()), plan.loader.resolution,
                      plan.loader.resolution, enum_name(plan.loader.mode));
  text += fmt::format("network  UNet2DModel, {} parameters{}\n", human_count(num_parameters),
                      plan.pretrained ? fmt::format(", from {}", *plan.pretrained) : "");
  const std::string group =
      options.gradient_accumulation_steps > 1 ? fmt::format(" x {}", options.gradient_accumulation_steps) : "";
  const int64_t processes = options.processes.world_size;
  const std::string steps =
      fmt::format("{} steps of {}{}{} pictures", human_count(plan.total_updates),
                  processes > 1 ? fmt::format("{} processes x ", processes) : "", options.train_batch_size, group);
  const double epochs = static_cast<double>(plan.total_updates) / static_cast<double>(a.updates_per_epoch());
  text += options.max_train_steps ? fmt::format("plan     {} ({:.3g} epochs)\n", steps, epochs)
                                  : fmt::format("plan     {} ({} epochs of {})\n", steps, human_count(plan.num_epochs),
                                                human_count(a.updates_per_epoch()));
  const auto& snapshots = plan.averages.snapshots;
  if (!snapshots.sigma_rel.empty())
    text += fmt::format("averages sigma_rel {}; a snapshot of each every {} steps, {} in the whole run\n",
                        fmt::join(snapshots.sigma_rel, ", "), human_count(snapshots.every),
                        human_bytes(snapshot_bytes(snapshots, plan.total_updates, num_parameters)));
  text += fmt::format("memory   {} for weights, gradients and optimizer{}, and activations on top",
                      human_bytes(copies * 4.0 * static_cast<double>(num_parameters)),
                      plan.averages.count() > 1    ? " and averages"
                      : plan.averages.count() == 1 ? " and average"
                                                   : "");
  return text;
}

}  // namespace unnoise
