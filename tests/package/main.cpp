#include <cstdio>

#include "unnoise/models/unet2d.h"
#include "unnoise/nn/rng.h"
#include "unnoise/schedulers/scheduler.h"

int main() {
  auto options = unnoise::unet2d_preset("mnist");
  unnoise::Rng rng(0);
  const unnoise::UNet2D unet(options, &rng);
  const auto scheduler = unnoise::make_scheduler("ddim");
  std::printf("%lld parameters, %s\n", static_cast<long long>(unet.num_parameters()), scheduler->class_name().c_str());
}
