// How much noise each training timestep adds: the tables of the forward process, and what follows from them alone.
//
//   q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I),   abar_t = prod_{s<=t} (1 - beta_s)      Ho et al. 2020, eq. 4
#pragma once

#include <array>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/nn/tensor.h"
#include "unnoise/schedulers/beta_schedule.h"
#include "unnoise/schedulers/prediction.h"

namespace unnoise {

/// The keys of a scheduler's config that decide its tables.
struct NoiseOptions {
  int64_t num_train_timesteps = 1000;
  double beta_start = 1e-4;
  double beta_end = 0.02;
  BetaSchedule beta_schedule = BetaSchedule::linear;
  std::optional<std::vector<double>> trained_betas;
  bool rescale_betas_zero_snr = false;

  /// The keys that every table-based scheduler of diffusers has.
  static constexpr auto beta_fields() {
    return std::tuple{field("num_train_timesteps", &NoiseOptions::num_train_timesteps,
                            "timesteps of the forward process, 1 to 1000000"),
                      field("beta_start", &NoiseOptions::beta_start, "first beta, above 0"),
                      field("beta_end", &NoiseOptions::beta_end, "last beta, at most 1"),
                      field("beta_schedule", &NoiseOptions::beta_schedule, "how beta runs between the two"),
                      field("trained_betas", &NoiseOptions::trained_betas,
                            "the betas themselves, one a timestep, instead of a schedule")};
  }
  static constexpr auto fields() {
    return std::tuple_cat(beta_fields(),
                          std::tuple{field("rescale_betas_zero_snr", &NoiseOptions::rescale_betas_zero_snr,
                                           "make the last timestep pure noise (Lin et al. 2023, algorithm 1)")});
  }
};

/// An immutable value; copies share the tables. The tables equal diffusers' bit for bit.
class NoiseSchedule {
 public:
  /// Throws Error::usage that names the key when a beta would lie outside (0, 1].
  explicit NoiseSchedule(const NoiseOptions& options = {});

  const NoiseOptions& options() const { return options_; }
  int64_t num_train_timesteps() const { return options_.num_train_timesteps; }

  /// [T] float32 on the CPU.
  const Tensor& betas() const { return betas_; }
  const Tensor& alphas() const { return alphas_; }                  ///< 1 - beta
  const Tensor& alphas_cumprod() const { return alphas_cumprod_; }  ///< abar

  /// abar_t and its (sqrt(abar_t), sqrt(1 - abar_t)), 0 <= t < T.
  float alpha_bar(int64_t t) const;
  NoiseLevel level(int64_t t) const;
  /// A level a picture, [B,1,1,1] of x's dtype and device; t is [B] (or [1], 0-dim) int64. As diffusers, abar is cast
  /// to x's dtype first.
  NoiseLevels levels(const Tensor& t, const Tensor& x) const;

  /// x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps, Ho et al. 2020, eq. 4. x0 and eps [B,C,H,W] (any rank from 1), t as
  /// above.
  Tensor add_noise(const Tensor& x0, const Tensor& eps, const Tensor& t) const;
  /// v = sqrt(abar_t) eps - sqrt(1 - abar_t) x0, Salimans & Ho 2022, appendix D.
  Tensor velocity(const Tensor& x0, const Tensor& eps, const Tensor& t) const;
  /// abar_t / (1 - abar_t), of t's shape, float32.
  Tensor snr(const Tensor& t) const;

  /// What a network of this type is trained to answer at x_t: eps, x0 or v.
  Tensor target(PredictionType type, const Tensor& x0, const Tensor& eps, const Tensor& t) const;
  /// What its answer says about x0 and about eps; see prediction.h.
  Tensor x0_from(PredictionType type, const Tensor& xt, const Tensor& output, const Tensor& t) const;
  Tensor eps_from(PredictionType type, const Tensor& xt, const Tensor& output, const Tensor& t) const;

 private:
  NoiseOptions options_;
  Tensor betas_;
  Tensor alphas_;
  Tensor alphas_cumprod_;
  Tensor alpha_levels_, sigma_levels_;  // sqrt(abar), sqrt(1 - abar)
};

}  // namespace unnoise
