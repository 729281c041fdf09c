#include "unnoise/recipes/quality_draw.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/samplers.h"

namespace unnoise {
namespace {

std::shared_ptr<const Scheduler> sampler_to_measure(const Unconditional& pipe, const std::string& name) {
  if (name == "auto")
    return pipe.scheduler->class_name() == "DDPMScheduler" ? make_scheduler("ddim", *pipe.scheduler) : pipe.scheduler;
  return name == "as-saved" ? pipe.scheduler : make_scheduler(name, *pipe.scheduler);
}

std::vector<int64_t> labels_to_measure(const UNet2D& unet, const QualityDraw& draw) {
  std::vector<int64_t> turn = draw.class_labels;
  if (turn.empty() && unet.has_class_embedding()) {
    if (!unet.options().num_class_embeds)
      throw usage_error("this model is conditioned on vectors, not on classes: draw pictures with another program",
                        "Then measure them with --samples FOLDER.");
    for (int64_t i = 0; i < *unet.options().num_class_embeds; ++i) turn.push_back(i);
  }
  std::vector<int64_t> labels;
  if (!turn.empty())
    for (int64_t i = 0; i < draw.num_images; ++i) labels.push_back(turn[static_cast<size_t>(i) % turn.size()]);
  return labels;
}

}  // namespace

DrawnPictures draw_to_measure(Unconditional pipe, const QualityDraw& draw, const Observer& observer,
                              const std::stop_token& stop) {
  pipe.scheduler = sampler_to_measure(pipe, draw.scheduler);
  SampleRequest request;
  request.num_images = draw.num_images;
  request.batch = draw.batch_size;
  request.seed = draw.seed;
  request.steps = draw.steps.value_or(
      std::min(find_sampler(pipe.scheduler->class_name()).info->usual_steps, pipe.scheduler->num_train_timesteps()));
  request.class_labels = labels_to_measure(*pipe.unet, draw);
  DrawnPictures drawn;
  drawn.how = fmt::format("{}, {} steps, seed {}", pipe.scheduler->class_name(), request.steps, draw.seed);
  const Tensor samples = pipe.sample(request, observer, stop);
  if (samples.defined() && samples.size(0) == draw.num_images) drawn.pictures.pixels = to_bytes(samples);
  return drawn;
}

}  // namespace unnoise
