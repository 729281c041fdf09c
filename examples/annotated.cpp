// The Annotated Diffusion Model (Rogge and Rasul 2022) from end to end: DDPM (Ho et al. 2020) on Fashion-MNIST with the
// post's networks, its four noise schedules and three losses, and sampling by the paper's algorithm 2.
//
//   example_annotated --output-dir annotated                                  # its settings
//   example_annotated --output-dir quick --pictures 12800 --epochs 2          # a small part of them
//   example_annotated --output-dir old --block convnext --schedule cosine --loss l1
//
// You will see: the loss, 0.46 at first (huber: noise against a guess of next to nothing; the post ends at 0.045), and
// in the folder
//   noising.png        a photo at five timesteps, with --photo
//   samples/0000.png   16 pictures after each epoch, samples.png 64 at the end
//   reverse.gif        four of them emerging, 50 ms a timestep, 1 s at the end
//   loss.svg, network.safetensors (keys are those of the post's modules)
//
// What is put right here: the post's cosine schedule and its network are as it prints them but for the division in the
// standardised weights (unnoise/models/annotated_unet.h); its old version squared beta for "quadratic" where it means
// the root, which left no noise; it meant to draw every 1000 steps, which an epoch of 469 never reached: here it is
// after each epoch. Its "huber" is smooth L1 with beta 1, here too. Algorithm 2 does not clip, here neither.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <optional>
#include <string>
#include <vector>

#include "examples/arguments.h"
#include "examples/loss_plot.h"
#include "examples/pictures.h"
#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/data/transforms.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/io/image_read.h"
#include "unnoise/io/image_write.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/models/annotated_unet.h"
#include "unnoise/nn/allocator.h"
#include "unnoise/training/objective.h"
#include "unnoise/training/optimizer.h"

namespace {

using unnoise::AnnotatedUNet;
using unnoise::NoiseSchedule;
using unnoise::Rng;
using unnoise::Tensor;

constexpr int64_t kSize = 28;

enum class Schedule { linear, cosine, quadratic, sigmoid };
constexpr auto enum_names(Schedule) {
  using enum Schedule;
  return std::array{std::pair{linear, "linear"}, std::pair{cosine, "cosine"}, std::pair{quadratic, "quadratic"},
                    std::pair{sigmoid, "sigmoid"}};
}

struct Options {
  std::string data = "fashion-mnist";
  std::string output_dir;
  unnoise::AnnotatedBlock block = unnoise::AnnotatedBlock::resnet;
  Schedule schedule = Schedule::linear;
  unnoise::LossType loss = unnoise::LossType::huber;
  bool self_condition = false;
  int64_t timesteps = 300;
  int64_t epochs = 6;
  int64_t batch_size = 128;
  int64_t samples = 64;
  std::optional<int64_t> pictures;
  std::string photo;

  static constexpr auto fields() {
    using O = Options;
    using unnoise::field;
    return std::tuple{
        field("data", &O::data, "fashion-mnist, an IDX file or a folder of them (MNIST), any folder of pictures"),
        field("output_dir", &O::output_dir, "where figures and weights go"),
        field("block", &O::block,
              "resnet: the post's network, 2,020,257 parameters; convnext: its older one, 2,996,315"),
        field("schedule", &O::schedule, "how beta runs: linear, cosine, quadratic, sigmoid"),
        field("loss", &O::loss, "distance of the noise from the predicted: l1, l2, huber"),
        field("self_condition", &O::self_condition, "the network sees its own last guess of the picture"),
        field("timesteps", &O::timesteps, "of the forward process, at least 2"),
        field("epochs", &O::epochs, "times through the pictures"),
        field("batch_size", &O::batch_size, "pictures a step"),
        field("samples", &O::samples, "pictures to draw at the end"),
        field("pictures", &O::pictures, "only so many pictures; default: all"),
        field("photo", &O::photo, "a picture file to show under noise")};
  }
};

// 1 ---------------------------------------------------------------------------------------------- the schedules

/// abar_t = cos^2((t/T + s)/(1 + s) pi/2), Nichol and Dhariwal 2021, eq. 17, with the post's limits for beta.
std::vector<double> cosine_betas(int64_t timesteps) {
  constexpr double s = 0.008;
  const auto abar = [&](int64_t t) {
    const double u = static_cast<double>(t) / static_cast<double>(timesteps);
    const double root = std::cos((u + s) / (1 + s) * std::numbers::pi / 2);
    return root * root;
  };
  std::vector<double> betas;
  for (int64_t t = 0; t < timesteps; ++t) betas.push_back(std::clamp(1 - abar(t + 1) / abar(t), 1e-4, 0.9999));
  return betas;
}

/// beta from 1e-4 to 0.02 in a line, in a line of square roots, or along a sigmoid over [-6,6]; or the cosine.
NoiseSchedule make_schedule(Schedule schedule, int64_t timesteps) {
  unnoise::NoiseOptions options{.num_train_timesteps = timesteps};
  if (schedule == Schedule::quadratic) options.beta_schedule = unnoise::BetaSchedule::scaled_linear;
  if (schedule == Schedule::sigmoid) options.beta_schedule = unnoise::BetaSchedule::sigmoid;
  if (schedule == Schedule::cosine) options.trained_betas = cosine_betas(timesteps);
  return NoiseSchedule(options);
}

// 2 ---------------------------------------------------------------------------------------------- the data

/// Every second one mirrored, by chance. x [B,1,H,W].
Tensor randomly_flipped(const Tensor& x, Rng& rng) {
  return at::where(rng.uniform({x.size(0), 1, 1, 1}).lt(0.5), x.flip(3), x);
}

/// The photo at five timesteps: its short side 128 pixels, the middle of it.
void draw_noising(const NoiseSchedule& noise, const std::string& photo, const std::string& file) {
  const unnoise::TransformOptions square{.resolution = 128, .center_crop = true};
  const auto picture = unnoise::resize_for_training(unnoise::read_image(photo), square);
  Tensor x0 = at::empty({1, 3, 128, 128});
  unnoise::write_view(picture, unnoise::choose_view(picture, square, 0), 128, x0.mutable_data_ptr<float>());
  const int64_t T = noise.num_train_timesteps();
  const Tensor t = at::tensor(std::vector<int64_t>{0, T / 4, T / 2, 3 * T / 4, T - 1});
  Rng rng(2);
  const Tensor five = x0.expand({5, 3, 128, 128});
  const Tensor xt = noise.add_noise(five, rng.normal_like(five), t);
  unnoise::write_png(file, unnoise::image_grid(at::cat({x0, xt}), 6));
}

// 3 ---------------------------------------------------------------------------------------------- sampling

/// The picture that the network's answer stands for: what it is shown next with self-conditioning (Chen, Zhang and
/// Hinton 2022, "Analog Bits", section 3.2).
Tensor guess_of(const NoiseSchedule& noise, const Tensor& x, const Tensor& eps, const Tensor& t) {
  return noise.x0_from(unnoise::PredictionType::epsilon, x, eps, t);
}

/// Ho et al. 2020, algorithm 2 with the posterior's variance (eq. 7), from x ~ N(0,1) [B,1,H,W]:
///   x_{t-1} = (x_t - beta_t / sqrt(1 - abar_t) eps(x_t, t)) / sqrt(alpha_t) + sqrt(beta~_t) z,   z = 0 at the last.
/// Returns every x, the last one the pictures.
std::vector<Tensor> sample(const AnnotatedUNet& unet, const NoiseSchedule& noise, Tensor x, Rng& rng) {
  const c10::NoGradGuard no_grad;
  std::vector<Tensor> frames;
  Tensor guess;
  for (int64_t t = noise.num_train_timesteps() - 1; t >= 0; --t) {
    const double beta = noise.betas()[t].item<double>(), alpha = 1 - beta;
    const double abar = noise.alpha_bar(t), abar_prev = t > 0 ? noise.alpha_bar(t - 1) : 1;
    const auto timesteps = at::full({x.size(0)}, t, at::kLong);
    const auto eps = unet(x, timesteps, guess);
    if (unet.options().self_condition) guess = guess_of(noise, x, eps, timesteps);
    x = (x - beta / std::sqrt(1 - abar) * eps) / std::sqrt(alpha);
    if (t > 0) x = x + std::sqrt(beta * (1 - abar_prev) / (1 - abar)) * rng.normal_like(x);
    frames.push_back(x);
  }
  return frames;
}

void draw_reverse_process(const std::vector<Tensor>& frames, const std::string& file) {
  std::vector<unnoise::Image> images;
  for (const Tensor& x : frames) {
    const auto twice = x.slice(0, 0, 4).repeat_interleave(2, 2).repeat_interleave(2, 3);
    images.push_back(unnoise::image_grid(twice, 4));
  }
  unnoise::write_gif(file, images, 50, 1000);
}

// 4 ---------------------------------------------------------------------------------------------- training

void run(const Options& options) {
  const auto& folder = options.output_dir;
  if (folder.empty()) throw unnoise::usage_error("--output-dir: missing", "See --help.");
  if (options.batch_size < 1 || options.samples < 1)
    throw unnoise::usage_error("--batch-size and --samples: expected at least 1");
  unnoise::make_folders(folder + "/samples");
  Rng rng(0);
  const auto noise = make_schedule(options.schedule, options.timesteps);
  if (!options.photo.empty()) draw_noising(noise, options.photo, folder + "/noising.png");
  const auto data = examples::load_pictures(options.data, kSize, options.pictures);
  const auto unet =
      unnoise::make_annotated_unet({.block = options.block, .self_condition = options.self_condition}, &rng);
  unnoise::Optimizer adam(
      unet->named_parameters(),
      {.type = unnoise::OptimizerType::adam, .learning_rate = 1e-3, .beta1 = 0.9, .weight_decay = 0});
  fmt::print("{} pictures, {} parameters\n", data.size(0), unet->num_parameters());

  std::vector<double> losses;
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    for (const auto& rows : rng.permutation(data.size(0)).split(options.batch_size)) {
      const auto x0 = randomly_flipped(data.index_select(0, rows), rng);
      const auto t = rng.integers(options.timesteps, x0.size(0));
      const auto eps = rng.normal_like(x0);
      const auto xt = noise.add_noise(x0, eps, t);
      Tensor guess;
      if (options.self_condition && rng.uniform({1}).item<double>() < 0.5) {
        const c10::NoGradGuard no_grad;
        guess = guess_of(noise, xt, (*unet)(xt, t), t);
      }
      const auto loss = unnoise::distances(options.loss, (*unet)(xt, t, guess), eps).mean();
      adam.zero_grad(), loss.backward(), adam.step();
      losses.push_back(loss.item<double>());
      if ((losses.size() - 1) % 100 == 0) fmt::print("step {:5}  loss {:.4f}\n", losses.size() - 1, losses.back());
      std::fflush(stdout);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    fmt::print("epoch {}  last loss {:.4f}  {:.1f} s\n", epoch, losses.back(), took.count());
    examples::draw_loss(losses, "loss", folder + "/loss.svg");
    Rng same(1);  // the same noise after each epoch, to see them grow
    const auto frames =
        sample(*unet, noise, same.normal({std::min<int64_t>(16, options.samples), 1, kSize, kSize}), same);
    unnoise::write_png(fmt::format("{}/samples/{:04}.png", folder, epoch), unnoise::image_grid(frames.back()));
  }
  unnoise::save_safetensors(folder + "/network.safetensors", unet->state());

  Rng last(3);
  const auto frames = sample(*unet, noise, last.normal({options.samples, 1, kSize, kSize}), last);
  unnoise::write_png(folder + "/samples.png", unnoise::image_grid(frames.back()));
  draw_reverse_process(frames, folder + "/reverse.gif");
  fmt::print("wrote {}\n", folder);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    unnoise::use_caching_allocator();
    Options options;
    if (examples::read_arguments(options, argc, argv)) run(options);
  } catch (const unnoise::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
