// Flow matching for distilled models: each step goes to the clean picture and adds fresh noise of the next level, as in
// Luo et al. 2023, "Latent Consistency Models". With scale_factors the picture grows on the way: Starodubcev et al.
// 2025, "Scale-wise Distillation of Diffusion Models".
#include <ATen/TensorOperators.h>
#include <ATen/ops/_upsample_nearest_exact2d.h>
#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/upsample_bicubic2d.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/flow.h"

namespace unnoise {
namespace {

constexpr auto kFlowLcmName = "FlowMatchLCMScheduler";

enum class UpscaleMode { nearest, bilinear, bicubic, area, nearest_exact };

constexpr auto enum_names(UpscaleMode) {
  using enum UpscaleMode;
  return std::array{std::pair{nearest, "nearest"}, std::pair{bilinear, "bilinear"}, std::pair{bicubic, "bicubic"},
                    std::pair{area, "area"}, std::pair{nearest_exact, "nearest-exact"}};
}

struct FlowLcmConfig : FlowConfig {
  std::optional<std::vector<double>> scale_factors;
  UpscaleMode upscale_mode = UpscaleMode::bicubic;

  static constexpr auto fields() {
    using C = FlowLcmConfig;
    return std::tuple_cat(
        FlowConfig::fields(),
        std::tuple{field("scale_factors", &C::scale_factors,
                         "one for each step but the last: the size after it, in sizes of the first noise"),
                   field("upscale_mode", &C::upscale_mode, "how the picture is enlarged")});
  }
};

Tensor resized(const Tensor& x, int64_t height, int64_t width, UpscaleMode mode) {
  switch (mode) {
    case UpscaleMode::nearest:
      return at::upsample_nearest2d(x, {height, width});
    case UpscaleMode::bilinear:
      return at::upsample_bilinear2d(x, {height, width}, /*align_corners=*/false);
    case UpscaleMode::bicubic:
      return at::upsample_bicubic2d(x, {height, width}, /*align_corners=*/false);
    case UpscaleMode::area:
      return at::adaptive_avg_pool2d(x, {height, width});
    case UpscaleMode::nearest_exact:
      return at::_upsample_nearest_exact2d(x, {height, width});
  }
  throw usage_error("upscale_mode: unknown value");
}

class FlowLcmSolver final : public FlowSolver {
 public:
  FlowLcmSolver(const FlowLcmConfig& config, std::vector<float> sigmas)
      : FlowSolver(std::move(sigmas), config.invert_sigmas),
        scale_factors_(config.scale_factors.value_or(std::vector<double>{})),
        mode_(config.upscale_mode) {}

  StepResult step(const Tensor& x, const Tensor& v, const Step& step, Rng& rng) override {
    const Tensor x0 = enlarged(this->x0(widened(x), v, step), step);
    return {mixed(x0, rng.normal_like(x0), next_sigma(step)).to(v.scalar_type()), x0};
  }

 private:
  Tensor enlarged(const Tensor& x0, const Step& step) {
    if (scale_factors_.empty()) return x0;
    if (x0.dim() != 4) throw usage_error(fmt::format("{}: scale_factors: expected pictures [B,C,H,W]", kFlowLcmName));
    if (first_height_ == 0) first_height_ = x0.size(2), first_width_ = x0.size(3);
    const auto i = static_cast<size_t>(step.index);
    if (i >= scale_factors_.size()) return x0;
    const auto scaled = [&](int64_t size) {
      const double exact = scale_factors_[i] * static_cast<double>(size);
      return std::max<int64_t>(static_cast<int64_t>(std::nearbyint(exact)), 1);
    };
    return resized(x0, scaled(first_height_), scaled(first_width_), mode_);
  }

  const std::vector<double> scale_factors_;
  const UpscaleMode mode_;
  int64_t first_height_ = 0, first_width_ = 0;
};

class FlowLcmScheduler final : public Scheduler {
 public:
  FlowLcmScheduler(const FlowLcmConfig& config, const Json& json)
      : Scheduler(config.num_train_timesteps, PredictionType::flow_prediction, kFlowLcmName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {"timesteps", "sigmas", "mu"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    auto grid = flow_grid(kFlowLcmName, config_, options);
    const size_t factors = config_.scale_factors ? config_.scale_factors->size() : 0;
    if (factors > 0 && factors + 1 != grid.timesteps.size())
      throw usage_error(fmt::format("{}: scale_factors: expected one for each step but the last, {}, found {}",
                                    kFlowLcmName, grid.timesteps.size() - 1, factors),
                        fmt::format("Ask for {} steps.", factors + 1));
    return Run(timestep_tensors(grid.timesteps), options.begin, 1.0,
               std::make_unique<FlowLcmSolver>(config_, std::move(grid.sigmas)));
  }

  const FlowLcmConfig config_;
};

constexpr double kLargestFactor = 64;

}  // namespace

std::shared_ptr<const Scheduler> make_flow_lcm(const Json& json) {
  const auto config = read_config<FlowLcmConfig>(kFlowLcmName, json);
  check_flow(kFlowLcmName, config);
  for (const double factor : config.scale_factors.value_or(std::vector<double>{}))
    if (!(factor > 0 && factor <= kLargestFactor))
      throw usage_error(fmt::format("{}: scale_factors: expected above 0 and at most {}, found {}", kFlowLcmName,
                                    kLargestFactor, factor));
  return std::make_shared<FlowLcmScheduler>(config, json);
}

}  // namespace unnoise
