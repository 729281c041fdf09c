// Everything `unnoise doctor` can be told: a training run, and which examinations.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/recipes/train_options.h"

namespace unnoise {

enum class DoctorCheck { lr, run, overfit, noise_scale, timesteps };
constexpr auto enum_names(DoctorCheck) {
  using enum DoctorCheck;
  return std::array{std::pair{lr, "lr"}, std::pair{run, "run"}, std::pair{overfit, "overfit"},
                    std::pair{noise_scale, "noise_scale"}, std::pair{timesteps, "timesteps"}};
}

struct DoctorOptions : TrainOptions {
  std::vector<DoctorCheck> checks = {DoctorCheck::lr, DoctorCheck::run, DoctorCheck::overfit, DoctorCheck::noise_scale,
                                     DoctorCheck::timesteps};
  double lr_lowest = 1e-6;
  double lr_highest = 1;
  int64_t lr_steps = 100;
  int64_t run_steps = 60;
  int64_t overfit_steps = 200;
  int64_t overfit_images = 8;
  int64_t noise_batches = 32;
  std::string report = "doctor";
  bool json = false;

  static constexpr auto fields() {
    using O = DoctorOptions;
    const auto own = std::tuple{
        section("Examinations"),
        field(
            "checks", &O::checks,
            "which: lr (learning-rate range test), run (a short run as planned: is it alive, does it explode), overfit "
            "(can it learn one batch by heart), noise_scale (which batch size pays), timesteps (loss by noise level)"),
        field("lr_lowest", &O::lr_lowest, "first learning rate of the range test"),
        field("lr_highest", &O::lr_highest, "last learning rate of the range test"),
        field("lr_steps", &O::lr_steps, "steps of the range test; it ends early when the loss explodes"),
        field("run_steps", &O::run_steps, "steps of the short run; noise_scale and timesteps look at what comes of it"),
        field("overfit_steps", &O::overfit_steps, "most steps on the one batch"),
        field("overfit_images", &O::overfit_images, "pictures in it, at most the batch size"),
        field("noise_batches", &O::noise_batches, "batches whose gradients are compared"),
        field("report", &O::report, "folder for the figures (SVG) and report.json"),
        field("json", &O::json, "print JSON instead of text"),
    };
    return std::tuple_cat(own, TrainOptions::fields());
  }
};

}  // namespace unnoise
