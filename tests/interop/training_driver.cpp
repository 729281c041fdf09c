// Runs parts of unnoise/training for test_training.py. {"task": ...} in the request says which:
//   "lr"         {"schedules": [{options}], "steps"}: prints each schedule's multipliers
//   "ema"        {"options", "steps", "tensors"}: averages the tensors "<step>.p" of a file; prints the decays
//   "optimizer"  {"options", "steps", "max_grad_norm", "tensors"}: from "start.<name>" by the gradients "<step>.<name>"
//   "train"      {"config", "weights" | "seed", "draws"?, "steps", ...}: trains a UNet2DModel; prints losses and norms;
//                with "rank", "world_size" and "master_port" together with others, on its rows of the draws
// Tensors go to the file "output".
#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <cstdio>
#include <functional>
#include <optional>

#include "unnoise/core/json.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/models/unet2d.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/nn/process_group.h"
#include "unnoise/training/lr_schedule.h"
#include "unnoise/training/train_step.h"

namespace {

using namespace unnoise;

/// The enumerator that `request[key]` names.
template <class E>
E choice(const Json& request, const char* key, E otherwise) {
  return request.contains(key) ? fields_detail::Value<E>::from_json(key, request[key]) : otherwise;
}

LrScheduleOptions lr_options(const Json& j) {
  LrScheduleOptions o;
  return {.type = choice(j, "type", o.type),
          .warmup_steps = j.value("warmup_steps", o.warmup_steps),
          .total_steps = j.value("total_steps", o.total_steps),
          .learning_rate = j.value("learning_rate", o.learning_rate),
          .end_learning_rate = o.end_learning_rate,
          .power = j.value("power", o.power),
          .num_cycles = j.value("num_cycles", o.num_cycles),
          .step_rules = j.value("step_rules", o.step_rules)};
}

EmaOptions ema_options(const Json& j) {
  EmaOptions o;
  return {.decay = j.value("decay", o.decay),
          .min_decay = j.value("min_decay", o.min_decay),
          .update_after_step = j.value("update_after_step", o.update_after_step),
          .use_ema_warmup = j.value("use_ema_warmup", o.use_ema_warmup),
          .inv_gamma = j.value("inv_gamma", o.inv_gamma),
          .power = j.value("power", o.power)};
}

OptimizerOptions optimizer_options(const Json& j) {
  OptimizerOptions o;
  return {.type = choice(j, "type", o.type),
          .learning_rate = j.value("learning_rate", o.learning_rate),
          .beta1 = j.value("beta1", o.beta1),
          .beta2 = j.value("beta2", o.beta2),
          .epsilon = j.value("epsilon", o.epsilon),
          .weight_decay = j.value("weight_decay", o.weight_decay),
          .momentum = j.value("momentum", o.momentum),
          .nesterov = j.value("nesterov", o.nesterov)};
}

Objective objective(const Json& j) {
  Objective o;
  o.loss = choice(j, "loss", o.loss);
  if (j.contains("snr_gamma")) {
    o.weighting = LossWeighting::min_snr;
    o.snr_gamma = j["snr_gamma"].get<double>();
  }
  return o;
}

SafetensorsFile open(const Json& request, const char* key) {
  return SafetensorsFile::open(request[key].get<std::string>());
}

void append(StateDict& out, const std::string& prefix, const StateDict& tensors) {
  for (const auto& [name, tensor] : tensors) out.emplace_back(prefix + name, tensor.detach().clone());
}

Json run_lr(const Json& request) {
  Json report = Json::array();
  for (const Json& options : request["schedules"]) {
    const LrSchedule schedule(lr_options(options));
    Json multipliers = Json::array();
    for (int64_t step = 0; step < request["steps"]; ++step) multipliers.push_back(schedule.multiplier(step));
    report.push_back(multipliers);
  }
  return report;
}

Json run_ema(const Json& request, StateDict& out) {
  const SafetensorsFile tensors = open(request, "tensors");
  const Tensor p = tensors.tensor("0.p").clone();
  Ema ema({{"p", p.set_requires_grad(true)}}, ema_options(request["options"]));
  Json decays = Json::array();
  for (int64_t step = 1; step <= request["steps"]; ++step) {
    p.set_data(tensors.tensor(fmt::format("{}.p", step)));
    ema.step();
    decays.push_back(ema.current_decay());
    append(out, fmt::format("{}.", step), ema.state());
  }
  return {{"decays", decays}, {"config", ema.config()}};
}

Json run_optimizer(const Json& request, StateDict& out) {
  const SafetensorsFile tensors = open(request, "tensors");
  StateDict parameters;
  for (const std::string name : request["names"])
    parameters.emplace_back(name, tensors.tensor("start." + name).clone().set_requires_grad(true));
  Optimizer optimizer(parameters, optimizer_options(request["options"]));
  Json norms = Json::array();
  for (int64_t step = 0; step < request["steps"]; ++step) {
    for (const auto& [name, p] : parameters)
      p.mutable_grad() = tensors.tensor(fmt::format("{}.{}", step, name)).clone();
    norms.push_back(clip_grad_norm(optimizer.parameters(), request["max_grad_norm"]));
    optimizer.step();
    append(out, fmt::format("{}.", step), parameters);
  }
  append(out, "state.", optimizer.state());
  return norms;
}

/// Noise, timesteps and pictures of a step: from the file "draws", else drawn in the script's order after the pictures.
struct Draws {
  std::optional<SafetensorsFile> file;
  Rng rng;
  Shape shape;

  std::pair<Tensor, NoiseDraw> at(int64_t step, const NoiseProcess& process) {
    if (!file) {
      const Tensor x0 = rng.uniform(shape) * 2.0 - 1.0;
      return {x0, draw_noise(x0, process, {}, rng)};
    }
    const auto get = [&](const char* name) { return file->tensor(fmt::format("{}.{}", step, name)); };
    return {get("x0"), {.eps = get("eps"), .level = get("t")}};
  }
};

Json run_train(const Json& request, StateDict& out) {
  Rng init(request.value("seed", uint64_t{0}));
  UNet2D unet(unet2d_options(request["config"]), &init);
  if (request.contains("weights")) unet.load_state(open(request, "weights").state(), "weights");
  unet.train();
  unet.set_gradient_checkpointing(request.value("gradient_checkpointing", false));
  Optimizer optimizer(unet.named_parameters(), optimizer_options(request["optimizer"]));
  Ema ema(unet.named_parameters(), ema_options(request["ema"]));
  const LrSchedule schedule(lr_options(request["lr"]));
  const double learning_rate = optimizer.learning_rate();
  const NoiseSchedule noise({.beta_schedule = choice(request, "beta_schedule", BetaSchedule::linear)});
  const auto process = table_process(noise, choice(request, "prediction_type", PredictionType::epsilon));
  TrainParts parts{std::cref(unet),
                   *process,
                   objective(request),
                   optimizer,
                   &ema,
                   request["max_grad_norm"],
                   choice(request, "mixed_precision", Precision::no)};
  ProcessGroup group({.rank = request.value("rank", int64_t{0}),
                      .world_size = request.value("world_size", int64_t{1}),
                      .master_port = request.value("master_port", int64_t{29500})},
                     std::chrono::seconds(60));
  parts.group = &group;
  Draws draws{{}, Rng(0), request.value("shape", Shape{})};
  if (request.contains("draws")) draws.file = open(request, "draws");

  Json losses = Json::array(), norms = Json::array();
  for (int64_t step = 0; step < request["steps"]; ++step) {
    optimizer.set_learning_rate(learning_rate * schedule.multiplier(step));
    auto [x0, draw] = draws.at(step, *process);
    const int64_t rows = x0.size(0), first = rows * group.rank() / group.size();
    const int64_t count = rows * (group.rank() + 1) / group.size() - first;
    for (Tensor* part : {&x0, &draw.eps, &draw.level}) *part = part->narrow(0, first, count);
    const double share = static_cast<double>(count) / static_cast<double>(rows);
    const TrainStepResult result = train_step(parts, {.x0 = x0, .weight = share, .images = rows}, draw);
    losses.push_back(group.sum(share * result.loss));
    norms.push_back(result.grad_norm.value_or(-1));
  }
  append(out, "weights.", unet.state());
  append(out, "ema.", ema.state());
  return {{"losses", losses}, {"norms", norms}, {"ema", ema.config()}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2 && std::string_view(argv[2]) == "plain") set_kernel_choice(Kernels::plain);
  const Json request = read_json(argv[1]);
  const std::string task = request["task"];
  StateDict out;
  Json report;
  if (task == "lr") report = run_lr(request);
  if (task == "ema") report = run_ema(request, out);
  if (task == "optimizer") report = run_optimizer(request, out);
  if (task == "train") report = run_train(request, out);
  if (!out.empty()) save_safetensors(request["output"].get<std::string>(), out);
  std::puts(report.dump().c_str());
}
