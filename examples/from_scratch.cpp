// Diffusion from scratch: all that is needed for pictures out of noise, and nothing else. No noise schedule, no
// timesteps, no equations from papers: mix pictures with noise, train a small network to undo it, and draw by asking it
// again and again. docs/from-scratch.md walks from here to DDPM, one difference at a time.
//
//   example_from_scratch --data fashion-mnist --output-dir scratch
//   example_from_scratch --data fashion-mnist --output-dir scratch --network unet2d-time
//
// You will see: the mean loss of each epoch, falling, and in the folder
//   corruption.svg    pictures, and the same under growing noise
//   predictions.svg   what the network makes of them: blurred where there is little left to see
//   steps.svg         five steps from pure noise: what goes into the network, and what comes out
//   samples.png       64 pictures drawn in 40 steps
//   loss.svg, network.safetensors
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "examples/arguments.h"
#include "examples/loss_plot.h"
#include "examples/pictures.h"
#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/io/image_write.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/logging/line_plot.h"
#include "unnoise/models/basic_unet.h"
#include "unnoise/models/unet2d.h"
#include "unnoise/nn/allocator.h"
#include "unnoise/recipes/labelled_grid.h"
#include "unnoise/training/optimizer.h"

namespace {

using unnoise::Rng;
using unnoise::Tensor;

constexpr int64_t kSize = 28;

enum class Kind { basic, unet2d, unet2d_time };
constexpr auto enum_names(Kind) {
  return std::array{std::pair{Kind::basic, "basic"}, std::pair{Kind::unet2d, "unet2d"},
                    std::pair{Kind::unet2d_time, "unet2d-time"}};
}

struct Options {
  std::string data = "fashion-mnist";
  std::string output_dir;
  Kind network = Kind::basic;
  int64_t epochs = 3;
  int64_t batch_size = 128;
  std::optional<int64_t> pictures;
  int64_t samples = 64;

  static constexpr auto fields() {
    using O = Options;
    using unnoise::field;
    return std::tuple{
        field("data", &O::data, "fashion-mnist, an IDX file or a folder of them (MNIST), any folder of pictures"),
        field("output_dir", &O::output_dir, "where the figures and the weights go"),
        field("network", &O::network,
              "basic: BasicUNet, 309,057 parameters; unet2d: UNet2DModel, 1,707,009, told timestep 0 whatever the "
              "noise; unet2d-time: told how much noise there is, timestep 1000 k"),
        field("epochs", &O::epochs, "times through the pictures"),
        field("batch_size", &O::batch_size, "pictures a step"),
        field("pictures", &O::pictures, "only so many of them; default: all"),
        field("samples", &O::samples, "pictures to draw at the end")};
  }
};

// 1 ---------------------------------------------------------------------------------------------- the data

/// [N,1,28,28] in [0,1], as torchvision's ToTensor has them.
Tensor load_data(const Options& options) {
  return examples::load_pictures(options.data, kSize, options.pictures) / 2 + 0.5;
}

// 2 ---------------------------------------------------------------------------------------------- the corruption

/// (1 - k) x + k u with noise u uniform in [0,1): at k = 0 the picture, at k = 1 nothing of it. x [B,1,H,W], k [B].
Tensor corrupt(const Tensor& x, const Tensor& amount, Rng& rng) {
  const auto u = rng.uniform(x.sizes().vec());
  const auto k = amount.view({-1, 1, 1, 1});
  return (1 - k) * x + k * u;
}

// 3 ---------------------------------------------------------------------------------------------- the network

/// Says what the clean picture is, [B,1,H,W], of a corrupted one; `amount` [B] is for those that want to know.
struct Network {
  std::shared_ptr<unnoise::Module> weights;
  std::function<Tensor(const Tensor& corrupted, const Tensor& amount)> predict;
};

Network make_network(Kind kind, Rng& rng) {
  if (kind == Kind::basic) {
    const auto net = std::make_shared<unnoise::BasicUNet>(unnoise::BasicUNetOptions{}, &rng);
    return {net, [net](const Tensor& x, const Tensor&) { return (*net)(x); }};
  }
  const auto net = std::make_shared<unnoise::UNet2D>(unnoise::unet2d_preset("mnist"), &rng);
  if (kind == Kind::unet2d) return {net, [net](const Tensor& x, const Tensor&) { return (*net)(x, at::zeros({})); }};
  return {net, [net](const Tensor& x, const Tensor& amount) { return (*net)(x, 1000 * amount); }};
}

// 4 ---------------------------------------------------------------------------------------------- the training

/// Asks for the clean picture at amounts of noise from all over [0,1). Returns the loss of every step.
std::vector<double> train(const Network& network, const Tensor& pictures, const Options& options, Rng& rng) {
  unnoise::Optimizer adam(
      network.weights->named_parameters(),
      {.type = unnoise::OptimizerType::adam, .learning_rate = 1e-3, .beta1 = 0.9, .weight_decay = 0});
  std::vector<double> losses;
  for (int64_t epoch = 1; epoch <= options.epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    double sum = 0;
    int64_t steps = 0;
    for (const auto& rows : rng.permutation(pictures.size(0)).split(options.batch_size)) {
      const auto x = pictures.index_select(0, rows);  // [B,1,28,28]
      const auto amount = rng.uniform({x.size(0)});   // [B]
      const auto corrupted = corrupt(x, amount, rng);
      const auto loss = at::mse_loss(network.predict(corrupted, amount), x);
      adam.zero_grad(), loss.backward(), adam.step();
      losses.push_back(loss.item<double>());
      if (losses.size() == 1) fmt::print("step 1  loss {:.6f}\n", losses.back());
      sum += losses.back(), ++steps;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    fmt::print("epoch {}  mean loss {:.6f}  {:.1f} s\n", epoch, sum / static_cast<double>(steps), took.count());
    std::fflush(stdout);
  }
  return losses;
}

// 5 ---------------------------------------------------------------------------------------------- the sampling

/// What the network saw and said at each step.
struct Path {
  std::vector<Tensor> inputs, predictions;
};

/// From noise to pictures in n steps. A prediction made of pure noise is a blur, so go only a part of the way towards
/// it: 1/n, then 1/(n-1) of the rest, ..., at last all of it; then noise has become less and less, and the network has
/// seen better and better pictures. x [B,1,H,W] uniform in [0,1).
Tensor sample(const Network& network, Tensor x, int n, Path* path = nullptr) {
  for (int i = 0; i < n; ++i) {
    const double noise_left = 1 - static_cast<double>(i) / n;
    const auto prediction = network.predict(x, at::full({x.size(0)}, noise_left));
    if (path) path->inputs.push_back(x), path->predictions.push_back(prediction);
    const double m = 1.0 / (n - i);
    x = (1 - m) * x + m * prediction;
  }
  return x;
}

// 6 ---------------------------------------------------------------------------------------------- the figures

/// x in [0,1], as image_grid and its like want it.
std::vector<unnoise::Image> images_of(const Tensor& x) { return unnoise::to_images(2 * x - 1); }

void draw_corruption(const Network* network, const Tensor& x, const std::string& file, Rng& rng) {
  const auto k = at::linspace(0, 1, x.size(0));
  const auto corrupted = corrupt(x, k, rng);
  unnoise::LabelledGrid figure{.title = "Pictures under growing noise, k = 0 to 1", .ink = true};
  for (int64_t i = 0; i < k.size(0); ++i) figure.columns.push_back(fmt::format("{:.2f}", k[i].item<double>()));
  figure.rows = {{"input", images_of(x)}, {"corrupted", images_of(corrupted)}};
  if (network) {
    figure.title = "What the network makes of them";
    figure.rows.push_back({"prediction", images_of(network->predict(corrupted, k))});
  }
  unnoise::write_file_atomic(file, unnoise::to_svg(figure));
}

void draw_steps(const Network& network, int n, const std::string& file, Rng& rng) {
  Path path;
  sample(network, rng.uniform({8, 1, kSize, kSize}), n, &path);
  unnoise::LabelledGrid figure{.title = fmt::format("From noise to pictures in {} steps", n),
                               .columns = {"the network sees", "the network predicts"},
                               .columns_each = 8,
                               .ink = true};
  for (int i = 0; i < n; ++i) {
    const auto k = static_cast<size_t>(i);
    figure.rows.push_back({i + 1 < n ? fmt::format("step {}, then go 1/{}", i + 1, n - i) : "last step",
                           images_of(at::cat({path.inputs[k], path.predictions[k]}))});
  }
  unnoise::write_file_atomic(file, unnoise::to_svg(figure));
}

void draw_samples(const Network& network, int64_t count, const std::string& file, Rng& rng) {
  auto x = sample(network, rng.uniform({count, 1, kSize, kSize}), 40);
  x = x.repeat_interleave(2, 2).repeat_interleave(2, 3);  // easier to see
  unnoise::write_png(file, unnoise::inverted(unnoise::image_grid(images_of(x), 8)));
}

void run(const Options& options) {
  if (options.batch_size < 1 || options.samples < 1)
    throw unnoise::usage_error("--batch-size and --samples: expected at least 1");
  if (options.output_dir.empty()) throw unnoise::usage_error("--output-dir: missing", "See --help.");
  Rng rng(0);
  const auto pictures = load_data(options);
  const auto network = make_network(options.network, rng);
  fmt::print("{} pictures, {} with {} parameters\n", pictures.size(0), network.weights->describe(),
             network.weights->num_parameters());
  const auto& folder = options.output_dir;
  unnoise::make_folders(folder);

  Rng figures(1);  // their own stream, so that they do not change the training
  const auto few = pictures.slice(0, 0, 8);
  draw_corruption(nullptr, few, folder + "/corruption.svg", figures);
  examples::draw_loss(train(network, pictures, options, rng), "mean squared error", folder + "/loss.svg");
  unnoise::save_safetensors(folder + "/network.safetensors", network.weights->state());

  const c10::NoGradGuard no_grad;
  draw_corruption(&network, few, folder + "/predictions.svg", figures);
  draw_steps(network, 5, folder + "/steps.svg", figures);
  const auto start = std::chrono::steady_clock::now();
  draw_samples(network, options.samples, folder + "/samples.png", figures);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  fmt::print("{} pictures in 40 steps  {:.1f} s\nwrote {}\n", options.samples, took.count(), folder);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    unnoise::use_caching_allocator();  // tensors take memory that earlier ones gave back, not the system's
    Options options;
    if (examples::read_arguments(options, argc, argv)) run(options);
  } catch (const unnoise::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
