// Event files that TensorBoard shows: scalars and pictures.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "unnoise/logging/append_file.h"

namespace unnoise {

/// Writes one event file. The format is protocol buffer messages of type Event in TFRecord framing (tensorflow's
/// core/util/event.proto and core/framework/summary.proto); the few fields that are needed are encoded here.
class TensorBoardWriter {
 public:
  /// Creates `folder` and in it a new file "events.out.tfevents.<seconds>.<host>.<process>.<n>", whose name sorts
  /// behind those that are there already, as TensorBoard reads them in that order. A run that goes on from a checkpoint
  /// passes `resume_step`: TensorBoard then forgets what earlier files say about later steps.
  explicit TensorBoardWriter(const fs::path& folder, std::optional<int64_t> resume_step = std::nullopt);

  /// One point of the curve `tag`; stored as float32. `wall_time` is in seconds since 1970, by default now.
  void scalar(std::string_view tag, double value, int64_t step, std::optional<double> wall_time = std::nullopt);

  /// One picture, e.g. of encode_png(image_grid(samples)). Throws Error::usage when `png` is not a PNG.
  void image(std::string_view tag, std::string_view png, int64_t step, std::optional<double> wall_time = std::nullopt);

  const fs::path& path() const { return file_.path(); }

 private:
  void write_event(int64_t step, std::optional<double> wall_time, int what, std::string_view payload);

  AppendFile file_;
};

}  // namespace unnoise
