#include "unnoise/recipes/doctor_subject.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <functional>

#include "unnoise/io/model_folder.h"

namespace unnoise {

DoctorSubject::DoctorSubject(const TrainOptions& options, TrainPlan plan)
    : options_(options),
      plan_(std::move(plan)),
      noise_rng_(static_cast<uint64_t>(options.seed)),
      dropout_rng_(static_cast<uint64_t>(options.seed) + 1),
      loader_(std::make_unique<Loader>(plan_.dataset, plan_.loader)) {
  reset();
}

void DoctorSubject::reset() {
  Rng init(static_cast<uint64_t>(options_.seed));
  unet_ = std::make_shared<UNet2D>(plan_.unet, plan_.pretrained ? nullptr : &init);
  if (plan_.pretrained) unet_->load_state(load_component_weights(*plan_.pretrained, "unet"), *plan_.pretrained);
  unet_->set_gradient_checkpointing(options_.gradient_checkpointing);
  unet_->set_dropout_rng(&dropout_rng_);
  unet_->to(plan_.device);
  unet_->train();
  optimizer_ = std::make_unique<Optimizer>(unet_->named_parameters(), plan_.optimizer);
}

MicroBatch DoctorSubject::next_batch() {
  const Batch batch = loader_->next();
  return {.x0 = batch.images.to(plan_.device), .labels = plan_.with_labels ? batch.labels.to(plan_.device) : Tensor()};
}

TrainParts DoctorSubject::parts() {
  return {.network = std::cref(*unet_),
          .process = *plan_.process,
          .objective = plan_.objective,
          .optimizer = *optimizer_,
          .max_grad_norm = plan_.max_grad_norm,
          .precision = plan_.precision,
          .draw = plan_.draw};
}

TrainStepResult DoctorSubject::step(const MicroBatch& batch, const NoiseDraw& draw, double learning_rate) {
  optimizer_->set_learning_rate(learning_rate);
  return train_step(parts(), batch, draw);
}

TrainStepResult DoctorSubject::accumulate(MicroBatch batch, const NoiseDraw& draw) {
  batch.ends_group = false;
  return train_step(parts(), batch, draw);
}

double DoctorSubject::loss(const MicroBatch& batch, const NoiseDraw& draw) {
  const c10::NoGradGuard no_grad;
  const NoiseProcess& process = *plan_.process;
  const Tensor xt = process.add_noise(batch.x0, draw.noise_in_picture(), draw.level);
  Tensor input = process.input(xt, draw.level);
  if (plan_.draw.self_conditioning) input = at::cat({input, at::zeros_like(xt)}, 1);
  const Tensor output = (*unet_)(input, process.timesteps(draw.level), batch.labels).to(at::kFloat);
  return training_loss(plan_.objective, process, {output, batch.x0, draw.eps, xt, draw.level})
      .per_sample.mean()
      .item<double>();
}

std::vector<Tensor> DoctorSubject::gradients() const {
  std::vector<Tensor> gradients;
  for (const Tensor& parameter : optimizer_->parameters())
    gradients.push_back(parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter));
  return gradients;
}

std::vector<std::string> DoctorSubject::parameters_without_gradient() const {
  std::vector<std::string> names;
  for (const auto& [name, parameter] : unet_->named_parameters())
    if (!parameter.grad().defined() || parameter.grad().abs().max().item<double>() == 0) names.push_back(name);
  return names;
}

double DoctorSubject::variation_of_answers(const MicroBatch& batch, const NoiseDraw& draw) {
  const c10::NoGradGuard no_grad;
  const NoiseProcess& process = *plan_.process;
  const Tensor xt = process.add_noise(batch.x0, draw.noise_in_picture(), draw.level);
  Tensor input = process.input(xt, draw.level);
  if (plan_.draw.self_conditioning) input = at::cat({input, at::zeros_like(xt)}, 1);
  const Tensor output = (*unet_)(input, process.timesteps(draw.level), batch.labels).to(at::kFloat);
  return (output - output.mean(0, true)).square().mean().sqrt().item<double>();
}

}  // namespace unnoise
