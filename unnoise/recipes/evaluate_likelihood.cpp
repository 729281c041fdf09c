#include "unnoise/recipes/evaluate_likelihood.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/data/loader.h"
#include "unnoise/pipelines/likelihood.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/pull.h"

namespace unnoise {
namespace {

struct Measured {
  Tensor bits_per_dim;  // [N]
  int64_t model_calls = 0;
};

Measured measure(const EvaluateOptions& o, const Unconditional& pipe, Loader& loader, int64_t count,
                 const Observer& observer, const std::stop_token& stop) {
  Rng rng(static_cast<uint64_t>(o.seed));
  const LikelihoodOptions options{
      .sigma_min = 0, .sigma_max = 0, .tolerance = {.rtol = o.rtol, .atol = o.atol}, .probes = o.probes};
  std::vector<Tensor> bits;
  Measured result;
  const auto started = std::chrono::steady_clock::now();
  for (int64_t done = 0; done < count && !stop.stop_requested();) {
    Batch batch = loader.next();
    const int64_t take = std::min(batch.images.size(0), count - done);
    Tensor labels;
    if (o.use_labels) {
      if (!batch.labels.defined()) throw usage_error("--use-labels: these pictures have no labels");
      labels = batch.labels.narrow(0, 0, take).to(pipe.unet->parameters().front().device());
    }
    const auto found = likelihood(pipe, batch.images.narrow(0, 0, take), options, rng, labels);
    bits.push_back(found.bits_per_dim);
    result.model_calls += found.model_calls;
    done += take;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - started;
    observer.progress({.stage = "evaluate",
                       .done = done,
                       .total = count,
                       .detail = fmt::format("{:.3f} bits/dim", at::cat(bits).mean().item<double>()),
                       .per_second = static_cast<double>(done) / passed.count(),
                       .seconds_left = passed.count() / static_cast<double>(done) * static_cast<double>(count - done)});
  }
  if (!bits.empty()) result.bits_per_dim = at::cat(bits);
  return result;
}

std::string report(const EvaluateOptions& o, const Measured& found, double seconds) {
  const int64_t n = found.bits_per_dim.numel();
  const double mean = found.bits_per_dim.mean().item<double>();
  const double error = n > 1 ? found.bits_per_dim.std().item<double>() / std::sqrt(static_cast<double>(n)) : NAN;
  if (!std::isfinite(mean))
    throw data_error("the likelihood is not finite", "The weights have probably diverged: take an earlier checkpoint.");
  if (o.json) {
    Json json{{"bits_per_dim", mean},
              {"num_images", n},
              {"model_calls", found.model_calls},
              {"seconds", seconds},
              {"model", hub_label(o.model)},
              {"data", hub_label(o.data)},
              {"split", evaluated_set(o, "test").split},
              {"seed", o.seed},
              {"standard_error", nullptr}};
    if (n > 1) json["standard_error"] = error;
    return dump_json(json) + "\n";
  }
  std::string text = fmt::format("bits/dim {:.4f}", mean);
  if (n > 1) text += fmt::format(" ± {:.4f} (standard error over {} pictures)", error, n);
  return text +
         fmt::format("\n{} calls of the network with derivative, {}\n", found.model_calls, human_seconds(seconds));
}

}  // namespace

EvaluateResult evaluate_likelihood(const EvaluateOptions& options, const Observer& observer,
                                   const std::stop_token& stop) {
  if (options.model.empty()) throw usage_error("--bits-per-dim: of which model? Give --model.");
  Unconditional pipe = Unconditional::load(options.model, {.variant = options.variant.value_or("")});
  pipe.unet->to(find_device(options.device));
  if (options.use_labels && !pipe.unet->has_class_embedding())
    throw usage_error("--use-labels: this model was trained without classes");

  const auto data = open_dataset(evaluated_set(options, "test"), observer);
  const int64_t channels = pipe.unet->options().in_channels;
  if (channels != 1 && channels != 3)
    throw usage_error(fmt::format("a network of {} channels: pictures have 1 or 3", channels));
  Loader loader(data,
                {.resolution = evaluate_resolution(options, pipe.unet->options()),
                 .mode = channels == 1 ? ImageMode::grey : ImageMode::rgb,
                 .center_crop = options.center_crop,
                 .batch_size = options.batch_size,
                 .seed = static_cast<uint64_t>(options.seed)},
                observer);
  const int64_t wanted = options.num_images.value_or(64);
  const int64_t count = wanted == 0 ? data->size() : std::min(wanted, data->size());

  const auto started = std::chrono::steady_clock::now();
  const Measured found = measure(options, pipe, loader, count, observer, stop);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  EvaluateResult result;
  if (stop.stop_requested()) result.status = JobStatus::interrupted;
  if (found.bits_per_dim.defined()) result.report = report(options, found, seconds);
  return result;
}

}  // namespace unnoise
