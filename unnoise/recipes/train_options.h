// Everything `unnoise train` can be told: the 45 options of diffusers' train_unconditional.py under their own names,
// then ours.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/core/process_place.h"
#include "unnoise/io/image_mode.h"
#include "unnoise/recipes/hub_options.h"
#include "unnoise/recipes/machine_options.h"
#include "unnoise/recipes/objective_options.h"
#include "unnoise/recipes/snapshot_dtype.h"
#include "unnoise/training/lr_schedule.h"
#include "unnoise/training/optimizer_type.h"
#include "unnoise/training/precision.h"

namespace unnoise {

enum class RunLogger { tensorboard, wandb };
constexpr auto enum_names(RunLogger) {
  return std::array{std::pair{RunLogger::tensorboard, "tensorboard"}, std::pair{RunLogger::wandb, "wandb"}};
}

/// Plain values only: what is written to options.json repeats the run.
struct TrainOptions : MachineOptions, ObjectiveOptions, HubOptions {
  std::optional<std::string> recipe;

  // Data
  std::optional<std::string> dataset_name;
  std::optional<std::string> dataset_config_name;
  std::optional<std::string> train_data_dir;
  std::optional<std::string> cache_dir;
  std::optional<int64_t> resolution;
  std::optional<ImageMode> image_mode;
  bool center_crop = false;
  bool random_flip = false;
  bool preserve_input_precision = false;
  bool strict = false;
  int64_t dataloader_num_workers = 0;

  // Network
  std::optional<std::string> model_config_name_or_path;
  std::optional<std::string> pretrained;
  std::optional<double> dropout;
  bool gradient_checkpointing = false;
  bool enable_xformers_memory_efficient_attention = false;

  // Optimization
  int64_t train_batch_size = 16;
  int64_t num_epochs = 100;
  std::optional<int64_t> max_train_steps;
  int64_t gradient_accumulation_steps = 1;
  OptimizerType optimizer = OptimizerType::adamw;
  double learning_rate = 1e-4;
  LrScheduleType lr_scheduler = LrScheduleType::cosine;
  int64_t lr_warmup_steps = 500;
  std::optional<std::string> lr_step_rules;
  double adam_beta1 = 0.95;
  double adam_beta2 = 0.999;
  double adam_weight_decay = 1e-6;
  double adam_epsilon = 1e-8;
  double max_grad_norm = 1.0;
  bool use_ema = false;
  double ema_inv_gamma = 1.0;
  double ema_power = 0.75;
  double ema_max_decay = 0.9999;
  std::vector<double> ema_halflife;
  double ema_rampup = 0.05;
  std::vector<double> ema_sigma_rel;
  std::optional<int64_t> ema_snapshot_steps;
  SnapshotDtype ema_snapshot_dtype = SnapshotDtype::float16;
  Precision mixed_precision = Precision::no;
  int64_t seed = 0;

  // What it leaves behind
  std::string output_dir = "ddpm-model-64";
  bool overwrite_output_dir = false;
  int64_t save_images_epochs = 10;
  int64_t save_model_epochs = 10;
  int64_t eval_batch_size = 16;
  std::optional<int64_t> ddpm_num_inference_steps;
  std::optional<std::string> eval_scheduler;
  int64_t evaluate_every = 0;
  int64_t evaluate_num_images = 500;
  std::optional<int64_t> evaluate_num_inference_steps;
  std::string evaluate_features = "fmnist";
  int64_t evaluate_num_reference = 20'000;
  int64_t checkpointing_steps = 500;
  std::optional<int64_t> checkpoints_total_limit;
  std::optional<std::string> resume_from_checkpoint;
  RunLogger logger = RunLogger::tensorboard;
  std::string logging_dir = "logs";
  std::optional<std::string> license;

  // Machine, beside those of the base
  std::optional<int64_t> num_processes;
  int64_t process_timeout = 1800;
  int64_t local_rank = -1;
  ProcessPlace processes;  ///< from the launcher; not an option

  // Hub, beside those of the base
  bool push_to_hub = false;
  std::optional<std::string> hub_model_id;
  bool hub_private_repo = false;

  static constexpr auto fields() {
    using O = TrainOptions;
    const auto what = std::tuple{
        section("Recipe"),
        field("recipe", &O::recipe,
              "start from these settings: a recipe by name (unnoise recipe list) or file; other flags win over it"),
        section("Data"),
        field("train_data_dir", &O::train_data_dir,
              "folder of pictures (PNG, JPEG, WebP, BMP, GIF, TIFF, any depth), Parquet shards, archives, CIFAR or IDX "
              "files; or one archive, Parquet or npz file"),
        field("dataset_name", &O::dataset_name,
              "a set that `unnoise data get` installs (fashion-mnist, emoji, ...), USER/NAME on the hub, or a local "
              "folder; wins over --train-data-dir"),
        field("dataset_config_name", &O::dataset_config_name,
              "of a downloaded hub data set with several configurations, the folder of this name"),
        place("cache_dir", &O::cache_dir, "accepted for scripts that pass it; pictures are read where they lie"),
        field("resolution", &O::resolution,
              "pixels: the shorter side is resized to it, then a square is cut; default: the network's size, else 64",
              FieldRole::loss),
        field("image_mode", &O::image_mode,
              "colours of the pictures; default: what the network's channels ask for, else rgb", FieldRole::loss),
        field("center_crop", &O::center_crop, "cut the middle square instead of a random one"),
        field("random_flip", &O::random_flip, "mirror each picture left to right with probability one half"),
        field("preserve_input_precision", &O::preserve_input_precision,
              "keep 16-bit pictures in float instead of 8 bits"),
        field("strict", &O::strict, "stop at the first file that is not a readable picture, instead of skipping it"),
        field("dataloader_num_workers", &O::dataloader_num_workers, "decoding threads; 0 = one a processor, at most 4"),
        section("Network"),
        field("model_config_name_or_path", &O::model_config_name_or_path,
              "butterflies, mnist, cifar10, script, or a config.json of a UNet2DModel (random weights) or its text; "
              "default: script"),
        field("pretrained", &O::pretrained,
              "model folder, or USER/NAME on the hub, to start from: its network, weights and noise schedule"),
        field("dropout", &O::dropout, "dropout in the residual blocks, 0 to 1; default: what the configuration says"),
        field("gradient_checkpointing", &O::gradient_checkpointing,
              "recompute activations in the backward pass: less memory, slower"),
        field("enable_xformers_memory_efficient_attention", &O::enable_xformers_memory_efficient_attention,
              "accepted for scripts that pass it; attention here is memory efficient without xformers"),
    };
    const auto how = std::tuple{
        section("Optimization"),
        field("train_batch_size", &O::train_batch_size, "pictures a step"),
        field("num_epochs", &O::num_epochs, "passes over the data"),
        field("max_train_steps", &O::max_train_steps, "optimizer steps; wins over --num-epochs"),
        field("gradient_accumulation_steps", &O::gradient_accumulation_steps,
              "batches whose gradients are averaged for one step"),
        field("optimizer", &O::optimizer, "adamw8bit is AdamW with a quarter of its memory"),
        field("learning_rate", &O::learning_rate, "peak learning rate"),
        field("lr_scheduler", &O::lr_scheduler, "how the rate runs over the steps"),
        field("lr_warmup_steps", &O::lr_warmup_steps, "optimizer steps over which the rate rises from 0"),
        field("lr_step_rules", &O::lr_step_rules,
              "for piecewise_constant: \"1:100,0.1:1000,0.01\" (multiplier:until step)"),
        field("adam_beta1", &O::adam_beta1, "decay of the gradient's mean (momentum for sgd)"),
        field("adam_beta2", &O::adam_beta2, "decay of the gradient's square"),
        field("adam_weight_decay", &O::adam_weight_decay, "weight decay"),
        field("adam_epsilon", &O::adam_epsilon, "added to the denominator"),
        field("max_grad_norm", &O::max_grad_norm, "clip the gradient's norm to this; 0 = never"),
        field("use_ema", &O::use_ema,
              "keep an exponential moving average of the weights; samples and the saved model use it"),
        field("ema_inv_gamma", &O::ema_inv_gamma, "inverse multiplicative factor of the average's warm-up"),
        field("ema_power", &O::ema_power, "exponent of the average's warm-up"),
        field("ema_max_decay", &O::ema_max_decay, "largest decay of the average"),
        field("ema_halflife", &O::ema_halflife,
              "half-life of the average in thousands of pictures, instead of the three above; implies --use-ema. Of "
              "several (0.5,2,8) the first draws the samples, and each further one becomes a model in ema/"),
        field("ema_rampup", &O::ema_rampup, "that half-life is at most this share of the pictures seen; 0 = no limit"),
        field("ema_sigma_rel", &O::ema_sigma_rel,
              "keep averages over the whole run of these relative widths (EDM2), e.g. 0.05,0.1, and store snapshots "
              "from which unnoise ema rebuilds any other"),
        field("ema_snapshot_steps", &O::ema_snapshot_steps,
              "store them every so many steps; default: 32 times in the run"),
        field("ema_snapshot_dtype", &O::ema_snapshot_dtype, "of the stored snapshots"),
        field("mixed_precision", &O::mixed_precision,
              "arithmetic of the network; weights, norms and loss stay float32"),
        field("seed", &O::seed, "decides initial weights, order, crops, noise: the same seed repeats the run"),
        section("What it leaves behind"),
        place("output_dir", &O::output_dir, "run folder: options, log, samples, checkpoints and the finished model"),
        place("overwrite_output_dir", &O::overwrite_output_dir, "replace an earlier run in that folder"),
        trace("save_images_epochs", &O::save_images_epochs, "draw a grid of samples every so many epochs; 0 = never"),
        trace("save_model_epochs", &O::save_model_epochs, "save the model every so many epochs; 0 = only at the end"),
        trace("eval_batch_size", &O::eval_batch_size, "pictures in a grid of samples"),
        field("ddpm_num_inference_steps", &O::ddpm_num_inference_steps,
              "denoising steps of those samples; default: 1000 for ddpm, 50 for edm and flow"),
        field("eval_scheduler", &O::eval_scheduler,
              "sampler of those samples, e.g. ddim, which is good with 50 steps; default: the model's own"),
        field("evaluate_every", &O::evaluate_every,
              "measure drawn pictures as `unnoise evaluate` does every so many steps, and at the end; 0 = never"),
        field("evaluate_num_images", &O::evaluate_num_images, "how many pictures are drawn for that"),
        field("evaluate_num_inference_steps", &O::evaluate_num_inference_steps,
              "their denoising steps, of ddim where the model's sampler is DDPM; default: what the sampler usually "
              "takes"),
        field("evaluate_features", &O::evaluate_features,
              "the network that they are compared by: fmnist, pixels, or a file"),
        field("evaluate_num_reference", &O::evaluate_num_reference,
              "compare them with only so many training pictures, drawn at random; 0 = all"),
        trace("checkpointing_steps", &O::checkpointing_steps, "save a checkpoint every so many steps; 0 = never"),
        trace("checkpoints_total_limit", &O::checkpoints_total_limit, "keep only so many checkpoints, the newest"),
        place("resume_from_checkpoint", &O::resume_from_checkpoint,
              "latest, or a checkpoint folder: go on exactly from there"),
        field("logger", &O::logger, "event files beside log.jsonl, which is always written"),
        place("logging_dir", &O::logging_dir, "folder for the event files, inside --output-dir"),
        field("license", &O::license, "licence of the model, for its card: apache-2.0, mit, cc-by-4.0 ..."),
    };
    const auto where = std::tuple{
        field("num_processes", &O::num_processes,
              "train with so many processes on this machine, each on --train-batch-size pictures a step; for several "
              "machines start it with torchrun or Slurm"),
        place("process_timeout", &O::process_timeout, "seconds until a process that does not answer ends the training"),
        place("local_rank", &O::local_rank,
              "number of this process on its machine, from launchers that pass it; LOCAL_RANK wins"),
    };
    const auto upload = std::tuple{
        place("push_to_hub", &O::push_to_hub, "upload the model each time it is saved"),
        place("hub_model_id", &O::hub_model_id,
              "USER/NAME of the upload; default: the last part of --output-dir, under your name"),
        place("hub_private_repo", &O::hub_private_repo, "when the repository is made: for your eyes only"),
        place("hub_token", &O::hub_token,
              "access token; others on this machine can see it: better --hub-token-file or HF_TOKEN"),
    };
    return std::tuple_cat(what, objective_fields(), how, machine_fields(), where, hub_fields(), upload);
  }
};

}  // namespace unnoise
