#include "unnoise/training/train_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <limits>

#include "unnoise/training/fused_update.h"
#include "unnoise/training/gradient_sum.h"

namespace unnoise {
namespace {

/// True: the gradients are those of the loss itself. False: one overflowed, at a scale that can be lowered still.
bool unscale(GradScaler& scaler, const Optimizer& optimizer) {
  const bool can_be_lowered = scaler.scale() > 1;
  const bool finite = scaler.unscale(optimizer.parameters());
  scaler.update(finite);
  return finite || !can_be_lowered;
}

/// The end of a group: add up over the processes, clip, move the weights, move their average, forget the gradients.
void update(const TrainParts& parts, TrainStepResult& result) {
  if (parts.group) sum_gradients(*parts.group, parts.optimizer.parameters());
  if (parts.scaler && !unscale(*parts.scaler, parts.optimizer)) {
    parts.optimizer.zero_grad();
    result.outcome = StepOutcome::skipped;
    return;
  }
  constexpr double kUnlimited = std::numeric_limits<double>::infinity();
  const double max_norm = parts.max_grad_norm > 0 ? parts.max_grad_norm : kUnlimited;
  result.grad_norm = fused_update(parts.optimizer, parts.ema, max_norm);
  const bool moved = result.grad_norm.has_value();
  if (!moved) result.grad_norm = clip_grad_norm(parts.optimizer.parameters(), max_norm);
  if (!std::isfinite(*result.grad_norm)) {
    result.outcome = StepOutcome::gradient_not_finite;
    return;
  }
  if (!moved) {
    parts.optimizer.step();
    if (parts.ema) parts.ema->step();
  }
  for (Ema* average : parts.more_averages) average->step();
  parts.optimizer.zero_grad();
  result.outcome = StepOutcome::updated;
}

/// What the network sees besides the picture: its own first answer for x0, or zeros. Chen et al. 2023, "Analog Bits".
Tensor self_condition(const TrainParts& parts, const NoiseDraw& draw, const Tensor& xt, const Tensor& labels) {
  const NoiseProcess& process = parts.process;
  const Tensor input = process.input(xt, draw.level), nothing = at::zeros_like(xt);
  if (!draw.self_condition) return at::cat({input, nothing}, 1);
  const c10::NoGradGuard no_grad;
  const Tensor output = parts.network(at::cat({input, nothing}, 1), process.timesteps(draw.level), labels);
  return at::cat({input, process.x0(xt, output.narrow(1, 0, xt.size(1)).to(xt.scalar_type()), draw.level)}, 1);
}

void count_images(const TrainParts& parts, const MicroBatch& batch) {
  const int64_t images = batch.images.value_or(batch.x0.size(0));
  if (parts.ema) parts.ema->count_images(images);
  for (Ema* average : parts.more_averages) average->count_images(images);
}

/// The step of a process that has no pictures: the others' gradients move its weights too.
TrainStepResult step_without_pictures(const TrainParts& parts, const MicroBatch& batch) {
  TrainStepResult result;
  count_images(parts, batch);
  if (batch.ends_group) update(parts, result);
  return result;
}

}  // namespace

TrainStepResult train_step(const TrainParts& parts, const MicroBatch& batch, const NoiseDraw& draw) {
  if (batch.x0.size(0) == 0) return step_without_pictures(parts, batch);
  const NoiseProcess& process = parts.process;
  const Tensor& x0 = batch.x0;                                                   // 1 images
  const Tensor xt = process.add_noise(x0, draw.noise_in_picture(), draw.level);  // 2 add noise
  const Tensor timesteps = process.timesteps(draw.level);
  Tensor output;
  {
    const AutocastScope autocast(parts.precision, x0.device().type());
    const Tensor input =
        parts.draw.self_conditioning ? self_condition(parts, draw, xt, batch.labels) : process.input(xt, draw.level);
    output = parts.network(input, timesteps, batch.labels);  // 3 predict
  }
  const Loss loss = training_loss(parts.objective, process, {output, x0, draw.eps, xt, draw.level});  // 4 evaluate

  TrainStepResult result{
      .loss = loss.per_sample.mean().item<double>(), .per_sample = loss.per_sample, .timesteps = timesteps};
  if (!std::isfinite(result.loss) || !std::isfinite(loss.mean.item<double>())) {
    result.outcome = StepOutcome::loss_not_finite;
    return result;
  }
  count_images(parts, batch);
  const double scale = batch.weight * (parts.objective.gradient_times_loss ? loss.mean.item<double>() : 1.0) *
                       (parts.scaler ? parts.scaler->scale() : 1.0);
  (scale == 1.0 ? loss.mean : loss.mean * scale).backward();  // 5 update
  if (batch.ends_group) update(parts, result);
  return result;
}

TrainStepResult train_step(const TrainParts& parts, const MicroBatch& batch, Rng& rng) {
  if (batch.x0.size(0) == 0) return step_without_pictures(parts, batch);
  return train_step(parts, batch, draw_noise(batch.x0, parts.process, parts.draw, rng));
}

}  // namespace unnoise
