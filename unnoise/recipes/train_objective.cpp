#include "unnoise/recipes/train_objective.h"

#include <fmt/format.h>

#include <array>

#include "unnoise/core/error.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/pipelines/unconditional.h"

namespace unnoise {
namespace {

bool is_edm(std::string_view scheduler_class) { return scheduler_class.starts_with("EDM"); }
bool is_flow(std::string_view scheduler_class) { return scheduler_class.starts_with("FlowMatch"); }

ObjectiveType objective_of(std::string_view scheduler_class) {
  if (is_edm(scheduler_class)) return ObjectiveType::edm;
  return is_flow(scheduler_class) ? ObjectiveType::flow : ObjectiveType::ddpm;
}

[[noreturn]] void refuse(std::string_view flag, ObjectiveType type, std::string_view why) {
  throw usage_error(fmt::format("{} does not go with --objective {}: {}", flag, enum_name(type), why));
}

/// What belongs to a table of betas, or to EDM, alone.
void check_belongs(const TrainOptions& o, ObjectiveType type) {
  if (type != ObjectiveType::edm && o.sigma_data && o.loss_weighting != LossWeighting::edm)
    refuse("--sigma-data", type, "only edm has it, and --loss-weighting edm");
  if (type == ObjectiveType::ddpm) return;
  if (o.prediction_type) refuse("--prediction-type", type, "it says itself what the network predicts");
  constexpr std::string_view kContinuous = "its levels of noise are continuous";
  if (o.ddpm_beta_schedule) refuse("--ddpm-beta-schedule", type, kContinuous);
  if (o.ddpm_beta_start) refuse("--ddpm-beta-start", type, kContinuous);
  if (o.ddpm_beta_end) refuse("--ddpm-beta-end", type, kContinuous);
  if (o.ddpm_trained_betas) refuse("--ddpm-trained-betas", type, kContinuous);
  if (o.ddpm_rescale_betas_zero_snr) refuse("--ddpm-rescale-betas-zero-snr", type, kContinuous);
  if (o.learned_variance) refuse("--learned-variance", type, "its samplers have no variance to learn");
  if (type == ObjectiveType::edm && o.ddpm_num_steps) refuse("--ddpm-num-steps", type, kContinuous);
}

/// The scheduler saved with the model: of the objective's class with the options' values, over the pretrained model's.
std::shared_ptr<const Scheduler> choose_scheduler(const TrainOptions& o, ObjectiveType type, Json config) {
  if (o.ddpm_num_steps) config["num_train_timesteps"] = *o.ddpm_num_steps;
  if (o.ddpm_beta_schedule) config["beta_schedule"] = enum_name(*o.ddpm_beta_schedule);
  if (o.ddpm_beta_start) config["beta_start"] = *o.ddpm_beta_start;
  if (o.ddpm_beta_end) config["beta_end"] = *o.ddpm_beta_end;
  if (o.ddpm_trained_betas) config["trained_betas"] = *o.ddpm_trained_betas;
  if (o.ddpm_rescale_betas_zero_snr) config["rescale_betas_zero_snr"] = *o.ddpm_rescale_betas_zero_snr;
  if (o.prediction_type) config["prediction_type"] = enum_name(*o.prediction_type);
  if (o.learned_variance) config["variance_type"] = "learned_range";
  if (type == ObjectiveType::edm && o.sigma_data) config["sigma_data"] = *o.sigma_data;
  constexpr std::array kClasses = {"ddpm", "edm_euler", "flow_euler"};
  return make_scheduler(kClasses[static_cast<size_t>(type)], config);
}

/// Of pure noise the noise itself tells nothing: a network that predicts it could not be sampled from there.
void check_last_level(const Scheduler& scheduler) {
  if (!scheduler.has_noise() || scheduler.prediction_type != PredictionType::epsilon) return;
  const NoiseSchedule& noise = scheduler.noise();
  if (noise.options().rescale_betas_zero_snr)
    throw usage_error("rescale_betas_zero_snr does not go with prediction_type epsilon: its last level is pure noise",
                      "Add --prediction-type v_prediction (or sample), or leave --ddpm-rescale-betas-zero-snr out.");
}

void choose_loss(const TrainOptions& o, TrainPlan& plan) {
  Objective& objective = plan.objective;
  objective.loss = o.loss;
  using enum LossWeighting;
  objective.weighting = o.loss_weighting.value_or(o.snr_gamma ? min_snr : standard);
  if (o.snr_gamma && objective.weighting != min_snr && objective.weighting != soft_min_snr)
    throw usage_error(fmt::format("--snr-gamma does not go with --loss-weighting {}", enum_name(objective.weighting)),
                      "It belongs to min_snr and soft_min_snr.");
  objective.snr_gamma = o.snr_gamma.value_or(objective.snr_gamma);
  objective.p2_gamma = o.p2_gamma;
  objective.p2_k = o.p2_k;
  objective.sigma_data = o.sigma_data.value_or(objective.sigma_data);
  objective.learned_variance = plan.scheduler->config().value("variance_type", std::string()).starts_with("learned");
  objective.gradient_times_loss = o.gradient_times_loss;
  plan.uncertainty_weighting = o.uncertainty_weighting;
}

void choose_noise(const TrainOptions& o, TrainPlan& plan) {
  plan.draw.level.sampling = o.timestep_sampling;
  plan.draw.level.logit_mean = o.logit_mean;
  plan.draw.level.logit_std = o.logit_std;
  plan.draw.level.low_discrepancy = o.low_discrepancy;
  plan.draw.tricks = {.noise_offset = o.noise_offset,
                      .input_perturbation = o.input_perturbation,
                      .immiscible_noise = o.immiscible_noise};
  plan.draw.self_conditioning = o.self_conditioning;
  plan.augment = o.augment;
  if (!(o.augment >= 0 && o.augment <= 1))
    throw usage_error(fmt::format("--augment: expected 0 to 1, found {}", o.augment));
}

/// One draw and one weight of everything, so that a wrong number is said before anything is written.
void try_out(const TrainPlan& plan) {
  Rng rng(0);
  const Tensor x0 = rng.normal({2, 1, 2, 2});
  const NoiseDraw draw = draw_noise(x0, *plan.process, plan.draw, rng);
  loss_weights(plan.objective, *plan.process, draw.level);
}

void choose_sampler(const TrainOptions& o, TrainPlan& plan) {
  const bool table = plan.scheduler->has_noise();
  plan.eval_scheduler = o.eval_scheduler ? make_scheduler(*o.eval_scheduler, *plan.scheduler) : plan.scheduler;
  const int64_t T = plan.scheduler->num_train_timesteps();
  plan.eval_steps = o.ddpm_num_inference_steps.value_or(table ? std::min<int64_t>(T, 1000) : 50);
  if (table && plan.eval_steps > T)
    throw usage_error(
        fmt::format("--ddpm-num-inference-steps {}: there are only {} training steps", plan.eval_steps, T),
        fmt::format("Use at most {}.", T));
}

}  // namespace

std::shared_ptr<const NoiseProcess> process_of(const Scheduler& scheduler) {
  if (scheduler.has_noise()) return table_process(scheduler.noise(), scheduler.prediction_type);
  if (is_edm(scheduler.class_name())) {
    if (scheduler.prediction_type != PredictionType::epsilon)
      throw usage_error(fmt::format("{}: prediction_type: only epsilon can be trained here, found {}",
                                    scheduler.class_name(), enum_name(scheduler.prediction_type)));
    return edm_process(scheduler.config().value("sigma_data", 0.5));
  }
  if (is_flow(scheduler.class_name())) return flow_process(scheduler.num_train_timesteps());
  throw usage_error(fmt::format("a model with a {} cannot be trained on here", scheduler.class_name()),
                    "Give an objective: --objective ddpm, edm or flow.");
}

void choose_objective(const TrainOptions& o, TrainPlan& plan) {
  Json config = Json::object();
  if (plan.pretrained) config = load_component_config(*plan.pretrained, "scheduler", "scheduler_config.json");
  const ObjectiveType was = objective_of(config.value("_class_name", std::string()));
  const ObjectiveType type = o.objective.value_or(was);
  check_belongs(o, type);
  plan.scheduler = choose_scheduler(o, type, type == was ? config : Json::object());
  check_last_level(*plan.scheduler);
  plan.process = process_of(*plan.scheduler);
  choose_loss(o, plan);
  choose_noise(o, plan);
  if (plan.pretrained && is_self_conditioned(plan.unet_config)) plan.draw.self_conditioning = true;
  try_out(plan);
  choose_sampler(o, plan);
}

}  // namespace unnoise
