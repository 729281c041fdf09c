#include "unnoise/training/objective.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/l1_loss.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/smooth_l1_loss.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/nn/beside.h"
#include "unnoise/training/autocast.h"
#include "unnoise/training/variational_bound.h"

namespace unnoise {
namespace {

void check_above_0(const char* name, double value) {
  if (!(value > 0) || !std::isfinite(value))
    throw usage_error(fmt::format("{}: expected a number above 0, found {}", name, value));
}

/// The weight of x0's error, [B].
Tensor x0_weight(const Objective& o, const Tensor& snr) {
  switch (o.weighting) {
    case LossWeighting::min_snr:
      check_above_0("snr_gamma", o.snr_gamma);
      return snr.clamp_max(o.snr_gamma);
    case LossWeighting::soft_min_snr:
      check_above_0("snr_gamma", o.snr_gamma);
      return snr * o.snr_gamma / (snr + o.snr_gamma);
    case LossWeighting::p2:
      check_above_0("p2_k", o.p2_k);
      if (!(o.p2_gamma >= 0)) throw usage_error(fmt::format("p2_gamma: expected at least 0, found {}", o.p2_gamma));
      return snr * at::pow(snr + o.p2_k, -o.p2_gamma);
    case LossWeighting::truncated_snr:
      return snr.clamp_min(1.0);
    case LossWeighting::edm:
      check_above_0("sigma_data", o.sigma_data);
      return snr + 1.0 / (o.sigma_data * o.sigma_data);
    case LossWeighting::standard:
      break;
  }
  throw usage_error("loss_weighting: unknown value");
}

void check_shape(const Tensor& output, const Tensor& x0, bool learned_variance) {
  Shape expected = x0.sizes().vec();
  if (learned_variance) expected[1] *= 2;
  if (output.sizes() != at::IntArrayRef(expected))
    throw usage_error(fmt::format("the network's output has another shape than the pictures: expected [{}], found [{}]",
                                  fmt::join(expected, ","), fmt::join(output.sizes(), ",")));
}

}  // namespace

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

Tensor loss_weights(const Objective& objective, const NoiseProcess& process, const Tensor& level) {
  if (objective.weighting == LossWeighting::standard) return process.standard_weight(level);
  const Tensor snr = process.snr(level).to(at::kFloat).clamp_min(1e-30);
  return x0_weight(objective, snr) / process.gain(level);
}

Loss training_loss(const Objective& objective, const NoiseProcess& process, const Answer& answer) {
  const auto& [output, x0, eps, xt, level] = answer;
  check_shape(output, x0, objective.learned_variance);
  const AutocastScope full_precision(Precision::no, output.device().type());
  const Tensor said = output.to(at::kFloat);
  const Tensor prediction = objective.learned_variance ? said.narrow(1, 0, x0.size(1)) : said;

  Tensor each = distances(objective.loss, prediction, process.target(x0, eps, level).to(at::kFloat));
  if (const Tensor weights = loss_weights(objective, process, level); weights.defined())
    each = each * beside(weights, each);
  Tensor mean = each.mean();
  if (objective.uncertainty) {
    const Tensor u = (*objective.uncertainty)(process.snr(level));
    mean = (each.flatten(1).mean(1) * (-u).exp() + u).mean();
  }
  if (objective.learned_variance) {
    const Tensor x0_seen = process.x0(xt, prediction, level).detach();
    const Tensor variance = said.narrow(1, x0.size(1), x0.size(1));
    const double scale = static_cast<double>(process.table()->num_train_timesteps()) / 1000;
    mean = mean + scale * variational_bound(*process.table(), {x0, xt, x0_seen, variance, level}).mean();
  }
  return {mean, each.detach().flatten(1).mean(1)};
}

}  // namespace unnoise
