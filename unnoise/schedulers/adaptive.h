// What the samplers that choose their own steps share: the probability-flow ODE in tau = log sigma, from the model's
// noisiest level to its cleanest, then the denoised picture.
//
//   dy/dtau = y - D(y, sigma),   y = x / alpha, D the predicted x0          Song et al. 2021, eq. 13; Karras et al.
//   2022, eq. 1
#pragma once

#include "unnoise/schedulers/dormand_prince.h"
#include "unnoise/schedulers/sigma_grids.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {

struct AdaptiveConfig : NoiseOptions {
  PredictionType prediction_type = PredictionType::epsilon;
  std::optional<double> sigma_min;
  std::optional<double> sigma_max;

  static constexpr auto fields() {
    using O = AdaptiveConfig;
    return std::tuple_cat(
        NoiseOptions::fields(),
        std::tuple{field("prediction_type", &O::prediction_type, "what the network predicts"),
                   field("sigma_min", &O::sigma_min, "where to stop; default: the table's smallest"),
                   field("sigma_max", &O::sigma_max, "where to begin; default: the table's largest")});
  }
};

/// Throws Error::usage that names the key whose value cannot be.
void check_config(std::string_view class_name, const AdaptiveConfig& config, const SigmaTable& table);

class AdaptiveSolver : public Solver {
 public:
  AdaptiveSolver(const AdaptiveConfig& config, SigmaTable table);

  Tensor input(const Tensor& x, const Step& step) const override;
  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override;
  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override;
  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override;
  bool is_adaptive() const override { return true; }
  std::optional<Tensor> next_timestep() override;
  std::vector<double> sigmas() const override { return {sigma_max_, 0}; }

  /// The run's only step that is known beforehand.
  std::vector<Tensor> first_timestep() const;
  double sigma_max() const { return sigma_max_; }

 protected:
  /// Where the network is wanted next: y and log sigma. Nothing: the end was reached.
  struct Point {
    Tensor y;
    double tau;
  };
  /// Takes D at the point asked for before (the first is `y` itself at log sigma_max).
  virtual std::optional<Point> advance(const Tensor& y, const Tensor& denoised) = 0;

  double first_tau() const;
  double last_tau() const;

 private:
  Tensor denoised(const Tensor& y, const Tensor& model_output) const;

  const PredictionType prediction_type_;
  const SigmaTable table_;
  const double sigma_min_, sigma_max_;
  double sigma_;  // of the network's next call
  bool is_done_ = false;
};

}  // namespace unnoise
