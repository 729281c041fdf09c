#include "unnoise/training/noise_process.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sigmoid.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/nn/beside.h"

namespace unnoise {
namespace {

class TableProcess final : public NoiseProcess {
 public:
  TableProcess(const NoiseSchedule& noise, PredictionType type) : noise_(noise), type_(type) {
    if (type == PredictionType::flow_prediction)
      throw usage_error("prediction_type: expected epsilon, sample or v_prediction, found flow_prediction");
  }

  Tensor draw(const LevelDraw& how, int64_t batch, Rng& rng) const override {
    const int64_t last = noise_.num_train_timesteps();
    const bool uniform = how.sampling.value_or(LevelSampling::uniform) == LevelSampling::uniform;
    if (uniform && !how.low_discrepancy) return rng.integers(last, batch);  // diffusers' draw
    const Tensor u =
        uniform ? draw_uniform(how, batch, rng)
                : at::sigmoid(draw_normal(how, how.logit_mean.value_or(0), how.logit_std.value_or(1), batch, rng));
    return (u * static_cast<double>(last)).to(at::kLong).clamp_(0, last - 1);
  }

  Tensor add_noise(const Tensor& x0, const Tensor& eps, const Tensor& t) const override {
    return noise_.add_noise(x0, eps, t);
  }
  Tensor target(const Tensor& x0, const Tensor& eps, const Tensor& t) const override {
    return noise_.target(type_, x0, eps, t);
  }
  Tensor x0(const Tensor& xt, const Tensor& output, const Tensor& t) const override {
    return noise_.x0_from(type_, xt, output, t);
  }

  Tensor snr(const Tensor& t) const override { return noise_.snr(t); }
  /// x0's error is sigma/alpha of eps', and sigma of v's.
  Tensor gain(const Tensor& t) const override {
    const Tensor snr = noise_.snr(t);
    if (type_ == PredictionType::sample) return at::ones_like(snr);
    if (type_ == PredictionType::v_prediction) return snr + 1.0;
    return snr.clamp_min(1e-30);  // 0 at the end of a zero-SNR table, where a weight min(snr, gamma) / snr means 1
  }
  Tensor standard_weight(const Tensor& t) const override {
    return type_ == PredictionType::sample ? noise_.snr(t) : Tensor();
  }
  const NoiseSchedule* table() const override { return &noise_; }

 private:
  const NoiseSchedule noise_;
  const PredictionType type_;
};

class EdmProcess final : public NoiseProcess {
 public:
  explicit EdmProcess(double sigma_data) : sigma_data_(sigma_data), variance_(sigma_data * sigma_data) {
    if (!(sigma_data > 0) || !std::isfinite(sigma_data))
      throw usage_error(fmt::format("sigma_data: expected above 0, found {}", sigma_data));
  }

  /// log sigma ~ N(P_mean, P_std^2), table 1.
  Tensor draw(const LevelDraw& how, int64_t batch, Rng& rng) const override {
    if (how.sampling == LevelSampling::uniform)
      throw usage_error("EDM's levels of noise have no end, so none can be drawn uniformly",
                        "Leave --timestep-sampling out, or say logit_normal.");
    return draw_normal(how, how.logit_mean.value_or(-1.2), how.logit_std.value_or(1.2), batch, rng).exp();
  }

  Tensor add_noise(const Tensor& x0, const Tensor& eps, const Tensor& sigma) const override {
    return x0 + beside(sigma, x0) * eps;
  }
  Tensor input(const Tensor& xt, const Tensor& sigma) const override {
    return xt * beside((sigma.square() + variance_).rsqrt(), xt);  // c_in
  }
  Tensor timesteps(const Tensor& sigma) const override { return sigma.log() / 4; }  // c_noise
  /// (x0 - c_skip xt) / c_out, eq. 8.
  Tensor target(const Tensor& x0, const Tensor& eps, const Tensor& sigma) const override {
    return (x0 - beside(c_skip(sigma), x0) * add_noise(x0, eps, sigma)) / beside(c_out(sigma), x0);
  }
  Tensor x0(const Tensor& xt, const Tensor& output, const Tensor& sigma) const override {
    return beside(c_skip(sigma), xt) * xt + beside(c_out(sigma), xt) * output;
  }

  Tensor snr(const Tensor& sigma) const override { return sigma.square().reciprocal(); }
  Tensor gain(const Tensor& sigma) const override { return c_out(sigma).square().reciprocal(); }

 private:
  Tensor c_skip(const Tensor& sigma) const { return variance_ / (sigma.square() + variance_); }
  Tensor c_out(const Tensor& sigma) const { return sigma * sigma_data_ * (sigma.square() + variance_).rsqrt(); }

  const double sigma_data_, variance_;
};

class FlowProcess final : public NoiseProcess {
 public:
  explicit FlowProcess(int64_t num_train_timesteps) : scale_(static_cast<double>(num_train_timesteps)) {
    if (num_train_timesteps < 1)
      throw usage_error(fmt::format("num_train_timesteps: expected at least 1, found {}", num_train_timesteps));
  }

  Tensor draw(const LevelDraw& how, int64_t batch, Rng& rng) const override {
    if (how.sampling == LevelSampling::uniform) return draw_uniform(how, batch, rng);
    return at::sigmoid(draw_normal(how, how.logit_mean.value_or(0), how.logit_std.value_or(1), batch, rng));
  }

  Tensor add_noise(const Tensor& x0, const Tensor& eps, const Tensor& s) const override {
    const Tensor share = beside(s, x0);
    return (1 - share) * x0 + share * eps;
  }
  Tensor timesteps(const Tensor& s) const override { return s * scale_; }
  Tensor target(const Tensor& x0, const Tensor& eps, const Tensor&) const override { return eps - x0; }
  Tensor x0(const Tensor& xt, const Tensor& output, const Tensor& s) const override {
    return xt - beside(s, xt) * output;
  }

  Tensor snr(const Tensor& s) const override { return ((1 - s) / s).square(); }
  Tensor gain(const Tensor& s) const override { return s.square().reciprocal(); }

 private:
  const double scale_;
};

}  // namespace

std::shared_ptr<const NoiseProcess> table_process(const NoiseSchedule& noise, PredictionType prediction_type) {
  return std::make_shared<TableProcess>(noise, prediction_type);
}
std::shared_ptr<const NoiseProcess> edm_process(double sigma_data) { return std::make_shared<EdmProcess>(sigma_data); }
std::shared_ptr<const NoiseProcess> flow_process(int64_t num_train_timesteps) {
  return std::make_shared<FlowProcess>(num_train_timesteps);
}

}  // namespace unnoise
