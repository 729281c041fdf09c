// What is said of a Quality: for logs, for programs, for people.
#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/quality.h"

namespace unnoise {
namespace {

/// A row of the table.
struct QualityRow {
  std::string key;    ///< in logs and JSON
  std::string label;  ///< "FD-fmnist"
  const std::optional<Estimate>* value;
  std::string meaning;
};

/// "FID" is the Inception network's alone.
std::string distance_name(std::string_view kind, const std::string& features) {
  if (features == "inception") return fmt::format("{}ID", kind.substr(0, 1));
  return fmt::format("{}-{}", kind, features);
}

std::vector<QualityRow> rows_of(const Quality& q) {
  const std::string fd = distance_name("FD", q.features), kd = distance_name("KD", q.features);
  return {
      {"fd_" + q.features, fd, &q.fd, "Fréchet distance at this number of pictures; 0 is best"},
      {"fd_infinity_" + q.features, fd + " ∞", &q.fd_infinity, "the same, continued to infinitely many drawn pictures"},
      {"kd_" + q.features, kd, &q.kd, "kernel distance, without bias; 0 is best"},
      {"precision", "precision", &q.precision, "drawn pictures among the real ones; 1 is best"},
      {"recall", "recall", &q.recall, "real pictures among the drawn ones; 1 is best"},
      {"density", "density", &q.density, "how deep among the real ones; about 1 for real pictures"},
      {"coverage", "coverage", &q.coverage, "real pictures with a drawn one near; about 0.97 for real pictures"},
      {"swd", "SWD", &q.swd,
       q.swd_real > 0 ? fmt::format("sliced Wasserstein on pixels; two sets of real pictures: {:.4f}", q.swd_real)
                      : "sliced Wasserstein on pixels"},
      {"mmd", "MMD²", &q.mmd, fmt::format("on pixels, Gaussian kernel of width {:.3g}; 0 is best", q.mmd_bandwidth)},
  };
}

std::string significant(double value) { return fmt::format("{:.4g}", value); }

std::string interval_text(const Estimate& e) {
  return std::isfinite(e.low) && std::isfinite(e.high)
             ? fmt::format("{} to {}", significant(e.low), significant(e.high))
             : "";
}

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json copies_json(const CopyReport& report) {
  const CopyCheck& c = report.check;
  const Estimate flagged = share_estimate(c.flagged, c.scores.numel());
  return {{"flagged", c.flagged},
          {"low", flagged.low},
          {"high", flagged.high},
          {"expected", c.expected},
          {"threshold", c.threshold},
          {"z", c.z},
          {"rank_z", c.rank_z},
          {"copies", c.copies()},
          {"lowest_score", c.scores.min().item<double>()}};
}

std::string copies_line(const char* where, const CopyReport& report) {
  const CopyCheck& c = report.check;
  return fmt::format(
      "  by {:<9} {:>5.1f} % flagged, {:.1f} % of unseen pictures would be; {:+.1f} standard deviations: {}\n", where,
      100 * c.flagged, 100 * c.expected, c.z, c.copies() ? "COPIES" : "no sign of copying");
}

}  // namespace

Json to_json(const Quality& q) {
  Json metrics = Json::object();
  for (const QualityRow& row : rows_of(q))
    if (*row.value)
      metrics[row.key] = {
          {"value", (*row.value)->value}, {"low", finite((*row.value)->low)}, {"high", finite((*row.value)->high)}};
  Json json{{"features", q.features},
            {"num_features", q.num_features},
            {"num_images", q.num_images},
            {"num_reference", q.num_reference},
            {"compared", q.compared},
            {"metrics", metrics},
            {"notes", q.notes}};
  if (q.swd_real > 0) json["swd_real"] = q.swd_real;
  if (q.pixel_copies && q.feature_copies)
    json["copying"] = {{"pixels", copies_json(*q.pixel_copies)},
                       {"features", copies_json(*q.feature_copies)},
                       {"calibrated_by", q.calibrated_by_unseen ? "unseen pictures" : "training pictures"},
                       {"copies", q.copies()}};
  return json;
}

std::string to_text(const Quality& q) {
  std::string text = fmt::format("{} pictures beside {} real ones; features: {}, {} a picture\n\n",
                                 human_count(q.num_images), human_count(q.num_reference), q.features, q.num_features);
  for (const QualityRow& row : rows_of(q))
    if (*row.value)
      text += fmt::format("  {:<14} {:>10}   {:<22} {}\n", row.label, significant((*row.value)->value),
                          interval_text(**row.value), row.meaning);
  if (q.fd || q.kd || q.precision || q.density || q.swd || q.mmd)
    text += "\nBetween: 95 % intervals, of the draw of the pictures; they know nothing of bias.\n";
  if (q.pixel_copies && q.feature_copies) {
    text += fmt::format("\nCopies of training pictures, judged beside {}\n",
                        q.calibrated_by_unseen ? "pictures that the model has not seen"
                                               : "the training pictures' distances from each other");
    text += copies_line("pixels", *q.pixel_copies) + copies_line("features", *q.feature_copies);
  }
  for (const std::string& note : q.notes) text += fmt::format("note: {}\n", note);
  return text;
}

}  // namespace unnoise
