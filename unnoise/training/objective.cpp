#include "unnoise/training/objective.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/l1_loss.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/smooth_l1_loss.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "unnoise/core/error.h"
#include "unnoise/training/autocast.h"

namespace unnoise {
namespace {

void check(const Objective& objective) {
  if (objective.prediction_type == PredictionType::flow_prediction)
    throw usage_error("prediction_type: expected epsilon, sample or v_prediction, found flow_prediction");
  if (objective.snr_gamma && !(*objective.snr_gamma > 0))
    throw usage_error(fmt::format("snr_gamma: expected a number above 0, found {}", *objective.snr_gamma));
}

/// [B,...] float32: the distance of every number.
Tensor distances(LossType loss, const Tensor& output, const Tensor& target) {
  switch (loss) {
    case LossType::l2:
      return at::mse_loss(output, target, at::Reduction::None);
    case LossType::l1:
      return at::l1_loss(output, target, at::Reduction::None);
    case LossType::huber:
      return at::smooth_l1_loss(output, target, at::Reduction::None, /*beta=*/1.0);
  }
  throw usage_error("loss: not one of l2, l1, huber");
}

/// [B] -> [B,1,...] with x's number of dimensions.
Tensor per_sample_factor(const Tensor& factor, const Tensor& x) {
  Shape shape(x.dim(), 1);
  shape[0] = -1;
  return factor.reshape(shape);
}

}  // namespace

Tensor loss_weights(const Objective& objective, const NoiseSchedule& noise, const Tensor& t) {
  check(objective);
  const bool is_sample = objective.prediction_type == PredictionType::sample;
  if (!objective.snr_gamma && !is_sample) return {};

  const Tensor snr = noise.snr(t).to(at::kFloat);  // [B]
  if (!objective.snr_gamma) return snr;
  const double gamma = *objective.snr_gamma;
  if (is_sample) return snr.clamp_max(gamma);
  if (objective.prediction_type == PredictionType::v_prediction) return snr.clamp_max(gamma) / (snr + 1.0);
  return (gamma / snr).clamp_max(1.0);  // epsilon: min(snr, gamma) / snr, and 1 where snr is 0
}

Loss training_loss(const Objective& objective, const NoiseSchedule& noise, const Tensor& output, const Tensor& x0,
                   const Tensor& eps, const Tensor& t) {
  if (output.sizes() != x0.sizes())
    throw usage_error(fmt::format("the network's output has another shape than the pictures: expected [{}], found [{}]",
                                  fmt::join(x0.sizes(), ","), fmt::join(output.sizes(), ",")));
  const AutocastScope full_precision(Precision::no, output.device().type());
  const Tensor target = noise.target(objective.prediction_type, x0, eps, t).to(at::kFloat);
  Tensor each = distances(objective.loss, output.to(at::kFloat), target);
  if (const Tensor weights = loss_weights(objective, noise, t); weights.defined())
    each = each * per_sample_factor(weights, each);
  return {each.mean(), each.detach().flatten(1).mean(1)};
}

}  // namespace unnoise
