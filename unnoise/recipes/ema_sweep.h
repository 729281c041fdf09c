// What `unnoise ema --sweep` found, as a table, JSON and a curve.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/core/json.h"
#include "unnoise/metrics/bootstrap.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

struct EmaSweepRow {
  double sigma_rel = 0;
  double residual = 0;         ///< ProfileFit::residual
  Tensor losses;               ///< [N] float32, by picture; the same pictures and noise in every row
  std::optional<Estimate> fd;  ///< of drawn pictures, from the same noise in every row; in all rows or in none
};

struct EmaSweep {
  std::string run;
  int64_t step = 0;
  int64_t num_images = 0;         ///< held out
  int64_t fd_images = 0;          ///< drawn for each row
  std::vector<double> stored;     ///< widths that have snapshots
  std::vector<EmaSweepRow> rows;  ///< by width, at least one
};

/// With the least distance where that was measured, else with the least loss.
size_t best_row(const EmaSweep& sweep);

/// A row a width: mean loss, its difference from the best's with the standard error of that difference, the distance.
std::string sweep_table(const EmaSweep& sweep);
Json sweep_json(const EmaSweep& sweep);
/// Writes ema-sweep.svg, ema-sweep.json and, of distances, ema-sweep-fd.svg into `folder`; returns their paths.
std::vector<std::string> write_sweep(const EmaSweep& sweep, const fs::path& folder);

}  // namespace unnoise
