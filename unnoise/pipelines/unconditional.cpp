#include "unnoise/pipelines/unconditional.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/pipelines/eval_mode.h"

namespace unnoise {
namespace {

constexpr const char* kSelfConditioned = "SelfConditionedUNet2DModel";

/// A request whose open points are decided and whose numbers fit the model.
struct Plan {
  int64_t num_images;
  int64_t batch;
  Shape picture;  // [C,H,W]
  StartOptions start;
};

int64_t choose_count(const SampleRequest& request) {
  const auto seeds = static_cast<int64_t>(request.seeds.size());
  if (request.batch.value_or(1) < 1)
    throw usage_error(fmt::format("batch: expected at least 1, found {}", *request.batch));
  const int64_t count = request.num_images.value_or(seeds > 0 ? seeds : request.batch.value_or(1));
  if (count < 1) throw usage_error(fmt::format("num_images: expected at least 1, found {}", count));
  if (seeds > 0 && seeds != count)
    throw usage_error(fmt::format("seeds: expected one a picture, found {} for {} pictures", seeds, count),
                      "Give as many seeds as pictures, or one seed for all.");
  return count;
}

Shape choose_picture(const SampleRequest& request, const UNet2DOptions& unet, int64_t channels) {
  if (!unet.sample_size && !(request.height && request.width))
    throw usage_error("the model states no sample_size", "Give height and width.");
  const int64_t height = request.height ? *request.height : unet.sample_size->height;
  const int64_t width = request.width ? *request.width : unet.sample_size->width;
  const int64_t multiple = unet.size_multiple();
  for (const auto& [name, size] : {std::pair{"height", height}, std::pair{"width", width}})
    if (size < 1 || size % multiple != 0)
      throw usage_error(fmt::format("{}: expected a multiple of {}, found {}", name, multiple, size),
                        size < 1 ? ""
                                 : fmt::format("Take {} or {}.", std::max(size / multiple, int64_t{1}) * multiple,
                                               (size / multiple + 1) * multiple));
  return {channels, height, width};
}

void check_labels(const SampleRequest& request, const UNet2D& unet, int64_t num_images) {
  const auto labels = static_cast<int64_t>(request.class_labels.size());
  if (!unet.has_class_embedding()) {
    if (labels > 0) throw usage_error("class_labels: this model was trained without classes", "Leave them out.");
    return;
  }
  if (labels != 1 && labels != num_images)
    throw usage_error(fmt::format(
        "class_labels: this model draws pictures of a class; expected 1 or {} labels, found {}", num_images, labels));
  const auto classes = unet.options().num_class_embeds;
  for (const int64_t label : request.class_labels)
    if (classes && !unet.options().class_embed_type && (label < 0 || label >= *classes))
      throw usage_error(fmt::format("class_labels: expected 0 to {}, found {}", *classes - 1, label));
}

/// Channels of the pictures: self-conditioning doubles what goes in, a learned variance what comes out.
int64_t choose_channels(const UNet2DOptions& unet, bool self_conditioning) {
  const int64_t channels = self_conditioning ? unet.in_channels / 2 : unet.in_channels;
  if ((self_conditioning && unet.in_channels % 2 != 0) ||
      (unet.out_channels != channels && unet.out_channels != 2 * channels))
    throw usage_error(
        fmt::format("this network turns {} channels into {}; sampling needs as many, or twice as many where it also "
                    "learned the variance",
                    unet.in_channels, unet.out_channels));
  return channels;
}

Plan make_plan(const SampleRequest& request, const Unconditional& pipe) {
  const auto& options = pipe.unet->options();
  const int64_t channels = choose_channels(options, pipe.self_conditioning);
  Plan plan{.num_images = choose_count(request),
            .batch = 0,
            .picture = choose_picture(request, options, channels),
            .start = {}};
  plan.batch = std::min(request.batch.value_or(plan.num_images), plan.num_images);
  check_labels(request, *pipe.unet, plan.num_images);
  plan.start = request.start;
  plan.start.steps = request.steps;
  return plan;
}

/// Tells the observer how far the job is.
class Meter {
 public:
  Meter(const Observer& observer, int64_t batches, int64_t num_images)
      : observer_(observer), batches_(batches), images_(num_images) {}

  void step(int64_t steps_a_batch) {
    const int64_t total = batches_ * steps_a_batch;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    const double a_step = passed.count() / static_cast<double>(++done_);
    observer_.progress({.stage = "sample",
                        .done = done_,
                        .total = total,
                        .detail = {},
                        .per_second = static_cast<double>(images_) / (a_step * static_cast<double>(total)),
                        .seconds_left = a_step * static_cast<double>(total - done_)});
  }

 private:
  const Observer& observer_;
  const int64_t batches_, images_;
  int64_t done_ = 0;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void check_finite(const Tensor& x, int64_t first_image) {
  if (x.isfinite().all().item<bool>()) return;
  std::vector<int64_t> broken;
  for (int64_t b = 0; b < x.size(0); ++b)
    if (!x[b].isfinite().all().item<bool>()) broken.push_back(first_image + b);
  throw data_error(
      fmt::format("sampling gave NaN or infinity in picture {}", fmt::join(broken, ", ")),
      "The weights have probably diverged: take an earlier checkpoint, or train with a lower learning rate.");
}

/// The class of diffusers whose loop is right for the scheduler: DDPMPipeline's does not scale the network's input, as
/// EDM's levels need; ConsistencyModelPipeline's does, for any scheduler.
const char* pipeline_class(std::string_view scheduler_class) {
  if (scheduler_class == "DDIMScheduler") return "DDIMPipeline";
  return scheduler_class.starts_with("EDM") ? "ConsistencyModelPipeline" : "DDPMPipeline";
}

/// The time of steps from `first` on, for the network.
TimePlan plan_time(const UNet2D& unet, const Steps& steps, size_t first) {
  std::vector<Tensor> timesteps;
  for (size_t i = first; i < steps.size() && timesteps.size() < TimePlan::kSteps; ++i)
    timesteps.push_back(steps[i].timestep);
  return unet.plan(at::stack(timesteps));
}

/// One batch, from noise; undefined when stopped.
Tensor sample_batch(const Unconditional& pipe, const SampleRequest& request, const Plan& plan, int64_t first,
                    int64_t count, Rng& rng, Meter& meter, const std::stop_token& stop) {
  const Tensor weight = pipe.unet->parameters().front();
  Tensor labels;
  if (request.class_labels.size() == 1) labels = at::tensor(request.class_labels).expand({count}).to(weight.device());
  if (request.class_labels.size() > 1)
    labels = at::tensor(request.class_labels).narrow(0, first, count).to(weight.device());

  auto run = pipe.scheduler->start(plan.start);
  Tensor x = run.first({count, plan.picture[0], plan.picture[1], plan.picture[2]}, rng).to(weight.device());
  Tensor seen = pipe.self_conditioning ? at::zeros_like(x) : Tensor();  // the network's last answer for x0
  size_t taken = 0;
  TimePlan time;
  for (const Step& step : run.steps()) {
    if (stop.stop_requested()) return {};
    if (taken % TimePlan::kSteps == 0) time = plan_time(*pipe.unet, run.steps(), taken);
    Tensor input = run.input(x, step);
    if (seen.defined()) input = at::cat({input, seen}, 1);
    const Tensor output = (*pipe.unet)(input.to(weight.scalar_type()), step.timestep, labels, {}, time).to(at::kFloat);
    if (seen.defined()) seen = run.x0(x, output, step);
    auto [next, x0] = run.step(x, output, step, rng);
    x = next;
    const auto steps = static_cast<int64_t>(run.steps().size());  // an adaptive method's list grows
    meter.step(steps);
    ++taken;
    if (request.on_step) request.on_step({first, static_cast<int64_t>(taken), steps, x, x0});
  }
  x = x.to(at::kCPU);
  check_finite(x, first);
  return x;
}

/// Calls f; what it calls a wrong use is, in a file, wrong data.
template <class F>
auto in_file(const fs::path& where, F f) {
  try {
    return f();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    throw data_error(fmt::format("\"{}\": {}", where.string(), error.message()), error.hint());
  }
}

/// Throws unless everything that the pipeline holds is a UNet2DModel and a scheduler.
void check_index(const fs::path& model_dir, const Json& index) {
  std::vector<std::string> others;
  for (const auto& [name, value] : index.items())
    if (value.is_array() && !value.empty() && !value[0].is_null() && name != "unet" && name != "scheduler")
      others.push_back(name);
  if (others.empty()) return;
  throw data_error(fmt::format("\"{}\" is a {} with {}; expected an unconditional pipeline of unet and scheduler",
                               model_dir.string(), index["_class_name"].get<std::string>(), fmt::join(others, ", ")));
}

}  // namespace

bool is_self_conditioned(const Json& unet_config) {
  return unet_config.value("_class_name", Json()) == kSelfConditioned;
}

Unconditional Unconditional::load(const fs::path& model_dir, const LoadOptions& options) {
  Unconditional pipe;
  if (fs::exists(model_dir / "model_index.json")) pipe.model_index = load_model_index(model_dir);
  check_index(model_dir, pipe.model_index);

  pipe.unet_config = load_component_config(model_dir, "unet");
  const auto network = pipe.unet_config.value("_class_name", Json("UNet2DModel"));
  if (network != "UNet2DModel" && network != kSelfConditioned)
    throw data_error(
        fmt::format("\"{}\": the network is a {}; expected a UNet2DModel", model_dir.string(), network.dump()));
  pipe.self_conditioning = is_self_conditioned(pipe.unet_config);
  const Json scheduler_config = load_component_config(model_dir, "scheduler", "scheduler_config.json");

  in_file(model_dir / "scheduler", [&] {
    pipe.scheduler = scheduler_from_config(scheduler_config);
    if (pipe.model_index.value("_class_name", Json()) == "DDIMPipeline")
      pipe.scheduler = make_scheduler("ddim", *pipe.scheduler);
  });
  in_file(model_dir / "unet", [&] { pipe.unet = std::make_shared<UNet2D>(unet2d_options(pipe.unet_config), nullptr); });
  pipe.unet->load_state(load_component_weights(model_dir, "unet", options.variant),
                        fmt::format("\"{}\"", (model_dir / "unet").string()));
  pipe.unet->requires_grad(false);
  return pipe;
}

void Unconditional::save(const fs::path& model_dir) const {
  make_folders(model_dir);
  Json unet_json = unet_config;
  unet_json.update(unet2d_config(unet->options()));
  if (self_conditioning) unet_json["_class_name"] = kSelfConditioned;
  save_component(model_dir / "unet", unet_json, unet->state());
  save_component_config(model_dir / "scheduler", scheduler->config(), "scheduler_config.json");

  Json index = model_index;
  index["_class_name"] = pipeline_class(scheduler->class_name());
  index["_diffusers_version"] = kDiffusersVersion;
  index["unet"] = self_conditioning ? Json{"unnoise", kSelfConditioned} : Json{"diffusers", "UNet2DModel"};
  index["scheduler"] = {"diffusers", scheduler->class_name()};
  save_model_index(model_dir, index);  // last: a folder that has it is whole
}

Tensor Unconditional::sample(const SampleRequest& request, const Observer& observer, std::stop_token stop) const {
  const Plan plan = make_plan(request, *this);
  const c10::NoGradGuard no_grad;
  const EvalMode eval(*unet);
  Meter meter(observer, (plan.num_images + plan.batch - 1) / plan.batch, plan.num_images);
  Rng shared(request.seed);
  std::vector<Tensor> batches;
  for (int64_t first = 0; first < plan.num_images; first += plan.batch) {
    const int64_t count = std::min(plan.batch, plan.num_images - first);
    std::optional<Rng> own;
    if (!request.seeds.empty()) {
      const auto begin = request.seeds.begin() + first;
      own = Rng::per_image({begin, begin + count});
    }
    const Tensor x = sample_batch(*this, request, plan, first, count, own ? *own : shared, meter, stop);
    if (!x.defined()) break;
    batches.push_back(x);
  }
  return batches.empty() ? Tensor() : at::cat(batches);
}

}  // namespace unnoise
