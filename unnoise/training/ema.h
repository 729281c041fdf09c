// An exponential moving average of the weights: smoother pictures from the same training.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/json.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// How much the old average counts at each update: diffusers' rule, EDM's, or EDM2's. Defaults are those of diffusers'
/// EMAModel; train_unconditional.py uses warm-up with power 3/4.
struct EmaOptions {
  double decay = 0.9999;          ///< the largest
  double min_decay = 0.0;         ///< the smallest, once averaging has begun
  int64_t update_after_step = 0;  ///< until then the average is a copy
  bool use_ema_warmup = false;    ///< 1 - (1 + n/inv_gamma)^-power instead of (1+n)/(10+n)
  double inv_gamma = 1.0;
  double power = 2.0 / 3.0;

  /// Instead of all above: constant half-life, in pictures (training/power_ema.h, halflife_decay).
  std::optional<double> halflife;
  double rampup_ratio = 0.05;  ///< the half-life is at most this share of the pictures seen; 0 = no such limit
  /// Instead of all above: EDM2's power function with this relative width (power_ema.h, power_decay).
  std::optional<double> sigma_rel;
};

/// diffusers' rule: the weight of the old average at update number `optimization_step`, counted from 1 (0 for the
/// first).
double ema_decay(const EmaOptions& options, int64_t optimization_step);

/// Holds the parameters (handles, not copies) and an average of each.
class Ema {
 public:
  /// The averages begin as copies. Throws Error::usage for a value out of range.
  explicit Ema(const StateDict& named_parameters, const EmaOptions& options = {});

  /// Tells how many pictures the next update has learned from; calls add up. Half-life and power function count time
  /// in pictures; an update for which nothing was told counts as one.
  void count_images(int64_t images) { new_images_ += images; }
  /// After an update of the weights: average -= (1 - decay)(average - parameter). Parameters that need no gradient are
  /// copied.
  void step();

  /// Sets the parameters to their averages.
  void copy_to_parameters();
  /// Remembers the parameters' own values, for restore(). Throws Error::usage when some are remembered already.
  void store();
  /// Sets the parameters to what store() remembered and forgets it. Throws Error::usage without a store() before.
  void restore();
  bool has_stored() const { return !stored_.empty(); }

  int64_t optimization_step() const { return optimization_step_; }
  int64_t images() const { return images_; }  ///< that the updates so far have learned from
  /// Of the last step(); 0 before the first, and after load() where it counts pictures.
  double current_decay() const { return current_decay_; }

  /// The averages by parameter name: what unet_ema's weight file holds. The tensors are the Ema's own.
  StateDict state() const;
  /// decay, min_decay, optimization_step, update_after_step, use_ema_warmup, inv_gamma, power: what diffusers adds to
  /// unet_ema/config.json; and, where they are set,
  /// halflife_images with rampup_ratio, or sigma_rel, and with either images.
  Json config() const;
  /// Goes on from saved averages and the keys of config() (others are ignored, the options are replaced). Error::data
  /// names `where` and what is wrong; nothing is changed when it throws.
  void load(const StateDict& averages, const Json& config, std::string_view where);

  const EmaOptions& options() const { return options_; }

 private:
  friend class FusedUpdate;

  /// Counts an update and gives the weight of the old averages in it.
  double begin_step();
  double decay_of(int64_t images_before) const;

  EmaOptions options_;
  double gamma_ = 0;  ///< of sigma_rel
  std::vector<std::string> names_;
  std::vector<Tensor> parameters_;
  std::vector<Tensor> averages_;
  std::vector<Tensor> stored_;
  int64_t optimization_step_ = 0;
  int64_t images_ = 0;
  int64_t new_images_ = 0;
  double current_decay_ = 0.0;
};

/// Within its scope the parameters are their averages: to draw or to save with them.
class EmaScope {
 public:
  explicit EmaScope(Ema& ema);
  ~EmaScope();
  EmaScope(const EmaScope&) = delete;
  EmaScope& operator=(const EmaScope&) = delete;

 private:
  Ema& ema_;
};

}  // namespace unnoise
