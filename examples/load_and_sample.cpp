// Loads a model folder and draws eight pictures with 50 steps of DDIM instead of the 1000 it was trained for.
// You will see: one PNG with eight pictures in two rows. The same seed draws the same pictures again.
//
//   example_load_and_sample models/butterflies grid.png
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
    auto pipe = unnoise::Unconditional::load(argv[1]);
    pipe.scheduler = unnoise::make_scheduler("ddim", *pipe.scheduler);
    const auto images = pipe.sample({.num_images = 8, .steps = 50, .seed = 7});
    unnoise::write_png(argv[2], unnoise::image_grid(images, 4));
    std::printf("wrote %s\n", argv[2]);
  } catch (const unnoise::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
