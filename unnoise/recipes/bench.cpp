#include "unnoise/recipes/bench.h"

#include <ATen/DeviceAccelerator.h>
#include <ATen/ops/full.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/core/version.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/pipelines/eval_mode.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/schedulers/scheduler.h"
#include "unnoise/training/train_step.h"

namespace unnoise {
namespace {

constexpr int64_t kCallTimestep = 500;  // of the forward pass; its cost depends on none

/// Batch sizes of training: the course's, and train_unconditional's for its own network and the paper's.
int64_t training_batch(const std::string& name) {
  static const std::map<std::string, int64_t> batches{{"butterflies", 64}, {"mnist", 128}};
  const auto found = batches.find(name);
  return found == batches.end() ? 16 : found->second;
}

struct Times {
  std::vector<double> wall, cpu;  ///< seconds, sorted: an element a repetition
};

double median(const std::vector<double>& sorted) { return sorted[sorted.size() / 2]; }

/// A GPU's work goes on when the call that asked for it has returned.
void wait_for(const at::Device& device) {
  if (device.is_cuda()) at::accelerator::synchronizeDevice(device.index());
}

/// Calls f() warm_up times and then options.repeats times with a clock. What was timed when a stop came.
Times time_calls(const std::function<void()>& f, int64_t warm_up, const BenchOptions& options,
                 const std::stop_token& stop) {
  const at::Device device = find_device(options.device);
  Times times;
  for (int64_t i = 0; i < warm_up + options.repeats && !stop.stop_requested(); ++i) {
    const double cpu = cpu_seconds();
    const auto start = std::chrono::steady_clock::now();
    f();
    wait_for(device);
    if (i < warm_up) continue;
    times.wall.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    times.cpu.push_back(cpu_seconds() - cpu);
  }
  std::sort(times.wall.begin(), times.wall.end());
  std::sort(times.cpu.begin(), times.cpu.end());
  return times;
}

struct Case {
  std::string name;
  BenchTask task = BenchTask::train;
  int64_t batch = 1;
};

/// A network of that name with random weights, on its device.
std::shared_ptr<UNet2D> make_network(const std::string& name, const BenchOptions& options) {
  Rng init(0);
  auto unet = std::make_shared<UNet2D>(unet2d_preset(name), &init);
  unet->to(find_device(options.device));
  return unet;
}

/// Pictures of random pixels, [B,C,H,W] in [-1,1].
Tensor random_pictures(const UNet2D& unet, int64_t batch) {
  const UNet2DOptions& o = unet.options();
  Rng rng(1);
  const Tensor x = rng.normal({batch, o.in_channels, o.sample_size->height, o.sample_size->width});
  return x.clamp(-1, 1).to(unet.parameters().front().device());
}

Times time_training(const Case& c, const BenchOptions& options, const std::stop_token& stop) {
  const auto unet = make_network(c.name, options);
  unet->set_gradient_checkpointing(options.gradient_checkpointing);
  unet->train();
  const auto scheduler = make_scheduler("ddpm");
  Optimizer optimizer(unet->named_parameters(), {});
  const auto process = table_process(scheduler->noise(), scheduler->prediction_type);
  GradScaler scaler;
  const TrainParts parts{.network = std::cref(*unet),
                         .process = *process,
                         .objective = {},
                         .optimizer = optimizer,
                         .precision = options.mixed_precision,
                         .scaler = options.mixed_precision == Precision::fp16 ? &scaler : nullptr};
  const MicroBatch batch{.x0 = random_pictures(*unet, c.batch), .labels = {}};
  Rng rng(2);
  return time_calls([&] { train_step(parts, batch, rng); }, 2, options, stop);
}

Times time_forward(const Case& c, const BenchOptions& options, const std::stop_token& stop) {
  const auto unet = make_network(c.name, options);
  unet->requires_grad(false);
  const c10::NoGradGuard no_grad;
  const EvalMode eval(*unet);
  const Tensor x = random_pictures(*unet, c.batch);
  const AutocastScope autocast(options.mixed_precision, x.device().type());
  const Tensor t = at::full({}, kCallTimestep, at::kLong);
  return time_calls([&] { (*unet)(x, t); }, 3, options, stop);
}

Times time_sampling(const Case& c, const BenchOptions& options, const std::stop_token& stop) {
  const Unconditional pipe{.unet = make_network(c.name, options), .scheduler = make_scheduler("ddim")};
  pipe.unet->requires_grad(false);
  SampleRequest request;
  request.num_images = c.batch;
  request.steps = options.num_inference_steps;
  const AutocastScope autocast(options.mixed_precision, find_device(options.device).type());
  return time_calls([&] { pipe.sample(request, {}, stop); }, 1, options, stop);
}

Times time_case(const Case& c, const BenchOptions& options, const std::stop_token& stop) {
  switch (c.task) {
    case BenchTask::train:
      return time_training(c, options, stop);
    case BenchTask::forward:
      return time_forward(c, options, stop);
    case BenchTask::sample:
      break;
  }
  return time_sampling(c, options, stop);
}

std::vector<Case> choose_cases(const BenchOptions& options) {
  const auto at_least_1 = [](std::string_view flag, int64_t value) {
    if (value < 1) throw usage_error(fmt::format("{}: expected at least 1, found {}", flag, value));
  };
  at_least_1("--repeats", options.repeats);
  at_least_1("--num-inference-steps", options.num_inference_steps);
  if (options.batch_size) at_least_1("--batch-size", *options.batch_size);
  check_precision(options.mixed_precision, find_device(options.device).type());

  std::vector<Case> cases;
  for (const std::string& name : options.names.empty() ? unet2d_preset_names() : options.names) {
    unet2d_preset(name);  // says which there are
    for (const BenchTask task : options.what)
      cases.push_back({name, task, options.batch_size.value_or(task == BenchTask::train ? training_batch(name) : 1)});
  }
  return cases;
}

Json to_json(const Case& c, const Times& times) {
  return {{"workload", c.name},
          {"what", enum_name(c.task)},
          {"batch_size", c.batch},
          {"wall_min", times.wall.front()},
          {"wall_median", median(times.wall)},
          {"cpu_min", times.cpu.front()},
          {"cpu_median", median(times.cpu)},
          {"wall", times.wall},
          {"cpu", times.cpu},
          {"pictures_per_second", static_cast<double>(c.batch) / median(times.wall)},
          {"peak_memory", memory_use().peak}};
}

std::string shown_seconds(double seconds) {
  return seconds < 1 ? fmt::format("{:.2f} ms", 1e3 * seconds) : fmt::format("{:.3f} s", seconds);
}

std::string table(const Json& report) {
  std::string text = fmt::format("{} threads, {} kernels, {}\n\n", report["threads"].get<int64_t>(),
                                 report["kernels"].get<std::string>(),
                                 report["mixed_precision"] == "no"     ? "float32"
                                 : report["mixed_precision"] == "bf16" ? "bfloat16 where autocast allows it"
                                                                       : "float16 where autocast allows it");
  text += fmt::format("{:<12} {:<8} {:>6} {:>11} {:>11} {:>11} {:>12} {:>12}\n", "network", "what", "batch", "best",
                      "median", "CPU time", "pictures/s", "peak so far");
  for (const Json& row : report["rows"])
    text +=
        fmt::format("{:<12} {:<8} {:>6} {:>11} {:>11} {:>11} {:>12.2f} {:>12}\n", row["workload"].get<std::string>(),
                    row["what"].get<std::string>(), row["batch_size"].get<int64_t>(), shown_seconds(row["wall_min"]),
                    shown_seconds(row["wall_median"]), shown_seconds(row["cpu_median"]),
                    row["pictures_per_second"].get<double>(), human_bytes(row["peak_memory"]));
  return text;
}

}  // namespace

BenchResult bench(const BenchOptions& options, const Observer& observer, std::stop_token stop) {
  const std::vector<Case> cases = choose_cases(options);
  Json report{{"unnoise", kVersion},
              {"threads", use_machine(options)},
              {"kernels", enum_name(options.kernels)},
              {"deterministic", options.deterministic},
              {"mixed_precision", enum_name(options.mixed_precision)},
              {"num_inference_steps", options.num_inference_steps},
              {"repeats", options.repeats},
              {"rows", Json::array()}};
  BenchResult result;
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    observer.progress({.stage = "bench",
                       .done = static_cast<int64_t>(i),
                       .total = static_cast<int64_t>(cases.size()),
                       .detail = fmt::format("{} {}, batch {}", c.name, enum_name(c.task), c.batch)});
    const Times times = time_case(c, options, stop);
    if (stop.stop_requested()) {
      result.status = JobStatus::interrupted;
      break;
    }
    report["rows"].push_back(to_json(c, times));
  }
  if (options.output) write_file_atomic(*options.output, dump_json(report) + "\n");
  result.report = options.json ? dump_json(report) + "\n" : table(report);
  return result;
}

}  // namespace unnoise
