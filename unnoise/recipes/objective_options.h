// What a network is trained to answer, at which levels of noise, and how much each counts: the options of `train` that
// decide the objective.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/schedulers/beta_schedule.h"
#include "unnoise/training/level_sampling.h"
#include "unnoise/training/loss_type.h"

namespace unnoise {

enum class ObjectiveType {
  ddpm,  ///< a table of betas: Ho et al. 2020
  edm,   ///< Karras et al. 2022
  flow,  ///< rectified flow: Liu et al. 2023
};
constexpr auto enum_names(ObjectiveType) {
  using enum ObjectiveType;
  return std::array{std::pair{ddpm, "ddpm"}, std::pair{edm, "edm"}, std::pair{flow, "flow"}};
}

/// What a network of a table of betas can be trained to answer; the words of a scheduler's prediction_type.
enum class TablePrediction { epsilon, sample, v_prediction };
constexpr auto enum_names(TablePrediction) {
  using enum TablePrediction;
  return std::array{std::pair{epsilon, "epsilon"}, std::pair{sample, "sample"},
                    std::pair{v_prediction, "v_prediction"}};
}

struct ObjectiveOptions {
  std::optional<ObjectiveType> objective;
  std::optional<TablePrediction> prediction_type;
  std::optional<int64_t> ddpm_num_steps;
  std::optional<BetaSchedule> ddpm_beta_schedule;
  std::optional<double> ddpm_beta_start;
  std::optional<double> ddpm_beta_end;
  std::optional<std::vector<double>> ddpm_trained_betas;
  std::optional<bool> ddpm_rescale_betas_zero_snr;
  std::optional<double> sigma_data;
  bool learned_variance = false;
  bool self_conditioning = false;

  LossType loss = LossType::l2;
  std::optional<LossWeighting> loss_weighting;
  std::optional<double> snr_gamma;
  double p2_gamma = 1;
  double p2_k = 1;
  bool uncertainty_weighting = false;
  bool gradient_times_loss = false;

  std::optional<LevelSampling> timestep_sampling;
  std::optional<double> logit_mean;
  std::optional<double> logit_std;
  bool low_discrepancy = false;

  double noise_offset = 0;
  double input_perturbation = 0;
  bool immiscible_noise = false;
  double augment = 0;

  static constexpr auto objective_fields() {
    using O = ObjectiveOptions;
    return std::tuple{
        section("Objective"),
        field("objective", &O::objective,
              "edm is Karras et al. 2022, flow is rectified flow; default: ddpm, or as pretrained", FieldRole::loss),
        field("prediction_type", &O::prediction_type,
              "what a ddpm network predicts; default: epsilon, or as pretrained", FieldRole::loss),
        field("ddpm_num_steps", &O::ddpm_num_steps, "noise levels to train on (T); default: 1000, or as pretrained",
              FieldRole::loss),
        field("ddpm_beta_schedule", &O::ddpm_beta_schedule,
              "how beta runs over them; squaredcos_cap_v2 is the cosine; default: linear, or as pretrained",
              FieldRole::loss),
        field("ddpm_beta_start", &O::ddpm_beta_start,
              "first beta of linear, scaled_linear and sigmoid; default: 0.0001, or as pretrained", FieldRole::loss),
        field("ddpm_beta_end", &O::ddpm_beta_end, "their last beta; default: 0.02, or as pretrained", FieldRole::loss),
        field("ddpm_trained_betas", &O::ddpm_trained_betas,
              "the betas themselves, one a noise level, instead of a schedule", FieldRole::loss),
        field("ddpm_rescale_betas_zero_snr", &O::ddpm_rescale_betas_zero_snr,
              "make the last level pure noise (Lin et al. 2023; true or false), for sample and v_prediction; default: "
              "false, or as pretrained",
              FieldRole::loss),
        field("sigma_data", &O::sigma_data, "standard deviation of the pictures, for edm; default: 0.5",
              FieldRole::loss),
        field("learned_variance", &O::learned_variance,
              "ddpm: also predict the variance of a step (Nichol & Dhariwal 2021); better with few steps",
              FieldRole::loss),
        field("self_conditioning", &O::self_conditioning,
              "show the network its own last answer (Chen et al. 2023); diffusers cannot sample such a model"),
        section("Loss"),
        field("loss", &O::loss, "distance of an answer from its target", FieldRole::loss),
        field("loss_weighting", &O::loss_weighting,
              "which noise levels count how much; default: standard, or min_snr with --snr-gamma", FieldRole::loss),
        field("snr_gamma", &O::snr_gamma, "of min_snr (Hang et al. 2023) and soft_min_snr; default: 5",
              FieldRole::loss),
        field("p2_gamma", &O::p2_gamma, "of p2 (Choi et al. 2022)", FieldRole::loss),
        field("p2_k", &O::p2_k, "of p2", FieldRole::loss),
        field("uncertainty_weighting", &O::uncertainty_weighting,
              "learn how large the loss is at each noise level and divide by it (EDM2, Karras et al. 2024)"),
        field("gradient_times_loss", &O::gradient_times_loss,
              "multiply each gradient by its loss, as loss.backward(loss) does in the course's notebooks"),
        section("Noise"),
        field("timestep_sampling", &O::timestep_sampling,
              "which noise levels to train on; default: uniform for ddpm, else logit_normal", FieldRole::loss),
        field("logit_mean", &O::logit_mean, "of logit_normal, higher = noisier; default: 0, for edm -1.2",
              FieldRole::loss),
        field("logit_std", &O::logit_std, "of logit_normal; default: 1, for edm 1.2", FieldRole::loss),
        field("low_discrepancy", &O::low_discrepancy,
              "spread the levels of a batch evenly (Kingma et al. 2021): a calmer loss"),
        field("noise_offset", &O::noise_offset, "shift whole colour channels of the noise; 0.1 is usual, 0 = off",
              FieldRole::loss),
        field("input_perturbation", &O::input_perturbation,
              "more noise in the picture than is asked for (Ning et al. 2023); 0.1 is usual, 0 = off", FieldRole::loss),
        field("immiscible_noise", &O::immiscible_noise,
              "give each picture of a batch the noise that is nearest (Li et al. 2024)", FieldRole::loss),
        field("augment", &O::augment,
              "probability of each geometric change of a picture, of which the network is told so that samples do not "
              "show it (Karras et al. 2022, appendix F.2); 0.12 is usual, 0 = off",
              FieldRole::loss),
    };
  }
};

}  // namespace unnoise
