#include "unnoise/recipes/quality.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/remainder.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "unnoise/core/error.h"
#include "unnoise/metrics/density_coverage.h"
#include "unnoise/metrics/frechet_infinity.h"
#include "unnoise/metrics/kernel_distance.h"
#include "unnoise/metrics/nearest.h"
#include "unnoise/metrics/precision_recall.h"
#include "unnoise/metrics/sliced_wasserstein.h"
#include "unnoise/nn/rng.h"
#include "unnoise/recipes/feature_cache.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kUnseen = 2000;          // pictures that calibrate the check for copies
constexpr int64_t kQueries = 256;          // rows of a search for neighbours between two looks at the stop token
constexpr int64_t kFeatureBatch = 64;      // pictures that a feature network sees at once
constexpr int64_t kWideFeatures = 512;     // from here on an eigenvalue problem takes seconds
constexpr int64_t kMostCompared = 10'000;  // of precision, recall, density, coverage: all pairs are looked at

/// Reports the share of work done.
class MetricSteps {
 public:
  MetricSteps(const Observer& observer, std::string_view stage, int64_t total)
      : observer_(observer), stage_(stage), total_(total) {}
  void done(int64_t done, const std::string& detail = {}) const {
    const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    observer_.progress({.stage = stage_,
                        .done = done,
                        .total = total_,
                        .detail = detail,
                        .per_second = 0,
                        .seconds_left = passed / static_cast<double>(std::max<int64_t>(done, 1)) *
                                        static_cast<double>(total_ - done)});
  }

 private:
  const Observer& observer_;
  std::string_view stage_;
  int64_t total_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

Tensor flat(const PictureSet& set) { return from_bytes(set.pixels.flatten(1)); }

/// nearest_neighbours in pieces; nothing when stopped.
std::optional<Neighbours> find_neighbours(const Tensor& queries, const Tensor& points, int64_t k,
                                          const Observer& observer, const std::stop_token& stop) {
  const MetricSteps steps(observer, "nearest pictures", queries.size(0));
  std::vector<Tensor> distances, indices;
  for (int64_t first = 0; first < queries.size(0); first += kQueries) {
    if (stop.stop_requested()) return std::nullopt;
    const int64_t rows = std::min(kQueries, queries.size(0) - first);
    Neighbours found = nearest_neighbours(queries.narrow(0, first, rows), points, k);
    distances.push_back(std::move(found.distances));
    indices.push_back(std::move(found.indices));
    steps.done(first + rows);
  }
  return Neighbours{at::cat(distances), at::cat(indices)};
}

int64_t copy_neighbours(int64_t originals) { return std::min(kCopyNeighbours, originals - 1); }

/// The scores of training pictures, each among the others: neither itself nor its mirror image counts.
Tensor scores_among_themselves(const Tensor& points, int64_t originals, uint64_t seed, const Observer& observer,
                               const std::stop_token& stop) {
  const int64_t k = copy_neighbours(originals), own_pictures = points.size(0) / originals;
  const Tensor rows = Rng(seed).permutation(originals).narrow(0, 0, std::min(kUnseen, originals));
  const auto found = find_neighbours(points.index_select(0, rows), points, k + own_pictures, observer, stop);
  if (!found) return {};
  const Tensor is_own = at::remainder(found->indices, originals) == rows.unsqueeze(1);
  const Tensor others = std::get<0>(found->distances.masked_fill(is_own, kInfinity).sort(1)).narrow(1, 0, k);
  return copy_scores(others);
}

Tensor scores_of(const Tensor& queries, const Tensor& points, int64_t k, const Observer& observer,
                 const std::stop_token& stop) {
  const auto found = find_neighbours(queries, points, k, observer, stop);
  return found ? copy_scores(found->distances) : Tensor();
}

}  // namespace

bool QualityOptions::wants(Metric metric) const {
  return std::find(metrics.begin(), metrics.end(), metric) != metrics.end();
}

bool Quality::copies() const {
  return (pixel_copies && pixel_copies->check.copies()) || (feature_copies && feature_copies->check.copies());
}

Tensor extract_features(const FeatureNetwork& network, const Tensor& pixels, const Observer& observer,
                        const std::stop_token& stop) {
  const MetricSteps steps(observer, "features", pixels.size(0));
  std::vector<Tensor> pieces;
  for (int64_t first = 0; first < pixels.size(0); first += kFeatureBatch) {
    if (stop.stop_requested()) return {};
    const int64_t count = std::min(kFeatureBatch, pixels.size(0) - first);
    pieces.push_back(network(from_bytes(pixels.narrow(0, first, count))));
    steps.done(first + count);
  }
  return at::cat(pieces);
}

QualityReference::QualityReference(ReferencePictures pictures, std::shared_ptr<const FeatureNetwork> network,
                                   const QualityOptions& options, const Observer& observer, const std::stop_token& stop)
    : options_(options),
      pictures_(std::move(pictures)),
      originals_(pictures_.training.size()),
      network_(std::move(network)) {
  if (stop.stop_requested()) return;
  if (originals_ < kLeastPictures)
    throw usage_error(
        fmt::format("only {} pictures to compare with; expected at least {}", originals_, kLeastPictures));
  if (pictures_.mirrored) pictures_.training = with_mirrored(pictures_.training);
  features_ = FeatureCache(options_.cache).features(*network_, pictures_.training.pixels, observer, stop);
  if (!features_.defined()) return;
  if (options_.wants(Metric::fd)) frechet_.emplace(unnoise::moments(features_));
  if (options_.wants(Metric::nn) && !calibrate(observer, stop)) return;
  complete_ = !stop.stop_requested();
}

bool QualityReference::calibrate(const Observer& observer, const std::stop_token& stop) {
  const uint64_t seed = options_.seed;
  const Tensor training = flat(pictures_.training);
  PictureSet& unseen = pictures_.unseen;
  if (unseen.size() > 0) {
    unseen = draw_pictures(unseen, kUnseen, seed);
    const int64_t k = copy_neighbours(originals_);
    unseen_pixel_scores_ = scores_of(flat(unseen), training, k, observer, stop);
    if (!unseen_pixel_scores_.defined()) return false;
    if ((unseen_pixel_scores_ == 0).to(at::kDouble).mean().item<double>() > 0.5) {
      if (pictures_.trust_unseen)
        throw usage_error("most of the pictures called unseen are among the training pictures",
                          "Give pictures that the model was not trained on, or leave --held-out away.");
      observer.warn("most pictures of the test part are among the training pictures: copies are judged without it");
      unseen = {};
    } else {
      const Tensor features = extract_features(*network_, unseen.pixels, observer, stop);
      if (features.defined()) unseen_feature_scores_ = scores_of(features, features_, k, observer, stop);
      return unseen_feature_scores_.defined();
    }
  }
  unseen_pixel_scores_ = scores_among_themselves(training, originals_, seed, observer, stop);
  unseen_feature_scores_ = scores_among_themselves(features_, originals_, seed, observer, stop);
  return unseen_pixel_scores_.defined() && unseen_feature_scores_.defined();
}

/// The numbers, one method a metric, each adding its own to the result.
class QualityMeasurement {
 public:
  QualityMeasurement(const PictureSet& generated, const QualityReference& reference)
      : generated_(generated), reference_(reference), options_(reference.options_) {}

  std::optional<Quality> run(const Observer& observer, const std::stop_token& stop) {
    check();
    features_ = extract_features(*reference_.network_, generated_.pixels, observer, stop);
    if (!features_.defined()) return std::nullopt;
    describe();
    const std::vector<std::pair<Metric, void (QualityMeasurement::*)()>> all{
        {Metric::fd, &QualityMeasurement::frechet},      {Metric::kd, &QualityMeasurement::kernel},
        {Metric::pr, &QualityMeasurement::precision},    {Metric::dc, &QualityMeasurement::density},
        {Metric::swd, &QualityMeasurement::wasserstein}, {Metric::mmd, &QualityMeasurement::discrepancy}};
    const MetricSteps steps(observer, "measure", static_cast<int64_t>(all.size()));
    int64_t done = 0;
    for (const auto& [metric, measure] : all) {
      if (stop.stop_requested()) return std::nullopt;
      if (options_.wants(metric)) (this->*measure)();
      steps.done(++done, std::string(enum_name(metric)));
    }
    if (options_.wants(Metric::nn) && !copying(observer, stop)) return std::nullopt;
    return std::move(result_);
  }

 private:
  void check() const {
    const PictureSet& training = reference_.training();
    if (generated_.size() < kLeastPictures)
      throw usage_error(
          fmt::format("only {} pictures to measure; expected at least {}", generated_.size(), kLeastPictures),
          "Hundreds tell little, thousands are usual.");
    if (generated_.channels() != training.channels() || generated_.resolution() != training.resolution())
      throw usage_error(fmt::format("the pictures differ: {}x{} of {} channels and {}x{} of {}",
                                    generated_.resolution(), generated_.resolution(), generated_.channels(),
                                    training.resolution(), training.resolution(), training.channels()));
  }

  void describe() {
    result_.features = reference_.network_->name();
    result_.num_features = features_.size(1);
    result_.num_images = generated_.size();
    result_.num_reference = reference_.training().size();
    result_.compared = std::min({result_.num_images, result_.num_reference, kMostCompared});
    const std::string adapted = reference_.network_->adaptation(generated_.channels(), generated_.resolution());
    if (!adapted.empty()) result_.notes.push_back(fmt::format("for the feature network: {}", adapted));
    if (result_.num_images <= result_.num_features)
      result_.notes.push_back(
          fmt::format("{} pictures are fewer than the {} features: the Fréchet distance is far too "
                      "large; take more",
                      result_.num_images, result_.num_features));
  }

  /// As many rows of both sets as precision and its kin compare.
  Tensor some(const Tensor& rows, uint64_t salt) const {
    if (rows.size(0) <= result_.compared) return rows;
    return rows.index_select(0, Rng(options_.seed + salt).permutation(rows.size(0)).narrow(0, 0, result_.compared));
  }

  void frechet() {
    const FrechetReference& reference = *reference_.frechet_;
    const bool wide = features_.size(1) > kWideFeatures;
    const Tensor rows = features_.to(at::kDouble);
    const auto error_of = [&](auto statistic, int64_t replicates) {
      return bootstrap_standard_error(rows.size(0),
                                      [&](const Tensor& places) { return statistic(rows.index_select(0, places)); },
                                      {.replicates = replicates, .seed = options_.seed});
    };
    const auto distance = [&](const Tensor& x) { return reference.distance_to(moments(x)); };
    result_.fd = estimate(distance(rows), error_of(distance, wide ? 10 : 100), 0, kInfinity);

    const auto infinity = [&](const Tensor& x) { return frechet_infinity(reference, x, {.seed = options_.seed}); };
    const auto limit = infinity(rows);
    if (!limit) {
      result_.notes.push_back(
          fmt::format("FD∞ needs at least {} pictures with these features", frechet_infinity_needs(features_.size(1))));
      return;
    }
    const double error = wide ? std::nan("") : error_of([&](const Tensor& x) { return infinity(x)->value; }, 30);
    result_.fd_infinity = estimate(limit->value, error, -kInfinity, kInfinity);
  }

  void kernel() {
    const auto found = kernel_distance(reference_.features_, features_, {.seed = options_.seed});
    result_.kd = estimate(found.value, found.standard_error, -kInfinity, kInfinity);
  }

  void precision() {
    const auto found = precision_recall(some(reference_.features_, 1), some(features_, 2));
    result_.precision = share_estimate(found.precision(), found.in_real.numel());
    result_.recall = share_estimate(found.recall(), found.in_generated.numel());
  }

  void density() {
    const auto found = density_coverage(some(reference_.features_, 1), some(features_, 2));
    result_.density = estimate(found.density(), mean_standard_error(found.balls), 0, kInfinity);
    result_.coverage = share_estimate(found.coverage(), found.reached.numel());
  }

  /// Pixels of as many training pictures as drawn ones, and of others than those.
  void wasserstein() {
    const int64_t n = result_.compared;
    const Tensor order = Rng(options_.seed + 3).permutation(reference_.training().size());
    const auto pixels_of = [&](int64_t first) {
      const Tensor places = order.narrow(0, first, n);
      return from_bytes(reference_.training().pixels.index_select(0, places).flatten(1));
    };
    const SlicedWassersteinOptions how{.seed = options_.seed};
    const Slices slices = slice(some(flat(generated_), 2), pixels_of(0), how);
    Rng other(options_.seed + 4);
    const double error = bootstrap_standard_error(
        n,
        [&](const Tensor& places) {
          return sliced_wasserstein({slices.x.index_select(1, places), slices.y.index_select(1, other.integers(n, n))});
        },
        {.replicates = 30, .seed = options_.seed});
    result_.swd = estimate(sliced_wasserstein(slices), error, 0, kInfinity);
    if (order.numel() >= 2 * n) result_.swd_real = sliced_wasserstein(pixels_of(0), pixels_of(n), how);
  }

  void discrepancy() {
    const PictureSet training = draw_pictures(reference_.training(), result_.compared, options_.seed + 5);
    const Tensor x = flat(training), y = some(flat(generated_), 2);
    result_.mmd_bandwidth = median_distance(x, y, 1000, options_.seed);
    const auto found =
        subset_mmd2(x, y, rbf_kernel(result_.mmd_bandwidth), {.count = 20, .size = 500, .seed = options_.seed});
    result_.mmd = estimate(found.value, found.standard_error, -kInfinity, kInfinity);
  }

  bool copying(const Observer& observer, const std::stop_token& stop) {
    const int64_t k = copy_neighbours(reference_.originals_);
    const auto by_pixels = find_neighbours(flat(generated_), flat(reference_.training()), k, observer, stop);
    if (!by_pixels) return false;
    const auto by_features = find_neighbours(features_, reference_.features_, k, observer, stop);
    if (!by_features) return false;
    result_.calibrated_by_unseen = reference_.pictures_.unseen.size() > 0;
    if (reference_.originals_ < reference_.pictures_.drawn_from)
      result_.notes.push_back(fmt::format("copies were looked for among {} of {} training pictures",
                                          human_count(reference_.originals_),
                                          human_count(reference_.pictures_.drawn_from)));
    const int64_t unseen = reference_.unseen_pixel_scores_.numel();
    const double false_alarms = std::max(0.01, 2.0 / static_cast<double>(unseen));
    const auto report = [&](const Neighbours& found, const Tensor& unseen_scores) {
      return CopyReport{check_copying(copy_scores(found.distances), unseen_scores, false_alarms),
                        found.indices.select(1, 0).contiguous()};
    };
    result_.pixel_copies = report(*by_pixels, reference_.unseen_pixel_scores_);
    result_.feature_copies = report(*by_features, reference_.unseen_feature_scores_);
    return true;
  }

  const PictureSet& generated_;
  const QualityReference& reference_;
  const QualityOptions& options_;
  Tensor features_;  // [N,D]
  Quality result_;
};

std::optional<Quality> measure_quality(const PictureSet& generated, const QualityReference& reference,
                                       const Observer& observer, const std::stop_token& stop) {
  return QualityMeasurement(generated, reference).run(observer, stop);
}

}  // namespace unnoise
