// Runs ranked beside each other, as a value: what the table and the page show.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "unnoise/recipes/compare.h"
#include "unnoise/recipes/run_summary.h"

namespace unnoise {

/// A run with its place.
struct RankedRun {
  RunSummary run;
  std::optional<double> value;  ///< what it is ranked by
};

/// What all runs share and what differs between them.
struct Comparison {
  std::vector<RankedRun> runs;  ///< the best first; those without the number last
  std::string rank_by;          ///< "held_out"
  bool highest = false;
  std::vector<std::string> settings;  ///< options that differ, and do not only say where
  std::vector<std::string> numbers;   ///< of the evaluation and the log that any run has: "kernel_distance"
  bool measured = false;  ///< the pictures of any run were: with intervals, of so many, and a verdict on copies
  std::string note;                   ///< a caution about the ranking, "" = none
};

Comparison compare_runs(std::vector<RunSummary> runs, const CompareOptions& options);
/// The text of an option in a table: "4e-04" for 0.0004, "" for null.
std::string setting_text(const RunSummary& run, const std::string& setting);
/// Columns and rows as the table and the page show them; cells are text.
struct ComparisonTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};
ComparisonTable table_of(const Comparison& comparison);

/// One HTML document: no script, nothing fetched; curves as SVG and grids as PNG inside (compare_html.cpp).
std::string comparison_html(const Comparison& comparison, const std::string& title);

}  // namespace unnoise
