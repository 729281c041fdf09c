#include "unnoise/recipes/held_out_objective_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/nn/rng.h"
#include "unnoise/recipes/train_objective.h"
#include "unnoise/training/objective.h"

namespace unnoise {

HeldOutObjectiveLoss::HeldOutObjectiveLoss(const std::shared_ptr<const Dataset>& data, const HeldOutOptions& o,
                                           const Unconditional& pipe, const Observer& observer)
    : network_(*pipe.unet),
      process_(process_of(*pipe.scheduler)),
      batch_size_(o.batch_size),
      self_conditioning_(pipe.self_conditioning) {
  const auto& network = network_.options();
  const int64_t channels = self_conditioning_ ? network.in_channels / 2 : network.in_channels;
  if ((channels != 1 && channels != 3) || !network.sample_size ||
      network.sample_size->height != network.sample_size->width)
    throw usage_error("this network's pictures are not square, or neither grey nor in colour",
                      "Pictures of a folder are read as squares of 1 or 3 channels.");
  const bool with_labels = network.num_class_embeds.has_value();
  if (with_labels && !data->label(0))
    throw usage_error("the network is conditioned on classes, the held-out pictures have none");
  pictures_ = read_held_out(data,
                            {.resolution = network.sample_size->height,
                             .mode = channels == 1 ? ImageMode::grey : ImageMode::rgb,
                             .batch_size = o.batch_size,
                             .seed = o.seed},
                            o.num_images, observer);
  if (!with_labels) pictures_.labels = Tensor();
  Rng rng(o.seed);
  // The pictures come in random order, so that evenly spread levels are dealt out at random.
  noise_.level = process_->draw({.low_discrepancy = true}, num_images(), rng);
  std::vector<Tensor> eps;
  for (int64_t first = 0; first < num_images(); first += batch_size_)
    eps.push_back(rng.normal_like(pictures_.x0.narrow(0, first, std::min(batch_size_, num_images() - first))));
  noise_.eps = at::cat(eps);
}

Tensor HeldOutObjectiveLoss::per_image(const std::function<void(int64_t)>& done, const std::stop_token& stop) {
  const auto network = [&](const Tensor& input, const Tensor& timesteps, const Tensor& labels) {
    return network_(input, timesteps, labels);
  };
  std::vector<Tensor> losses;
  const auto hear = [&](const HeldOutAnswer& a) {
    losses.push_back(training_loss({}, *process_, {a.output, a.x0, a.eps, a.xt, a.level}).per_sample.to(at::kCPU));
    done(a.first + a.x0.size(0));
  };
  const AskedNetwork asked{network, *process_, self_conditioning_, network_.parameters().front().device()};
  return ask(asked, pictures_, noise_, batch_size_, hear, stop) ? at::cat(losses) : Tensor();
}

}  // namespace unnoise
