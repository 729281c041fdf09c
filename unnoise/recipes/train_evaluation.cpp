#include "unnoise/recipes/train_evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/recipes/held_out_pictures.h"
#include "unnoise/recipes/quality_numbers.h"

namespace unnoise {
namespace {

constexpr int64_t kDrawnAtOnce = 16;

/// A record of a measurement, told by what only those hold.
bool is_measurement(const Json& record) { return record.contains("metrics"); }

/// A curve for each number, and one for each end of its interval.
void show(const Json& record, int64_t step, TensorBoardWriter& tensorboard) {
  const auto point = [&](const std::string& name, double value) {
    if (std::isfinite(value)) tensorboard.scalar("quality/" + name, value, step);
  };
  for (const auto& [name, number] : quality_numbers(record)) {
    point(name, number.estimate.value);
    point(name + "_low", number.estimate.low);
    point(name + "_high", number.estimate.high);
  }
  point("num_images", record.at("num_images").get<double>());
  if (const auto copies = found_copies(record)) point("copies", *copies ? 1 : 0);
}

std::string quality_line(const Json& record) {
  std::string line = fmt::format("quality of {} pictures:", record.at("num_images").get<int64_t>());
  for (const auto& [name, number] : quality_numbers(record))
    line += fmt::format("  {} {}", name, estimate_text(number.estimate));
  return line;
}

}  // namespace

ReferenceSource training_reference(const TrainPlan& plan, int64_t num_reference) {
  ReferenceSource source{.training = plan.dataset,
                         .reading = plan.loader,
                         .num_reference = num_reference,
                         .mirrored = plan.loader.random_flip};
  source.reading.seed = 0;
  return source;
}

TrainEvaluation::TrainEvaluation(const TrainOptions& options, const TrainPlan& plan, const Observer& observer)
    : options_(options), plan_(plan), observer_(observer), network_(load_feature_network(options.evaluate_features)) {
  if (options.evaluate_num_images < kLeastPictures)
    throw usage_error(fmt::format("--evaluate-num-images: expected at least {}, found {}", kLeastPictures,
                                  options.evaluate_num_images));
  if (plan.dataset->size() < kLeastPictures)
    throw usage_error(fmt::format("--evaluate-every: {} pictures are too few to compare with; expected at least {}",
                                  plan.dataset->size(), kLeastPictures));
  network_->to(plan.device);
  source_ = training_reference(plan, options.evaluate_num_reference);
  source_.unseen = open_unseen(training_set(options), observer);
}

bool TrainEvaluation::is_due(int64_t step) const {
  return step > 0 && (step % options_.evaluate_every == 0 || step == plan_.total_updates);
}

bool TrainEvaluation::is_owed(int64_t step, const fs::path& log_file) const {
  if (!is_due(step)) return false;
  const auto records = read_run_log(log_file);
  return std::none_of(records.begin(), records.end(),
                      [&](const Json& record) { return record.at("step") == step && is_measurement(record); });
}

void TrainEvaluation::run(const Unconditional& pipe, int64_t step, RunLog& log, TensorBoardWriter& tensorboard,
                          const std::stop_token& stop) {
  if (!reference_) {
    reference_ = read_reference(source_, network_, {.metrics = all_metrics()}, observer_, stop);
    if (!reference_) return;
  }
  const QualityDraw draw{.num_images = options_.evaluate_num_images,
                         .batch_size = std::min(kDrawnAtOnce, options_.evaluate_num_images),
                         .steps = options_.evaluate_num_inference_steps};
  const DrawnPictures drawn = draw_to_measure(pipe, draw, observer_, stop);
  if (drawn.pictures.size() == 0) return;
  const auto quality = measure_quality(drawn.pictures, *reference_, observer_, stop);
  if (!quality) return;

  Json record = to_json(*quality);
  record.update({{"step", step}, {"how", drawn.how}, {"seed", draw.seed}});
  log.append(record);
  show(record, step, tensorboard);
  observer_.info(quality_line(record));
  if (quality->copies())
    observer_.warn(
        fmt::format("step {}: the network hands out its training pictures; unnoise evaluate --neighbours "
                    "shows them",
                    step));
}

}  // namespace unnoise
