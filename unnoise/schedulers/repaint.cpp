// RePaint: Lugmayr et al. 2022, "RePaint: Inpainting using Denoising Diffusion Probabilistic Models". Draws the missing
// part of a picture with an unconditional network: after each step the known part is put in, noised to the same level,
// and now and then the run jumps back, so that both parts find together. Names below: abar = alphas_cumprod.
#include <ATen/TensorOperators.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/discrete.h"
#include "unnoise/schedulers/scalar_math.h"

namespace unnoise {
namespace {

constexpr auto kRepaintName = "RePaintScheduler";
constexpr int64_t kUsualJump = 10;
constexpr int64_t kMostSteps = 10'000'000;

struct RepaintConfig : DiscreteConfig {
  double eta = 0;

  static constexpr auto fields() {
    using C = RepaintConfig;
    return std::tuple_cat(
        NoiseOptions::beta_fields(),
        std::tuple{field("eta", &C::eta, "0 = deterministic where nothing is known, 1 = as much noise as DDPM"),
                   field("clip_sample", &C::clip_sample, "clip the predicted x0 to [-1,1]")});
  }
};

/// The network's timesteps, and after each of them how many strides to go back.
struct RepaintGrid {
  std::vector<int64_t> timesteps;
  std::vector<int64_t> jumps;
};

/// Appendix A, the list of timesteps: at every multiple of `length`, `samples - 1` jumps back by `length`.
RepaintGrid grid_with_jumps(int64_t steps, int64_t length, int64_t samples, int64_t stride) {
  std::vector<int64_t> jumps_left(static_cast<size_t>(steps), 0);
  for (int64_t t = 0; t < steps - length; t += length) jumps_left[static_cast<size_t>(t)] = samples - 1;
  RepaintGrid grid;
  for (int64_t t = steps - 1; t >= 0; --t) {
    grid.timesteps.push_back(t * stride);
    auto& left = jumps_left[static_cast<size_t>(t)];
    grid.jumps.push_back(left > 0 ? length : 0);
    if (left > 0) --left, t += length;
  }
  return grid;
}

class RepaintSolver final : public DiscreteSolver {
 public:
  RepaintSolver(const RepaintConfig& config, NoiseSchedule noise, RepaintGrid grid, int64_t stride, float eta,
                std::shared_ptr<const KnownPixels> known)
      : DiscreteSolver(config, std::move(noise), std::move(grid.timesteps)),
        jumps_(std::move(grid.jumps)),
        stride_(stride),
        eta_(eta),
        known_(std::move(known)) {}

  /// Algorithm 1, with DDIM's step (eta) in place of DDPM's, as in diffusers.
  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const Tensor eps = split_output(x, model_output).prediction;
    const int64_t t = this->t(step), prev = t - stride_;
    const float abar_t = noise_.alpha_bar(t), abar_prev = prev >= 0 ? noise_.alpha_bar(prev) : 1.0f;
    const float sigma = eta_ * torch_sqrt((1 - abar_prev) / (1 - abar_t) * (1 - abar_t / abar_prev));
    const float direction = torch_sqrt(std::max(1 - abar_prev - sigma * sigma, 0.0f));

    const Tensor x0 = limited(raw_x0(x, eps, step));
    const Tensor z = rng.normal_like(x);
    Tensor next = (torch_sqrt(abar_prev) * x0).add_(eps, direction);
    if (t > 0 && sigma > 0) next.add_(z, sigma);
    if (known_) next = with_known(next, z, level_of(abar_prev));
    return {jumped_back(next, t, step, rng), x0};
  }

 private:
  /// Eq. 8: x = m x_known + (1 - m) x_unknown
  Tensor with_known(const Tensor& unknown, const Tensor& z, NoiseLevel level) {
    if (!image_.defined()) {
      image_ = known_->image.to(unknown.options());
      mask_ = known_->mask.to(unknown.options());
      unknown_mask_ = 1.0 - mask_;
    }
    const Tensor known = (level.alpha * image_).add(z, level.sigma);
    return mask_ * known + unknown_mask_ * unknown;
  }

  /// x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) z, timestep by timestep. As in diffusers the first of them is the one
  /// that was just left, a stride above where x is.
  Tensor jumped_back(Tensor x, int64_t t, const Step& step, Rng& rng) const {
    const float* betas = noise_.betas().const_data_ptr<float>();
    const int64_t last = t + jumps_[static_cast<size_t>(step.index)] * stride_;
    for (; t < last; ++t) x = (torch_sqrt(1 - betas[t]) * x).add_(rng.normal_like(x), torch_sqrt(betas[t]));
    return x;
  }

  const std::vector<int64_t> jumps_;
  const int64_t stride_;
  const float eta_;
  const std::shared_ptr<const KnownPixels> known_;
  Tensor image_, mask_, unknown_mask_;  // of the picture's dtype and device
};

class RepaintScheduler final : public Scheduler {
 public:
  RepaintScheduler(const RepaintConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), PredictionType::epsilon, kRepaintName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override {
    return {"eta", "jump_length", "jump_n_sample", "known"};
  }

 private:
  Run make_run(const StartOptions& options) const override {
    const double eta = options.eta.value_or(config_.eta);
    if (!(eta >= 0 && eta <= 1))
      throw usage_error(fmt::format("eta: expected 0 to 1, found {}", eta),
                        "0 is deterministic, 1 is as noisy as DDPM.");
    if (options.steps < 1)
      throw usage_error(fmt::format("number of sampling steps: expected at least 1, found {}", options.steps));
    const int64_t steps = std::min(options.steps, num_train_timesteps());
    const int64_t length = options.jump_length.value_or(kUsualJump);
    const int64_t samples = options.jump_n_sample.value_or(kUsualJump);
    if (length < 1) throw usage_error(fmt::format("jump_length: expected at least 1, found {}", length));
    if (samples < 1 || samples > kMostSteps / steps)
      throw usage_error(fmt::format("jump_n_sample: expected 1 to {}, found {}", kMostSteps / steps, samples));
    check_known(options.known.get());

    const int64_t stride = num_train_timesteps() / steps;
    RepaintGrid grid = grid_with_jumps(steps, length, samples, stride);
    auto tensors = timestep_tensors(grid.timesteps);
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<RepaintSolver>(config_, noise(), std::move(grid), stride, static_cast<float>(eta),
                                               options.known));
  }

  static void check_known(const KnownPixels* known) {
    if (!known) return;  // nothing is known: the whole picture is drawn
    const Tensor &image = known->image, &mask = known->mask;
    if (!image.defined() || !mask.defined() || image.dim() != 4 || mask.dim() != 4)
      throw usage_error(fmt::format("{}: known: expected a picture and a mask, [B,C,H,W]", kRepaintName));
    const bool fits = mask.size(2) == image.size(2) && mask.size(3) == image.size(3) &&
                      (mask.size(1) == 1 || mask.size(1) == image.size(1)) &&
                      (mask.size(0) == 1 || image.size(0) == 1 || mask.size(0) == image.size(0));
    if (!fits)
      throw usage_error(fmt::format("{}: known: the mask's shape [{}] does not fit the picture's [{}]", kRepaintName,
                                    fmt::join(mask.sizes(), ","), fmt::join(image.sizes(), ",")));
  }

  const RepaintConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_repaint(const Json& json) {
  const auto config = read_config<RepaintConfig>(kRepaintName, json);
  if (json.is_object() && json.value("prediction_type", Json("epsilon")) != Json("epsilon"))
    throw usage_error(fmt::format("{}: prediction_type: expected \"epsilon\", found {}", kRepaintName,
                                  json["prediction_type"].dump()),
                      "RePaint takes networks that predict the noise.");
  return std::make_shared<RepaintScheduler>(config, json);
}

}  // namespace unnoise
