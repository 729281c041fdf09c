#include "unnoise/recipes/held_out_eps_error.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cmath>

#include "unnoise/nn/rng.h"
#include "unnoise/pipelines/eval_mode.h"

namespace unnoise {
namespace {

constexpr int64_t kAtOnce = 64;
constexpr uint64_t kNoiseSeed = 20200619;  // any; the same for all runs

double snr_of(float alpha_bar) { return alpha_bar / std::max(1.0 - alpha_bar, 1e-12); }

int64_t nearest_timestep(const NoiseSchedule& noise, double snr) {
  const auto distance = [&](int64_t t) { return std::abs(std::log(snr_of(noise.alpha_bar(t)) / snr)); };
  int64_t best = 0;
  for (int64_t t = 1; t < noise.num_train_timesteps(); ++t)
    if (distance(t) < distance(best)) best = t;
  return best;
}

/// Picture i of n in bin b is asked at the middle of its n-th of the bin, so that each bin is covered evenly.
int64_t reference_timestep(int64_t bin, int64_t i, int64_t n, int64_t per_bin) {
  return bin * per_bin + std::min(per_bin - 1, (2 * i + 1) * per_bin / (2 * n));
}

}  // namespace

Json to_json(const HeldOutEpsError& error) {
  return {{"mean", error.mean}, {"bins", error.bins}, {"num_images", error.num_images}, {"unseen", error.unseen}};
}

std::optional<HeldOutEpsError> held_out_from_json(const Json& json) {
  try {
    return HeldOutEpsError{json.at("mean"), json.at("bins"), json.at("num_images"), json.at("unseen")};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

Tensor level_of_snr(const NoiseProcess& process, double snr) {
  if (const NoiseSchedule* table = process.table()) return at::scalar_tensor(nearest_timestep(*table, snr), at::kLong);
  const auto snr_at = [&](double level) { return process.snr(at::full({1}, level, at::kFloat)).item<double>(); };
  double low = 1e-6, high = 1;  // the ratio falls with the level; a flow's ends at 1
  while (snr_at(high) > snr && high < 1e6) high *= 2;
  for (int i = 0; i < 60; ++i) {
    const double middle = std::sqrt(low * high);
    (snr_at(middle) > snr ? low : high) = middle;
  }
  return at::scalar_tensor(high, at::kFloat);
}

std::vector<double> eps_errors(const AskedNetwork& asked, const HeldOutPictures& pictures, const Observer& observer,
                               const std::stop_token& stop) {
  const NoiseSchedule reference;  // Ho et al. 2020: linear, 1000
  const int64_t n = pictures.x0.size(0), per_bin = reference.num_train_timesteps() / kHeldOutBins;
  AddedNoise noise{.eps = Rng(kNoiseSeed).normal_like(pictures.x0), .level = {}};
  std::vector<double> bins;
  for (int64_t bin = 0; bin < kHeldOutBins; ++bin) {
    std::vector<Tensor> levels;
    for (int64_t i = 0; i < n; ++i)
      levels.push_back(
          level_of_snr(asked.process, snr_of(reference.alpha_bar(reference_timestep(bin, i, n, per_bin)))));
    noise.level = at::stack(levels);
    double sum = 0;
    const auto hear = [&](const HeldOutAnswer& a) {
      const Tensor seen = asked.process.x0(a.xt, a.output, a.level);
      // eps_hat = (xt - alpha x0_hat) / sigma, so its error is alpha / sigma times that of x0.
      sum += ((seen - a.x0).square().flatten(1).mean(1) * asked.process.snr(a.level)).sum().item<double>();
      observer.progress({.stage = "held-out loss", .done = bin * n + a.first, .total = kHeldOutBins * n});
    };
    if (!ask(asked, pictures, noise, kAtOnce, hear, stop)) break;
    bins.push_back(sum / static_cast<double>(n));
  }
  return bins;
}

std::optional<HeldOutEpsError> held_out_eps_error(const TrainOptions& options, const TrainPlan& plan, UNet2D& unet,
                                                  int64_t num_images, const Observer& observer,
                                                  const std::stop_token& stop) {
  std::shared_ptr<const Dataset> data = open_unseen(training_set(options), observer);
  HeldOutEpsError result{.unseen = data != nullptr};
  if (!data) data = plan.dataset;
  LoaderOptions loading = plan.loader;
  loading.seed = 0;
  loading.batch_size = kAtOnce;
  HeldOutPictures pictures = read_held_out(data, loading, num_images, observer);
  if (!plan.with_labels) pictures.labels = Tensor();
  result.num_images = pictures.x0.size(0);
  const EvalMode eval(unet);
  const auto network = [&](const Tensor& input, const Tensor& timesteps, const Tensor& labels) {
    return unet(input, timesteps, labels);
  };
  result.bins =
      eps_errors({network, *plan.process, plan.draw.self_conditioning, plan.device}, pictures, observer, stop);
  if (stop.stop_requested()) return std::nullopt;
  for (const double bin : result.bins) result.mean += bin / static_cast<double>(result.bins.size());
  return result;
}

}  // namespace unnoise
