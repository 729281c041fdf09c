// Rank runs beside each other: a table to print, and one HTML file that holds everything.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/core/observer.h"

namespace unnoise {

struct CompareOptions {
  std::optional<std::string> output;
  std::optional<std::string> rank_by;
  bool highest = false;
  int64_t held_out_images = 0;
  bool json = false;

  static constexpr auto fields() {
    using O = CompareOptions;
    return std::tuple{
        field("output", &O::output, "HTML file to write: one file with the table, curves and samples in it"),
        field("rank_by", &O::rank_by,
              "held_out, loss, seconds, or any number of log.jsonl or of the evaluation; default: held_out where all "
              "have it, else loss"),
        field("highest", &O::highest, "the highest of these numbers is the best, not the lowest"),
        field("held_out_images", &O::held_out_images,
              "measure the held-out loss of runs that have none, on so many pictures; 0 = do not"),
        field("json", &O::json, "print JSON instead of a table"),
    };
  }
};

/// The job of `unnoise recipe compare`: run folders, or folders of sweeps. Returns the text to print. Error::usage for
/// fewer than one run or a number that no run has.
std::string compare(const std::vector<std::string>& folders, const CompareOptions& options,
                    const Observer& observer = {});

}  // namespace unnoise
