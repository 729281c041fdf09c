// What the samplers of distilled latent models, LCM and TCD, share: their config and their grid, a subset of the few
// timesteps that the student was trained on.
#pragma once

#include "unnoise/schedulers/discrete.h"

namespace unnoise {

/// The keys of both classes, with Stable Diffusion's betas as default.
struct DistilledConfig : DiscreteConfig {
  int64_t original_inference_steps = 50;
  bool set_alpha_to_one = true;
  double timestep_scaling = 10;

  DistilledConfig() {
    beta_start = 0.00085;
    beta_end = 0.012;
    beta_schedule = BetaSchedule::scaled_linear;
    clip_sample = false;
  }

  static constexpr auto fields() {
    using C = DistilledConfig;
    return std::tuple_cat(DiscreteConfig::fields(),
                          std::tuple{field("original_inference_steps", &C::original_inference_steps,
                                           "steps of the grid that the student was distilled on"),
                                     field("set_alpha_to_one", &C::set_alpha_to_one,
                                           "not used: the last step leads to the clean picture"),
                                     field("timestep_scaling", &C::timestep_scaling,
                                           "how fast the skip connection fades with the timestep (LCM), above 0")});
  }
};

/// Throws Error::usage that names the key whose value cannot be.
void check_distilled(std::string_view class_name, const DistilledConfig& config);

/// Where the student's grid comes from when the run names original_inference_steps.
enum class TeacherGrid {
  spaced,          ///< so many steps, equally spaced: LCM
  every_timestep,  ///< all training timesteps: TCD, as in diffusers
};

/// `steps` of the teacher's timesteps, or the user's own, falling; `strength` leaves out the noisiest. Error::usage
/// when there are fewer than asked for.
std::vector<int64_t> distilled_timesteps(const DistilledConfig& config, const StartOptions& options,
                                         TeacherGrid when_named);

}  // namespace unnoise
