#include "unnoise/recipes/held_out.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/data/loader.h"
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

/// The first pictures of the loader's order, whole batches cut to size.
struct Pictures {
  Tensor x0;      ///< [N,C,H,W]
  Tensor labels;  ///< [N] or undefined
};

Pictures held_out_pictures(Loader& loader, int64_t count) {
  std::vector<Tensor> images, labels;
  for (int64_t left = count; left > 0;) {
    const Batch batch = loader.next();
    const int64_t take = std::min(left, batch.images.size(0));
    images.push_back(batch.images.narrow(0, 0, take));
    if (batch.labels.defined()) labels.push_back(batch.labels.narrow(0, 0, take));
    left -= take;
  }
  return {at::cat(images), labels.empty() ? Tensor() : at::cat(labels)};
}

/// The test split of the plan's data; where it has none, the training pictures.
std::shared_ptr<const Dataset> held_out_data(const TrainOptions& options, const TrainPlan& plan, bool& unseen) {
  const std::string source = options.dataset_name.value_or(options.train_data_dir.value_or(""));
  unseen = true;
  try {
    return open_dataset({.path_or_name = source, .split = "test"});
  } catch (const Error&) {
    unseen = false;
    return plan.dataset;
  }
}

}  // namespace

Json to_json(const HeldOutError& loss) {
  return {{"mean", loss.mean}, {"bins", loss.bins}, {"num_images", loss.num_images}, {"unseen", loss.unseen}};
}

std::optional<HeldOutError> held_out_from_json(const Json& json) {
  try {
    return HeldOutError{json.at("mean"), json.at("bins"), json.at("num_images"), json.at("unseen")};
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

std::vector<double> eps_errors(const HeldOutNetwork& network, const NoiseProcess& process, bool self_conditioning,
                               const Tensor& x0, const Tensor& labels, const Observer& observer,
                               const std::stop_token& stop) {
  const c10::NoGradGuard no_grad;
  const NoiseSchedule reference;  // Ho et al. 2020: linear, 1000
  const int64_t n = x0.size(0), per_bin = reference.num_train_timesteps() / kHeldOutBins;
  Rng rng(kNoiseSeed);
  const Tensor eps = rng.normal_like(x0.cpu()).to(x0.device());
  std::vector<double> bins;
  for (int64_t bin = 0; bin < kHeldOutBins; ++bin) {
    std::vector<Tensor> levels;
    for (int64_t i = 0; i < n; ++i)
      levels.push_back(level_of_snr(process, snr_of(reference.alpha_bar(reference_timestep(bin, i, n, per_bin)))));
    const Tensor level = at::stack(levels).to(x0.device());
    double sum = 0;
    for (int64_t first = 0; first < n && !stop.stop_requested(); first += kAtOnce) {
      const auto part = [&](const Tensor& all) {
        return all.defined() ? all.narrow(0, first, std::min(kAtOnce, n - first)) : all;
      };
      const Tensor xt = process.add_noise(part(x0), part(eps), part(level));
      Tensor input = process.input(xt, part(level));
      if (self_conditioning) input = at::cat({input, at::zeros_like(xt)}, 1);
      const Tensor answer = network(input, process.timesteps(part(level)), part(labels)).to(at::kFloat);
      const Tensor seen = process.x0(xt, answer.narrow(1, 0, xt.size(1)), part(level));
      // eps_hat = (xt - alpha x0_hat) / sigma, so its error is alpha / sigma times that of x0.
      const Tensor error = (seen - part(x0)).square().flatten(1).mean(1) * process.snr(part(level));
      sum += error.sum().item<double>();
      observer.progress({.stage = "held-out loss", .done = bin * n + first, .total = kHeldOutBins * n});
    }
    bins.push_back(sum / static_cast<double>(n));
  }
  return bins;
}

std::optional<HeldOutError> held_out_error(const TrainOptions& options, const TrainPlan& plan, UNet2D& unet,
                                           int64_t num_images, const Observer& observer, const std::stop_token& stop) {
  HeldOutError result;
  const auto data = held_out_data(options, plan, result.unseen);
  LoaderOptions loading = plan.loader;
  loading.center_crop = true;
  loading.random_flip = false;
  loading.seed = 0;
  loading.batch_size = kAtOnce;
  Loader loader(data, loading);
  result.num_images = std::min(num_images, data->size());
  const Pictures pictures = held_out_pictures(loader, result.num_images);
  const bool with_labels = plan.with_labels && pictures.labels.defined();
  const EvalMode eval(unet);
  const auto network = [&](const Tensor& input, const Tensor& timesteps, const Tensor& labels) {
    return unet(input, timesteps, labels);
  };
  result.bins = eps_errors(network, *plan.process, plan.draw.self_conditioning, pictures.x0.to(plan.device),
                           with_labels ? pictures.labels.to(plan.device) : Tensor(), observer, stop);
  if (stop.stop_requested()) return std::nullopt;
  for (const double bin : result.bins) result.mean += bin / static_cast<double>(result.bins.size());
  return result;
}

}  // namespace unnoise
