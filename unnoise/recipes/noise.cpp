#include "unnoise/recipes/noise.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"
#include "unnoise/data/transforms.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/io/image_read.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/recipes/evenly_spaced.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/output_file.h"
#include "unnoise/recipes/schedule_table.h"
#include "unnoise/recipes/schedule_text.h"
#include "unnoise/schedulers/samplers.h"

namespace unnoise {
namespace {

constexpr int64_t kPanels = 10, kMostPanels = 100;
constexpr int64_t kUsualResolution = 128, kLargestResolution = 1024;
constexpr int64_t kMostSteps = 1'000'000;
constexpr size_t kMostSchedules = 20;
const std::vector<ScheduleCurve> kCurves = {ScheduleCurve::sqrt_alphas_cumprod,
                                            ScheduleCurve::sqrt_one_minus_alphas_cumprod, ScheduleCurve::log_snr,
                                            ScheduleCurve::sigmas};

void check_options(const NoiseStripOptions& o) {
  if (o.image.empty())
    throw usage_error("--image: nothing was given", fmt::format("Give a picture: {}.", kPictureFormats));
  if (o.seed < 0) throw usage_error(fmt::format("--seed: expected at least 0, found {}", o.seed));
  if (o.resolution && (*o.resolution < 1 || *o.resolution > kLargestResolution))
    throw usage_error(fmt::format("--resolution: expected 1 to {}, found {}", kLargestResolution, *o.resolution));
  if (static_cast<int64_t>(o.timesteps.size()) > kMostPanels)
    throw usage_error(fmt::format("--timesteps: expected at most {}, found {}", kMostPanels, o.timesteps.size()));
  if (o.num_inference_steps && !o.timesteps.empty())
    throw usage_error("--num-inference-steps and --timesteps: give one of them");
  if (o.num_inference_steps && (*o.num_inference_steps < 1 || *o.num_inference_steps > kMostSteps))
    throw usage_error(
        fmt::format("--num-inference-steps: expected 1 to {}, found {}", kMostSteps, *o.num_inference_steps));
  if (o.names.size() > kMostSchedules)
    throw usage_error(fmt::format("--names: expected at most {}, found {}", kMostSchedules, o.names.size()));
  if (o.predict && !o.model) throw usage_error("--predict: needs the network of a --model");
  if (o.predict && std::any_of(o.names.begin(), o.names.end(), [](const auto& name) { return name != "as-saved"; }))
    throw usage_error("--predict: a network knows only the noise that it was trained with", "Leave the names out.");
  prepare_output_file(o.output);
}

/// The network of --predict, ready to be asked.
class Predictor {
 public:
  Predictor(const NoiseStripOptions& o, int64_t resolution)
      : pipeline_(Unconditional::load(*o.model)), device_(find_device(o.device)) {
    const UNet2D& unet = *pipeline_.unet;
    const int64_t multiple = unet.options().size_multiple();
    if (resolution % multiple != 0)
      throw usage_error(
          fmt::format("--resolution: this network needs a multiple of {}, found {}", multiple, resolution));
    if (unet.has_class_embedding() != o.class_label.has_value())
      throw usage_error(o.class_label ? "--class-label: this model was trained without classes"
                                      : "--class-label: this model draws pictures of a class; expected its number");
    const auto classes = unet.options().num_class_embeds;
    if (o.class_label && classes && (*o.class_label < 0 || *o.class_label >= *classes))
      throw usage_error(fmt::format("--class-label: expected 0 to {}, found {}", *classes - 1, *o.class_label));
    pipeline_.unet->to(device_);
    pipeline_.unet->eval();
    if (o.class_label) label_ = at::tensor({*o.class_label}).to(device_);
  }

  /// The network's answer to x [1,C,H,W], of x's size: a learned variance is left out.
  Tensor operator()(const Tensor& x, const Tensor& timestep) const {
    const UNet2D& unet = *pipeline_.unet;
    const auto dtype = unet.parameters().front().scalar_type();
    return unet(x.to(device_, dtype), timestep, label_).to(at::kCPU, at::kFloat).narrow(1, 0, x.size(1));
  }

 private:
  Unconditional pipeline_;
  at::Device device_;
  Tensor label_;
};

/// A row of the strip, and below it the row of what the network sees when it is asked.
struct Strip {
  ScheduleTable table;  // its points are the panels
  std::vector<Image> noised, predicted;
};

void add_panel(Strip& strip, const SchedulePoint& point, const Tensor& shown, const Tensor& x0) {
  strip.table.points.push_back(point);
  strip.noised.push_back(to_images(shown).front());
  if (x0.defined()) strip.predicted.push_back(to_images(x0).front());
}

/// x_t at training timesteps, by the table of betas.
Strip strip_of_timesteps(const NamedSchedule& schedule, std::vector<int64_t> timesteps, const Tensor& x0,
                         const Tensor& eps, const Predictor* predict) {
  const NoiseSchedule& noise = schedule.scheduler->noise();
  if (timesteps.empty()) timesteps = evenly_spaced(noise.num_train_timesteps(), kPanels);
  Strip strip{training_table(schedule), {}, {}};
  const auto points = std::move(strip.table.points);
  strip.table.points.clear();
  for (const int64_t timestep : timesteps) {
    if (timestep < 0 || timestep >= noise.num_train_timesteps())
      throw usage_error(fmt::format("--timesteps: {}: expected 0 to {}, found {}", schedule.name,
                                    noise.num_train_timesteps() - 1, timestep));
    const Tensor t = at::tensor({timestep});
    const Tensor xt = noise.add_noise(x0, eps, t);
    const Tensor seen =
        predict ? noise.x0_from(schedule.scheduler->prediction_type, xt, (*predict)(xt, t), t) : Tensor();
    add_panel(strip, points[static_cast<size_t>(timestep)], xt, seen);
  }
  return strip;
}

/// A method may begin elsewhere than at the call of that number: pndm leaves its Runge-Kutta steps out.
const SchedulePoint& point_of_step(const std::vector<SchedulePoint>& points, const Step& step) {
  const double timestep = timestep_number(step);
  const auto same = std::find_if(points.begin(), points.end(), [&](const auto& p) { return p.timestep == timestep; });
  return same != points.end() ? *same : points[std::min(static_cast<size_t>(step.index), points.size() - 1)];
}

/// x_t at the calls of a run, as the network is shown it: each panel begins a run of its own there.
Strip strip_of_run(const NamedSchedule& schedule, std::optional<int64_t> steps, const Tensor& x0, const Tensor& eps,
                   const Predictor* predict) {
  const Scheduler& scheduler = *schedule.scheduler;
  const int64_t usual = find_sampler(scheduler.class_name()).info->usual_steps;
  StartOptions start;
  start.steps = steps.value_or(std::min(usual, scheduler.num_train_timesteps()));
  Strip strip{run_table(schedule, start), {}, {}};
  const auto points = std::move(strip.table.points);
  strip.table.points.clear();
  for (const int64_t i : evenly_spaced(static_cast<int64_t>(points.size()), kPanels)) {
    start.begin = i;
    const Run run = scheduler.start(start);
    const Step& step = run.steps().front();
    const Tensor xt = run.noised(x0, eps), input = run.input(xt, step);
    add_panel(strip, point_of_step(points, step), input,
              predict ? run.x0(xt, (*predict)(input, step.timestep), step) : Tensor());
  }
  return strip;
}

struct Picture {
  Tensor x0;  // [1,C,S,S] in [-1,1]
  int64_t resolution;
};

/// Prepared as train_unconditional.py prepares its data: shorter side resized, the middle cut out.
Picture load_picture(const NoiseStripOptions& o) {
  const DecodedImage decoded = read_image(o.image);
  const bool grey = mode_channels(decoded.mode) <= 2 && decoded.mode != "P";
  TransformOptions how{.resolution = o.resolution.value_or(kUsualResolution),
                       .mode = grey ? ImageMode::grey : ImageMode::rgb,
                       .center_crop = true};
  if (o.model && fs::is_directory(*o.model)) {
    const UNet2DOptions unet = unet2d_options(load_component_config(*o.model, "unet"));
    if (unet.in_channels != 1 && unet.in_channels != 3)
      throw data_error(fmt::format("\"{}\": pictures of {} channels; expected 1 or 3", *o.model, unet.in_channels));
    how.mode = unet.in_channels == 1 ? ImageMode::grey : ImageMode::rgb;
    if (!o.resolution && unet.sample_size) how.resolution = std::min(unet.sample_size->height, kLargestResolution);
  }
  const ResizedPicture resized = resize_for_training(decoded, how);
  Tensor x0 = at::empty({1, image_channels(how.mode), how.resolution, how.resolution}, at::kFloat);
  write_view(resized, choose_view(resized, how, 0), how.resolution, x0.mutable_data_ptr<float>());
  return {x0, how.resolution};
}

/// "t = 999" above each column, if that is so in all rows.
std::vector<std::string> column_heads(const std::vector<Strip>& strips) {
  std::vector<std::string> heads;
  for (const double timestep : strips[0].table.timesteps()) heads.push_back(fmt::format("t = {:.4g}", timestep));
  const bool shared = std::all_of(strips.begin(), strips.end(), [&](const Strip& strip) {
    return strip.table.timesteps() == strips[0].table.timesteps();
  });
  return shared ? heads : std::vector<std::string>{};
}

void write_strips(const NoiseStripOptions& o, const std::vector<Strip>& strips) {
  size_t columns = 0;
  for (const Strip& strip : strips) columns = std::max(columns, strip.noised.size());
  const Image& any = strips[0].noised[0];
  LabelledGrid grid{.title = fs::path(o.image).filename().string() + " at growing noise",
                    .columns = column_heads(strips),
                    .rows = {}};
  const auto add_row = [&](const std::string& label, std::vector<Image> row) {
    row.resize(columns, blank_image(any.width, any.height, any.channels));
    grid.rows.push_back({label, std::move(row)});
  };
  for (const Strip& strip : strips) {
    add_row(strip.table.name, strip.noised);
    if (!strip.predicted.empty()) add_row("x0 as the network sees it", strip.predicted);
  }
  Json settings = to_json(o);
  for (const char* key : {"output", "json", "device", "threads"}) settings.erase(key);
  write_grid(o.output, grid,
             {{"Software", fmt::format("unnoise {}", kVersion)}, {"parameters", dump_json_line(settings)}});
}

/// Which panel shows what, for there is no writing in the picture.
std::string text_report(const NoiseStripOptions& o, const std::vector<Strip>& strips) {
  std::string out = fmt::format("{}: panels from left to right, the same noise in all\n", o.output);
  int64_t row = 0;
  for (const auto& [table, noised, predicted] : strips) {
    out += fmt::format("\nrow {}: {} ({}){}{}\n", ++row, table.name, table.class_name, table.path.empty() ? "" : "; ",
                       table.path);
    if (!predicted.empty()) out += fmt::format("row {}: the x0 that the network sees in it\n", ++row);
    out += text_table(table, evenly_spaced(static_cast<int64_t>(table.points.size()), kMostPanels), kCurves, "panel");
  }
  return out;
}

Json json_report(const NoiseStripOptions& o, const std::vector<Strip>& strips) {
  Json rows = Json::array();
  for (const Strip& strip : strips) {
    rows.push_back(json_table(strip.table, kCurves));
    rows.back()["row"] = "x_t";
    if (strip.predicted.empty()) continue;
    rows.push_back(rows.back());
    rows.back()["row"] = "predicted x0";
  }
  return Json{{"output", o.output}, {"rows", rows}};
}

}  // namespace

std::string draw_noise_strip(const NoiseStripOptions& options) {
  check_options(options);
  use_machine(options);
  auto schedules = find_schedules(options);
  if (schedules.empty()) schedules.push_back({"linear", make_scheduler("ddpm")});
  const auto [x0, resolution] = load_picture(options);
  const Tensor eps = Rng(static_cast<uint64_t>(options.seed)).normal(x0.sizes().vec());
  const c10::NoGradGuard no_grad;
  std::optional<Predictor> predictor;
  if (options.predict) predictor.emplace(options, resolution);

  std::vector<Strip> strips;
  for (const auto& schedule : schedules) {
    const bool is_run = options.num_inference_steps || (options.timesteps.empty() && !schedule.scheduler->has_noise());
    const Predictor* predict = predictor ? &*predictor : nullptr;
    strips.push_back(is_run ? strip_of_run(schedule, options.num_inference_steps, x0, eps, predict)
                            : strip_of_timesteps(schedule, options.timesteps, x0, eps, predict));
  }
  write_strips(options, strips);
  return options.json ? dump_json(json_report(options, strips)) : text_report(options, strips);
}

}  // namespace unnoise
