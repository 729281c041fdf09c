// The sampling loop with nothing hidden: noise in, one call of the network a step, pictures out.
// You will see: a line every ten steps with the spread of the pictures, which starts near 1 (pure noise) and settles at
// that of the training data, and one PNG with four pictures.
//
//   example_sampling_loop models/butterflies grid.png
#include <c10/core/GradMode.h>

#include <cstdio>

#include "unnoise/core/error.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/io/image_write.h"
#include "unnoise/pipelines/unconditional.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s MODEL_FOLDER OUTPUT.png\n", argv[0]);
    return 2;
  }
  try {
    const auto pipe = unnoise::Unconditional::load(argv[1]);
    const auto& unet = *pipe.unet;
    const auto& scheduler = *pipe.scheduler;
    const auto& model = unet.options();
    const c10::NoGradGuard no_grad;

    unnoise::Rng rng(7);
    auto run = scheduler.start({.steps = 50});
    auto x = run.first({4, model.in_channels, model.sample_size->height, model.sample_size->width}, rng);  // [B,C,H,W]
    for (const auto& step : run.steps()) {
      const auto output = unet(run.input(x, step), step.timestep);  // eps, for most models
      x = run.next(x, output, step, rng);                           // a little less noise
      if ((step.index + 1) % 10 == 0)
        std::printf("step %2d  spread %.3f\n", static_cast<int>(step.index + 1), x.std().item<double>());
    }
    unnoise::write_png(argv[2], unnoise::image_grid(x, 4));
    std::printf("wrote %s\n", argv[2]);
  } catch (const unnoise::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
