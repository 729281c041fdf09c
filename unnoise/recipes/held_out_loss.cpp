#include "unnoise/recipes/held_out_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/nn/rng.h"
#include "unnoise/recipes/train_objective.h"
#include "unnoise/training/objective.h"

namespace unnoise {
namespace {

/// A folder that was given as unseen pictures need not call them a test split.
std::shared_ptr<const Dataset> open_unseen(const HeldOutOptions& o, const Observer& observer) {
  try {
    return open_dataset({.path_or_name = o.data, .split = o.split}, observer);
  } catch (const NoSuchSplit&) {
    if (o.split != HeldOutOptions().split) throw;
    return open_dataset({.path_or_name = o.data}, observer);
  }
}

}  // namespace

HeldOutLoss::HeldOutLoss(const HeldOutOptions& o, const Unconditional& pipe, const Observer& observer)
    : network_(*pipe.unet),
      process_(process_of(*pipe.scheduler)),
      seed_(o.seed),
      self_conditioning_(pipe.self_conditioning),
      with_labels_(network_.options().num_class_embeds.has_value()) {
  const auto& network = network_.options();
  const int64_t channels = self_conditioning_ ? network.in_channels / 2 : network.in_channels;
  if ((channels != 1 && channels != 3) || !network.sample_size ||
      network.sample_size->height != network.sample_size->width)
    throw usage_error("this network's pictures are not square, or neither grey nor in colour",
                      "Pictures of a folder are read as squares of 1 or 3 channels.");
  const auto data = open_unseen(o, observer);
  if (with_labels_ && !data->label(0))
    throw usage_error(fmt::format("\"{}\": the network is conditioned on classes, these pictures have none", o.data));
  num_images_ = o.num_images == 0 ? data->size() : std::min(o.num_images, data->size());
  loader_ = std::make_unique<Loader>(data,
                                     LoaderOptions{.resolution = network.sample_size->height,
                                                   .mode = channels == 1 ? ImageMode::grey : ImageMode::rgb,
                                                   .center_crop = true,
                                                   .batch_size = o.batch_size,
                                                   .seed = o.seed},
                                     observer);
}

Tensor HeldOutLoss::per_image(const std::function<void(int64_t)>& done, const std::stop_token& stop) {
  const c10::NoGradGuard no_grad;
  const at::Device device = network_.parameters().front().device();
  Rng rng(seed_);
  // The pictures come in random order, so that evenly spread levels are dealt out at random.
  const Tensor levels = process_->draw({.low_discrepancy = true}, num_images_, rng);
  loader_->seek(0);
  std::vector<Tensor> losses;
  for (int64_t first = 0; first < num_images_;) {
    if (stop.stop_requested()) return {};
    const Batch batch = loader_->next();
    const int64_t count = std::min(batch.images.size(0), num_images_ - first);
    const Tensor x0 = batch.images.narrow(0, 0, count).to(device);
    const Tensor labels = with_labels_ ? batch.labels.narrow(0, 0, count).to(device) : Tensor();
    const Tensor eps = rng.normal_like(x0), level = levels.narrow(0, first, count).to(device);
    const Tensor xt = process_->add_noise(x0, eps, level);
    Tensor input = process_->input(xt, level);
    if (self_conditioning_) input = at::cat({input, at::zeros_like(input)}, 1);
    const Tensor output = network_(input, process_->timesteps(level), labels).narrow(1, 0, x0.size(1));
    losses.push_back(training_loss({}, *process_, {output, x0, eps, xt, level}).per_sample.to(at::kCPU));
    first += count;
    done(first);
  }
  return at::cat(losses);
}

}  // namespace unnoise
