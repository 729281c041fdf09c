// What a network is trained to answer, at which levels of noise, and how much each counts: the options of `train` that
// decide the objective.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>

#include "unnoise/core/fields.h"

namespace unnoise {

struct ObjectiveOptions {
  std::optional<std::string> objective;
  std::optional<std::string> prediction_type;
  std::optional<int64_t> ddpm_num_steps;
  std::optional<std::string> ddpm_beta_schedule;
  std::optional<double> sigma_data;
  bool learned_variance = false;
  bool self_conditioning = false;

  std::string loss = "l2";
  std::optional<std::string> loss_weighting;
  std::optional<double> snr_gamma;
  double p2_gamma = 1;
  double p2_k = 1;
  bool uncertainty_weighting = false;
  bool gradient_times_loss = false;

  std::optional<std::string> timestep_sampling;
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
              "ddpm, edm (Karras et al. 2022) or flow (rectified flow); default: ddpm, or as pretrained"),
        field("prediction_type", &O::prediction_type,
              "what a ddpm network predicts: epsilon, sample or v_prediction; default: epsilon, or as pretrained"),
        field("ddpm_num_steps", &O::ddpm_num_steps, "noise levels to train on (T); default: 1000, or as pretrained"),
        field(
            "ddpm_beta_schedule", &O::ddpm_beta_schedule,
            "linear, scaled_linear, squaredcos_cap_v2 (cosine), sigmoid or laplace; default: linear, or as pretrained"),
        field("sigma_data", &O::sigma_data, "standard deviation of the pictures, for edm; default: 0.5"),
        field("learned_variance", &O::learned_variance,
              "ddpm: also predict the variance of a step (Nichol & Dhariwal 2021); better with few steps"),
        field("self_conditioning", &O::self_conditioning,
              "show the network its own last answer (Chen et al. 2023); diffusers cannot sample such a model"),
        section("Loss"),
        field("loss", &O::loss, "l2, l1 or huber"),
        field("loss_weighting", &O::loss_weighting,
              "which noise levels count how much: standard, min_snr, soft_min_snr, p2, truncated_snr or edm; default: "
              "standard, or min_snr with --snr-gamma"),
        field("snr_gamma", &O::snr_gamma, "of min_snr (Hang et al. 2023) and soft_min_snr; default: 5"),
        field("p2_gamma", &O::p2_gamma, "of p2 (Choi et al. 2022)"),
        field("p2_k", &O::p2_k, "of p2"),
        field("uncertainty_weighting", &O::uncertainty_weighting,
              "learn how large the loss is at each noise level and divide by it (EDM2, Karras et al. 2024)"),
        field("gradient_times_loss", &O::gradient_times_loss,
              "multiply each gradient by its loss, as loss.backward(loss) does in the course's notebooks"),
        section("Noise"),
        field("timestep_sampling", &O::timestep_sampling,
              "which noise levels to train on: uniform or logit_normal; default: uniform for ddpm, else logit_normal"),
        field("logit_mean", &O::logit_mean, "of logit_normal, higher = noisier; default: 0, for edm -1.2"),
        field("logit_std", &O::logit_std, "of logit_normal; default: 1, for edm 1.2"),
        field("low_discrepancy", &O::low_discrepancy,
              "spread the levels of a batch evenly (Kingma et al. 2021): a calmer loss"),
        field("noise_offset", &O::noise_offset, "shift whole colour channels of the noise; 0.1 is usual, 0 = off"),
        field("input_perturbation", &O::input_perturbation,
              "more noise in the picture than is asked for (Ning et al. 2023); 0.1 is usual, 0 = off"),
        field("immiscible_noise", &O::immiscible_noise,
              "give each picture of a batch the noise that is nearest (Li et al. 2024)"),
        field("augment", &O::augment,
              "probability of each geometric change of a picture, of which the network is told so that samples do not "
              "show it (Karras et al. 2022, appendix F.2); 0.12 is usual, 0 = off"),
    };
  }
};

}  // namespace unnoise
