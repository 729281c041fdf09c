// How wrong a network's eps is on pictures that it did not train on, at each noise level: one number that runs of
// different objectives, losses, weightings and noise schedules can be compared by.
//
// The loss of the training's own objective cannot be (held_out_objective_loss.h measures that): v, x0 and eps have
// targets of different sizes, and another schedule draws other noise levels. Here every run answers the same questions:
// the same pictures with the same noise at the same signal-to-noise ratios, those of Ho et al. 2020's linear schedule
// of 1000 timesteps, stratified. The answer is turned into eps, and the mean over the levels is their L_simple (eq.
// 14), on held-out pictures.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <vector>

#include "unnoise/core/json.h"
#include "unnoise/core/observer.h"
#include "unnoise/models/unet2d.h"
#include "unnoise/recipes/held_out_pictures.h"
#include "unnoise/recipes/train_plan.h"

namespace unnoise {

inline constexpr int64_t kHeldOutBins = 10;  ///< of 100 timesteps of the linear schedule each

struct HeldOutEpsError {
  double mean = 0;           ///< over the bins
  std::vector<double> bins;  ///< mean of (eps_hat - eps)^2; bin 0 has the least noise
  int64_t num_images = 0;
  bool unseen = false;  ///< the pictures are of a test split; else training pictures, for want of others
};
Json to_json(const HeldOutEpsError& error);
/// Null for what is no such object.
std::optional<HeldOutEpsError> held_out_from_json(const Json& json);

/// The level of `process` whose alpha^2 / sigma^2 is `snr`; of a table, the nearest timestep. [] of its own kind.
Tensor level_of_snr(const NoiseProcess& process, double snr);

/// The questions above to any network, 64 pictures at a time: the error for each bin; fewer bins when stopped.
std::vector<double> eps_errors(const AskedNetwork& asked, const HeldOutPictures& pictures,
                               const Observer& observer = {}, const std::stop_token& stop = {});

/// Of `unet`, as the plan of its training says: its data's test split where there is one, `num_images` pictures of it
/// at the training resolution, centre crop, no flip. nullopt when stopped; Error::data when that split is damaged.
std::optional<HeldOutEpsError> held_out_eps_error(const TrainOptions& options, const TrainPlan& plan, UNet2D& unet,
                                                  int64_t num_images, const Observer& observer = {},
                                                  const std::stop_token& stop = {});

}  // namespace unnoise
