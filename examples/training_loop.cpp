// Trains a small network from nothing, in the five steps that every diffusion model is trained in.
// You will see: the loss fall from about 1 to 0.2 within 20 steps and to 0.1 within 100, and a model folder that
// example_load_and_sample and diffusers open. Good pictures take a larger network and minutes: that is `unnoise train`.
//
//   example_training_loop fashion-mnist out 300
#include <ATen/ops/mse_loss.h>

#include <cstdio>
#include <cstdlib>

#include "unnoise/core/error.h"
#include "unnoise/data/loader.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/training/optimizer.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s PICTURES MODEL_FOLDER STEPS\n", argv[0]);
    return 2;
  }
  try {
    unnoise::Rng rng(0);
    unnoise::Loader data(unnoise::open_dataset({.path_or_name = argv[1]}),
                         {.resolution = 16, .mode = unnoise::ImageMode::grey, .batch_size = 32});
    const auto network = unnoise::unet2d_options({{"sample_size", 16},
                                                  {"in_channels", 1},
                                                  {"out_channels", 1},
                                                  {"norm_num_groups", 8},
                                                  {"layers_per_block", 1},
                                                  {"block_out_channels", {16, 32}},
                                                  {"down_block_types", {"DownBlock2D", "AttnDownBlock2D"}},
                                                  {"up_block_types", {"AttnUpBlock2D", "UpBlock2D"}}});
    const auto unet = std::make_shared<unnoise::UNet2D>(network, &rng);
    const auto scheduler = unnoise::make_scheduler("ddpm");
    const auto& noise = scheduler->noise();
    unnoise::Optimizer adam(unet->named_parameters(), {.learning_rate = 2e-3});

    for (int step = 1; step <= std::atoi(argv[3]); ++step) {
      const auto x0 = data.next().images;  // 1 load images   [B,1,16,16] in [-1,1]
      const auto eps = rng.normal_like(x0);
      const auto t = rng.integers(noise.num_train_timesteps(), x0.size(0));
      const auto xt = noise.add_noise(x0, eps, t);     // 2 add noise     Ho et al. 2020, eq. 4
      const auto eps_hat = (*unet)(xt, t);             // 3 predict
      const auto loss = at::mse_loss(eps_hat, eps);    // 4 evaluate      Ho et al. 2020, eq. 14
      adam.zero_grad(), loss.backward(), adam.step();  // 5 update
      if (step == 1 || step % 20 == 0) std::printf("step %4d  loss %.3f\n", step, loss.item<double>());
    }
    unnoise::Unconditional{unet, scheduler}.save(argv[2]);
    std::printf("wrote %s\n", argv[2]);
  } catch (const unnoise::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
