#include "unnoise/recipes/train_evaluation.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

/// Of a larger data set so many are drawn: enough for the distances, and quick.
constexpr int64_t kTrainingPictures = 20'000;
constexpr int64_t kDrawnAtOnce = 16;
constexpr const char* kCountKey = "evaluated_images";

std::string quality_line(const std::vector<std::pair<std::string, double>>& scalars, int64_t num_images) {
  std::string line = fmt::format("quality of {} pictures:", num_images);
  for (const auto& [name, value] : scalars) line += fmt::format("  {} {:.4g}", name, value);
  return line;
}

}  // namespace

TrainEvaluation::TrainEvaluation(const TrainOptions& options, const TrainPlan& plan, const Observer& observer)
    : options_(options), plan_(plan), observer_(observer), network_(load_feature_network(options.evaluate_features)) {
  if (options.evaluate_num_images < kLeastPictures)
    throw usage_error(fmt::format("--evaluate-num-images: expected at least {}, found {}", kLeastPictures,
                                  options.evaluate_num_images));
  if (plan.dataset->size() < kLeastPictures)
    throw usage_error(fmt::format("--evaluate-every: {} pictures are too few to compare with; expected at least {}",
                                  plan.dataset->size(), kLeastPictures));
  network_->to(plan.device);
}

bool TrainEvaluation::is_due(int64_t step) const {
  return step > 0 && (step % options_.evaluate_every == 0 || step == plan_.total_updates);
}

bool TrainEvaluation::is_owed(int64_t step, const fs::path& log_file) const {
  if (!is_due(step)) return false;
  const auto records = read_run_log(log_file);
  return std::none_of(records.begin(), records.end(),
                      [&](const Json& record) { return record.at("step") == step && record.contains(kCountKey); });
}

std::optional<QualityReference> training_reference(const TrainPlan& plan, std::shared_ptr<const FeatureNetwork> network,
                                                   std::vector<Metric> metrics, const Observer& observer,
                                                   const std::stop_token& stop) {
  LoaderOptions loader = plan.loader;
  loader.seed = 0;
  PictureSet training = read_pictures(plan.dataset, loader, kTrainingPictures, observer, stop);
  QualityReference reference(std::move(training), {}, plan.loader.random_flip, std::move(network),
                             {.metrics = std::move(metrics)}, observer, stop);
  if (!reference.is_complete()) return std::nullopt;
  return reference;
}

void TrainEvaluation::run(const Unconditional& pipe, int64_t step, RunLog& log, TensorBoardWriter& tensorboard,
                          const std::stop_token& stop) {
  if (!reference_) {
    using enum Metric;
    reference_ = training_reference(plan_, network_, {fd, kd, pr, dc, nn}, observer_, stop);
    if (!reference_) return;
  }
  const QualityDraw draw{.num_images = options_.evaluate_num_images,
                         .batch_size = std::min(kDrawnAtOnce, options_.evaluate_num_images),
                         .steps = options_.evaluate_num_inference_steps};
  const DrawnPictures drawn = draw_to_measure(pipe, draw, observer_, stop);
  if (drawn.pictures.size() == 0) return;
  const auto quality = measure_quality(drawn.pictures, *reference_, observer_, stop);
  if (!quality) return;

  const auto scalars = scalars_of(*quality);
  Json record{{"step", step}, {kCountKey, quality->num_images}};
  for (const auto& [name, value] : scalars) {
    record[name] = value;
    tensorboard.scalar("quality/" + name, value, step);
  }
  log.append(record);
  observer_.info(quality_line(scalars, quality->num_images));
  if (quality->copies())
    observer_.warn(
        fmt::format("step {}: the network hands out its training pictures; unnoise evaluate --neighbours "
                    "shows them",
                    step));
}

}  // namespace unnoise
