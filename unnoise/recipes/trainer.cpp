#include "unnoise/recipes/trainer.h"

#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/io/image_write.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/recipes/checkpoint.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/pull.h"
#include "unnoise/recipes/train_card.h"
#include "unnoise/recipes/train_push.h"
#include "unnoise/recipes/train_share.h"
#include "unnoise/training/augment.h"

namespace unnoise {
namespace {

// Streams of one run, kept apart so that a change in one does not shift the others.
constexpr uint64_t kDropoutStream = 0x9E3779B97F4A7C15u;
constexpr uint64_t kUncertaintyStream = 0xD1B54A32D192ED03u;

/// The position that a checkpoint stores only means something with the same pictures and batches.
void check_same_data(const Json& saved, const Json& now, const fs::path& checkpoint) {
  const Json alone = 1;  // checkpoints of earlier versions do not say so
  for (const char* key : {"num_images", "train_batch_size", "gradient_accumulation_steps", "num_processes"})
    if (saved.value(key, key == std::string_view("num_processes") ? alone : Json()) != now.at(key))
      throw usage_error(fmt::format("\"{}\" was made with {} = {}, this run has {}", checkpoint.string(), key,
                                    saved.value(key, alone).dump(), now.at(key).dump()),
                        "Resume with the same data, batch size and number of processes, or start a new run from its "
                        "weights with --pretrained.");
}

Json position_data(const TrainPlan& plan, const TrainOptions& options) {
  return {{"num_images", plan.dataset->size()},
          {"train_batch_size", options.train_batch_size},
          {"gradient_accumulation_steps", options.gradient_accumulation_steps},
          {"num_processes", options.processes.world_size}};
}

Json saved_options(const TrainOptions& options) {
  Json json = to_json(options);
  json["hub_token"] = nullptr;  // a secret
  json["local_rank"] = TrainOptions().local_rank;
  if (options.processes.world_size > 1) json["num_processes"] = options.processes.world_size;
  for (const char* key : {"pretrained", "dataset_name", "train_data_dir"})
    if (json[key].is_string()) json[key] = hub_label(json[key].get<std::string>());
  return json;
}

[[noreturn]] void fail_not_finite(std::string_view what, int64_t step, const fs::path& folder) {
  const auto checkpoints = checkpoint_steps(folder);
  const std::string kept = checkpoints.empty()
                               ? "No checkpoint had been saved yet."
                               : fmt::format("The last good checkpoint is checkpoint-{}.", checkpoints.back());
  throw data_error(fmt::format("the {} is not finite at step {}; nothing was saved from it", what, step),
                   kept + " Try a lower --learning-rate, more --lr-warmup-steps, or --mixed-precision no.");
}

}  // namespace

Trainer::Trainer(const TrainOptions& options, TrainPlan plan, const RunFolder* folder,
                 const std::optional<fs::path>& checkpoint, ProcessGroup& group, const Observer& observer)
    : options_(options),
      plan_(std::move(plan)),
      folder_(folder),
      group_(group),
      observer_(observer),
      noise_rng_(process_stream(static_cast<uint64_t>(options.seed), group.rank())),
      dropout_rng_(process_stream(static_cast<uint64_t>(options.seed) ^ kDropoutStream, group.rank())) {
  make_network(!checkpoint);
  std::optional<TrainerState> state;
  if (checkpoint) {
    check_same_data(checkpoint_data(*checkpoint), position_data(plan_, options_), *checkpoint);
    state = load_checkpoint(*checkpoint, *unet_, ema(), averages_->others());
  }
  optimizer_ = std::make_unique<Optimizer>(trained_parameters(), plan_.optimizer);
  loader_ = std::make_unique<Loader>(plan_.dataset, loader_share(plan_, options_), observer_);
  if (state) restore(*state, checkpoint->string());
  check_same_start(group_, "steps behind it", global_step_);
  check_same_start(group_, "steps to make", plan_.total_updates);
  check_same_start(group_, "pictures", plan_.dataset->size());
  observer_.info(describe_plan(plan_, options_, unet_->num_parameters()));

  if (options_.evaluate_every > 0) evaluation_ = std::make_unique<TrainEvaluation>(options_, plan_, observer_);
  group_.on_main([&] { open_folder(checkpoint); });
}

/// From here on the folder changes.
void Trainer::open_folder(const std::optional<fs::path>& checkpoint) {
  const auto resumed_at = checkpoint ? std::optional(global_step_) : std::nullopt;
  log_ = std::make_unique<RunLog>(folder_->log_file(), resumed_at);
  curve_.emplace(folder_->path(), checkpoint ? read_run_log(folder_->log_file()) : std::vector<Json>());
  tensorboard_ =
      std::make_unique<TensorBoardWriter>(folder_->path() / options_.logging_dir / "train_unconditional", resumed_at);
  write_json(folder_->options_file(), saved_options(options_));
  if (!plan_.averages.snapshots.sigma_rel.empty()) {
    remove_snapshots_after(folder_->path(), global_step_);
    save_snapshot_model(folder_->path(), plan_.unet_config, plan_.scheduler->config(), plan_.draw.self_conditioning);
  }
  if (checkpoint)
    observer_.info(
        fmt::format("resumed from {} at step {} (epoch {})", checkpoint->string(), global_step_, epoch() + 1));
}

/// The network on its device, and its average. `with_weights` = false leaves them unset, for a checkpoint's.
void Trainer::make_network(bool with_weights) {
  Rng init(static_cast<uint64_t>(options_.seed));
  const bool drawn = with_weights && !plan_.pretrained;
  unet_ = std::make_shared<UNet2D>(plan_.unet, drawn ? &init : nullptr);
  if (with_weights && plan_.pretrained)
    unet_->load_state(load_component_weights(*plan_.pretrained, "unet"), *plan_.pretrained);
  unet_->set_gradient_checkpointing(options_.gradient_checkpointing);
  unet_->set_dropout_rng(&dropout_rng_);
  unet_->to(plan_.device);
  unet_->train();
  for (const auto& [name, tensor] : unet_->state()) group_.broadcast(tensor);
  averages_ = std::make_unique<Averages>(unet_->named_parameters(), plan_.averages);
  if (!plan_.uncertainty_weighting) return;
  Rng own(static_cast<uint64_t>(options_.seed) ^ kUncertaintyStream);
  uncertainty_ = std::make_unique<Uncertainty>(own);
  uncertainty_->to(plan_.device);
  plan_.objective.uncertainty = uncertainty_.get();
}

StateDict Trainer::trained_parameters() const {
  StateDict all = unet_->named_parameters();
  if (!uncertainty_) return all;
  for (const auto& [name, tensor] : uncertainty_->named_parameters()) all.emplace_back("uncertainty." + name, tensor);
  return all;
}

Unconditional Trainer::pipeline(std::shared_ptr<const Scheduler> scheduler) const {
  return {.unet = unet_,
          .scheduler = std::move(scheduler),
          .unet_config = plan_.unet_config,
          .self_conditioning = plan_.draw.self_conditioning};
}

void Trainer::restore(const TrainerState& state, const std::string& where) {
  optimizer_->load_state(state.optimizer, where);
  if (uncertainty_) uncertainty_->load_state(state.uncertainty, where);
  if (!state.health.is_null()) health_.load_state(state.health, where + ": health");
  if (!state.grad_scaler.is_null()) grad_scaler_.load_state(state.grad_scaler, where + ": grad_scaler");
  for (const auto& [name, tensor] : state.random) {
    if (name == stream_name("noise", group_.rank())) noise_rng_.set_state(tensor);
    if (name == stream_name("dropout", group_.rank())) dropout_rng_.set_state(tensor);
  }
  global_step_ = state.global_step;
  next_batch_ = state.micro_batch;
  epoch_in_progress_ = epoch();
  loader_->seek(next_batch_);
}

JobStatus Trainer::run(std::stop_token stop) {
  if (evaluation_)
    group_.on_main([&] {
      if (evaluation_->is_owed(global_step_, folder_->log_file())) evaluate(stop);
    });
  while (global_step_ < plan_.total_updates) {
    if (group_.sum(stop.stop_requested() ? 1.0 : 0.0) > 0) {  // one stops, all stop
      save_checkpoint();
      observer_.info(fmt::format("stopped after step {}; go on with --resume-from-checkpoint latest", global_step_));
      return JobStatus::interrupted;
    }
    const Update done = update();
    if (group_.is_main()) {
      log_update(done);
      report_progress(done);
      averages_->save_snapshots(folder_->path(), global_step_, global_step_ == plan_.total_updates);
    }
    if (at_epoch_end()) finish_epoch(stop);
    if (evaluation_ && evaluation_->is_due(global_step_)) group_.on_main([&] { evaluate(stop); });
    const int64_t every = options_.checkpointing_steps;
    if (every > 0 && global_step_ % every == 0) save_checkpoint();
  }
  group_.on_main([&] {
    curve_->write_plot();
    save_model();
    observer_.info(fmt::format("the model is in {}", folder_->path().string()));
    if (options_.push_to_hub) push_trained(options_, plan_.num_epochs - 1, true, observer_, stop);
  });
  return JobStatus::done;
}

/// Pictures as they are, or changed, in which case `extra_embedding` tells the network how.
MicroBatch Trainer::micro_batch(const Batch& batch, Tensor& extra_embedding) {
  const int64_t of_all = plan_.accumulation.samples(next_batch_), own = batch.images.size(0);
  const double share = static_cast<double>(own) / static_cast<double>(of_all);
  MicroBatch micro{.x0 = batch.images,
                   .labels = plan_.with_labels ? batch.labels.to(plan_.device) : Tensor(),
                   .weight = plan_.accumulation.weight(next_batch_) * share,
                   .ends_group = plan_.accumulation.ends_group(next_batch_),
                   .images = of_all};
  if (plan_.augment > 0) {
    const Augmented augmented = augment(micro.x0, plan_.augment, noise_rng_);
    micro.x0 = augmented.x0;
    extra_embedding = augment_embedding(augmented.labels, plan_.unet.temb_channels());
  }
  micro.x0 = micro.x0.to(plan_.device);
  return micro;
}

/// One optimizer step: the micro-batches of a group, in the order of the course's loop (training/train_step.h).
Trainer::Update Trainer::update() {
  clock_.start();
  const double waited_before = loader_->seconds_waited();
  Update result;
  result.learning_rate = options_.learning_rate * plan_.lr_schedule->multiplier(global_step_);
  optimizer_->set_learning_rate(result.learning_rate);
  Tensor extra_embedding;
  const auto network = [&](const Tensor& xt, const Tensor& t, const Tensor& labels) {
    return (*unet_)(xt, t, labels, extra_embedding);
  };
  const TrainParts parts{.network = network,
                         .process = *plan_.process,
                         .objective = plan_.objective,
                         .optimizer = *optimizer_,
                         .ema = ema(),
                         .max_grad_norm = plan_.max_grad_norm,
                         .precision = plan_.precision,
                         .draw = plan_.draw,
                         .more_averages = averages_->others(),
                         .group = &group_,
                         .scaler = scales_gradients() ? &grad_scaler_ : nullptr};
  for (;;) {
    const Batch batch = loader_->next();
    const MicroBatch micro = micro_batch(batch, extra_embedding);
    const TrainStepResult step = train_step(parts, micro, noise_rng_);
    if (step.outcome == StepOutcome::loss_not_finite) fail_not_finite("loss", global_step_ + 1, options_.output_dir);
    if (step.outcome == StepOutcome::gradient_not_finite)
      fail_not_finite("gradient", global_step_ + 1, options_.output_dir);
    result.loss += micro.weight * step.loss;
    result.images += *micro.images;
    ++next_batch_;
    if (step.outcome == StepOutcome::skipped) result.loss = 0;  // no step: the next group is to make it
    if (step.outcome == StepOutcome::updated) {
      result.grad_norm = step.grad_norm.value_or(0);
      break;
    }
  }
  result.loss = group_.sum(result.loss);
  ++global_step_;
  clock_.stop(result.images, loader_->seconds_waited() - waited_before);
  return result;
}

/// log.jsonl gets only what is the same in every repetition of the run; times go into the epoch's record.
void Trainer::log_update(const Update& update) {
  if (const auto trouble = health_.look(update.loss, update.grad_norm, update.learning_rate)) observer_.warn(*trouble);

  Json record{
      {"step", global_step_}, {"epoch", epoch_in_progress_}, {"loss", update.loss}, {"lr", update.learning_rate}};
  if (plan_.max_grad_norm > 0) record["grad_norm"] = update.grad_norm;
  if (ema()) record["ema_decay"] = ema()->current_decay();
  if (scales_gradients()) record["loss_scale"] = grad_scaler_.scale();
  log(record);

  tensorboard_->scalar("loss", update.loss, global_step_);
  tensorboard_->scalar("lr", update.learning_rate, global_step_);
  if (ema()) tensorboard_->scalar("ema_decay", ema()->current_decay(), global_step_);
}

void Trainer::log(const Json& record) {
  log_->append(record);
  curve_->append(record);
}

void Trainer::report_progress(const Update& update) {
  const double seconds = clock_.seconds_a_step();
  const int64_t left = plan_.total_updates - global_step_;
  observer_.progress({.stage = "train",
                      .done = global_step_,
                      .total = plan_.total_updates,
                      .detail = fmt::format("epoch {}/{}  loss {:.4f}  lr {:.1e}", epoch_in_progress_ + 1,
                                            plan_.num_epochs, curve_->smoothed_loss(), update.learning_rate),
                      .per_second = seconds > 0 ? static_cast<double>(update.images) / seconds : 0,
                      .seconds_left = clock_.steps() < 3 ? -1 : seconds * static_cast<double>(left)});
  if (clock_.steps() == 5)
    observer_.info(fmt::format("about {} for the remaining {} steps ({:.2f} s a step), {} of memory",
                               human_seconds(seconds * static_cast<double>(left)), human_count(left), seconds,
                               human_bytes(static_cast<double>(memory_use().peak))));
}

bool Trainer::at_epoch_end() const { return epoch() != epoch_in_progress_ || global_step_ == plan_.total_updates; }

void Trainer::finish_epoch(std::stop_token stop) {
  group_.on_main([&] { record_epoch(stop); });
  epoch_in_progress_ = epoch();
  clock_.start_epoch();
}

/// The script's rules: samples and model at every n-th epoch, counted from 0, and at the last.
void Trainer::record_epoch(std::stop_token stop) {
  const int64_t epoch_done = epoch_in_progress_;
  const bool last = global_step_ == plan_.total_updates;
  const double mean_loss = curve_->epoch_mean();
  const double seconds = clock_.epoch_seconds();
  log({{"step", global_step_},
       {"epoch", epoch_done},
       {"epoch_mean_loss", mean_loss},
       {"seconds", seconds},
       {"cpu_seconds", clock_.epoch_cpu_seconds()},
       {"data_wait_seconds", clock_.epoch_waited()},
       {"peak_memory_bytes", memory_use().peak},
       {"images_per_second", seconds > 0 ? static_cast<double>(clock_.epoch_images()) / seconds : 0.0}});
  tensorboard_->scalar("epoch_mean_loss", mean_loss, global_step_);
  observer_.info(fmt::format("epoch {:>3}  mean loss {:.4f}  {}", epoch_done + 1, mean_loss, human_seconds(seconds)));
  curve_->write_plot();

  const auto due = [&](int64_t every) { return every > 0 && (epoch_done % every == 0 || last); };
  if (due(options_.save_images_epochs)) draw_samples(epoch_done, stop);
  if (due(options_.save_model_epochs) && !last) {
    save_model();
    if (options_.push_to_hub) push_trained(options_, epoch_done, false, observer_, stop);
  }
}

/// A grid from seed 0 with the averaged weights, so that the grids of a run show the same pictures growing up.
void Trainer::draw_samples(int64_t epoch, std::stop_token stop) {
  std::optional<EmaScope> averaged;
  if (ema()) averaged.emplace(*ema());
  SampleRequest request;
  request.num_images = options_.eval_batch_size;
  request.steps = plan_.eval_steps;
  if (plan_.with_labels)
    for (int64_t i = 0; i < options_.eval_batch_size; ++i)
      request.class_labels.push_back(i % *plan_.unet.num_class_embeds);
  const Tensor images = pipeline(plan_.eval_scheduler).sample(request, observer_, stop);
  if (!images.defined()) return;  // stopped
  const std::string png = encode_png(image_grid(images));
  make_folders(folder_->samples());
  write_file_atomic(folder_->samples() / fmt::format("epoch-{:04}.png", epoch + 1), png);
  tensorboard_->image("test_samples", png, epoch);
}

/// With the averaged weights, as they are saved.
void Trainer::evaluate(std::stop_token stop) {
  std::optional<EmaScope> averaged;
  if (ema()) averaged.emplace(*ema());
  evaluation_->run(pipeline(plan_.scheduler), global_step_, *log_, *tensorboard_, stop);
}

void Trainer::save_model() {
  std::optional<EmaScope> averaged;
  if (ema()) averaged.emplace(*ema());
  pipeline(plan_.scheduler).save(folder_->path());
  save_training_card(folder_->path(), options_, plan_);
  averaged.reset();
  for (Ema* average : averages_->models()) {
    const EmaScope other(*average);
    pipeline(plan_.scheduler).save(folder_->average_model(*average->options().halflife / 1000));
  }
}

/// The new one is whole before an old one is deleted.
void Trainer::save_checkpoint() {
  if (saved_at_ == global_step_) return;
  StateDict random = gather_streams(group_, "noise", noise_rng_);
  for (auto& state : gather_streams(group_, "dropout", dropout_rng_)) random.push_back(std::move(state));
  const TrainerState state{.epoch = epoch(),
                           .global_step = global_step_,
                           .micro_batch = next_batch_,
                           .random = std::move(random),
                           .optimizer = optimizer_->state(),
                           .uncertainty = uncertainty_ ? uncertainty_->state() : StateDict(),
                           .health = health_.state(),
                           .grad_scaler = scales_gradients() ? grad_scaler_.state() : Json()};
  group_.on_main([&] {
    unnoise::save_checkpoint(folder_->checkpoint(global_step_), *unet_, plan_.unet_config, ema(), averages_->others(),
                             state, saved_options(options_), position_data(plan_, options_));
    if (options_.checkpoints_total_limit) folder_->prune_checkpoints(*options_.checkpoints_total_limit);
  });
  saved_at_ = global_step_;
}

}  // namespace unnoise
