// Runs whole sampling loops with a stand-in network, for test_schedulers.py. argv[1] is a JSON file:
//   out      safetensors file to write
//   tables   [{name, class, config}]                -> NAME.betas, NAME.alphas, NAME.alphas_cumprod
//   grids    [{name, class, config, steps: [...]}]  -> NAME.timesteps: those of each number of steps, one after the
//   other loops    [{name, class, config, start: {steps | timesteps, eta, use_clipped_model_output}, seed, shape,
//   learned}]
//                                                   -> NAME.sample, NAME.x0 (of the last step)
//   sweep    loops as scheduler_sweep.py draws them: config and start may be anything, an error is an answer too
//                                                   -> NAME.sample, NAME.timesteps, NAME.sigmas; errors on stdout
//            "known": true gives RePaint a picture and a mask
//   timing   [{name, class, config, steps}]         -> on stdout, {"microseconds": {NAME: of one step at 1x3x32x32}}
//   configs  [{config, to}]                         -> on stdout: {"configs": [scheduler_config.json ...], "errors":
//   {NAME: message}}
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/accumulate.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "unnoise/core/error.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/schedulers/scheduler.h"

namespace unnoise {
namespace {

/// x t / (|t| + 1), and behind it |x| / 20 where the variance is learned.
Tensor network(const Tensor& x, const Tensor& t, bool learned) {
  const Tensor time = t.to(x.scalar_type());
  const Tensor out = x * time / (time.abs() + 1);
  return learned ? at::cat({out, x.abs() / 20}, 1) : out;
}

StartOptions start_options(const Json& json) {
  StartOptions options;
  assign_json(options, json, "start");
  return options;
}

std::shared_ptr<const Scheduler> scheduler_of(const Json& request) {
  return make_scheduler(request["class"].get<std::string>(), request["config"]);
}

void add_tables(const Json& request, const std::string& name, StateDict& out) {
  const auto scheduler = scheduler_of(request);
  out.emplace_back(name + ".betas", scheduler->noise().betas());
  out.emplace_back(name + ".alphas", scheduler->noise().alphas());
  out.emplace_back(name + ".alphas_cumprod", scheduler->noise().alphas_cumprod());
}

void add_grid(const Json& request, const std::string& name, StateDict& out) {
  const auto scheduler = scheduler_of(request);
  std::vector<int64_t> timesteps;
  for (const int64_t steps : request["steps"]) {
    const auto run = scheduler->start({.steps = steps});
    for (const Step& step : run.steps()) timesteps.push_back(step.timestep.item<int64_t>());
  }
  out.emplace_back(name + ".timesteps", at::tensor(timesteps));
}

void add_loop(const Json& request, const std::string& name, StateDict& out) {
  Rng rng(request["seed"].get<uint64_t>());
  auto run = scheduler_of(request)->start(start_options(request["start"]));
  Tensor x = run.first(request["shape"].get<Shape>(), rng), x0;
  for (const Step& step : run.steps()) {
    const Tensor output = network(run.input(x, step), step.timestep, request.value("learned", false));
    auto result = run.step(x, output, step, rng);
    x = result.prev_sample;
    x0 = result.x0;
  }
  out.emplace_back(name + ".sample", x);
  out.emplace_back(name + ".x0", x0);
}

/// A list of numbers as float64.
Tensor numbers(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

/// (i mod 7) / 3 - 1, of which every third pixel is known.
std::shared_ptr<const KnownPixels> known_pixels(const Shape& shape) {
  const auto counted = [](const Shape& s) { return at::arange(c10::multiply_integers(s), at::kFloat).reshape(s); };
  const Shape mask_shape{1, 1, shape[2], shape[3]};
  return std::make_shared<KnownPixels>(
      KnownPixels{counted(shape).remainder(7) / 3 - 1, counted(mask_shape).remainder(3).eq(0).to(at::kFloat)});
}

void add_sweep(const Json& request, const std::string& name, StateDict& out) {
  Rng rng(request["seed"].get<uint64_t>());
  StartOptions options = start_options(request["start"]);
  if (request.value("known", false)) options.known = known_pixels(request["shape"].get<Shape>());
  auto run = scheduler_of(request)->start(options);
  Tensor x = run.first(request["shape"].get<Shape>(), rng);
  std::vector<double> timesteps;
  for (const Step& step : run.steps()) {
    timesteps.push_back(step.timestep.item<double>());
    x = run.next(x, network(run.input(x, step), step.timestep, request.value("learned", false)), step, rng);
  }
  out.emplace_back(name + ".sample", x.contiguous());
  out.emplace_back(name + ".timesteps", numbers(timesteps));
  out.emplace_back(name + ".sigmas", numbers(run.sigmas()));
}

/// What the scheduler alone costs a step: input() and step() with an output that is there already, the best of some
/// runs.
double microseconds_a_step(const Json& request) {
  const auto scheduler = scheduler_of(request);
  const c10::InferenceMode guard;
  double best = 1e9;
  for (int i = 0; i < 30; ++i) {
    Rng rng(0);
    auto run = scheduler->start({.steps = request["steps"].get<int64_t>()});
    Tensor x = run.first({1, 3, 32, 32}, rng);
    const Tensor output = rng.normal({1, 3, 32, 32});
    int64_t steps = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (const Step& step : run.steps()) {
      run.input(x, step);
      x = run.next(x, output, step, rng);
      ++steps;
    }
    const std::chrono::duration<double, std::micro> passed = std::chrono::steady_clock::now() - begin;
    best = std::min(best, passed.count() / static_cast<double>(steps));
  }
  return best;
}

void answer(const Json& request) {
  StateDict out;
  const auto each = [&](const char* key, auto add) {
    for (const Json& one : request.value(key, Json::array())) add(one, one["name"].get<std::string>(), out);
  };
  each("tables", add_tables);
  each("grids", add_grid);
  each("loops", add_loop);
  Json errors = Json::object();
  each("sweep", [&](const Json& one, const std::string& name, StateDict& into) {
    try {
      add_sweep(one, name, into);
    } catch (const Error& error) {
      errors[name] = fmt::format("{} ({})", error.message(), error.hint());
    }
  });
  Json microseconds = Json::object();
  for (const Json& one : request.value("timing", Json::array()))
    microseconds[one["name"].get<std::string>()] = microseconds_a_step(one);
  if (request.contains("out")) save_safetensors(request["out"].get<std::string>(), out);

  Json configs = Json::array();
  for (const Json& one : request.value("configs", Json::array()))
    configs.push_back(make_scheduler(one["to"].get<std::string>(), *scheduler_from_config(one["config"]))->config());
  std::puts(dump_json({{"configs", configs}, {"errors", errors}, {"microseconds", microseconds}}).c_str());
}

}  // namespace
}  // namespace unnoise

int main(int argc, char** argv) {
  try {
    unnoise::answer(unnoise::read_json(argc > 1 ? argv[1] : ""));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
