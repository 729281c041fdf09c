// Everything `unnoise recipe sweep` can be told.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"

namespace unnoise {

struct SweepOptions {
  std::vector<std::string> vary;
  std::optional<std::string> output_dir;
  std::optional<double> budget_minutes;
  int64_t halving = 2;
  std::string rank_by = "held_out";
  bool highest = false;
  int64_t held_out_images = 128;
  bool any_data = false;
  bool overwrite_output_dir = false;
  std::optional<std::string> device;
  std::optional<int64_t> threads;

  static constexpr auto fields() {
    using O = SweepOptions;
    return std::tuple{
        section("What to vary"),
        field("vary", &O::vary,
              "a setting and its values, lr=1e-4,4e-4; again for more: every combination is tried. Any option of "
              "training, any key of the network (channels=[32,64],[64,128]), network=PRESET,..., sample.KEY"),
        section("How long"),
        field("budget_minutes", &O::budget_minutes,
              "minutes for the whole queue; when they are used up, the same command with more goes on"),
        field("halving", &O::halving,
              "stop hopeless runs early: only one in so many goes on at each comparison (successive halving); 0 = "
              "train all to the end"),
        section("What counts"),
        field("rank_by", &O::rank_by,
              "held_out (error of the noise on held-out pictures), loss (smoothed; only for runs of one objective), "
              "or any number of log.jsonl"),
        field("highest", &O::highest, "the highest of these numbers is the best, not the lowest"),
        field("held_out_images", &O::held_out_images, "pictures for the held-out loss"),
        section("Where to"),
        field("output_dir", &O::output_dir,
              "folder of the queue, its runs and report.html; default: sweeps/NAME. One that exists goes on"),
        field("overwrite_output_dir", &O::overwrite_output_dir, "replace an earlier sweep in that folder"),
        field("any_data", &O::any_data, "run although the pictures are not those that the recipe was made with"),
        section("Machine"),
        field("device", &O::device, "auto, cpu or cuda; default: as the recipe says, else auto"),
        field("threads", &O::threads, "processor threads; default: as the recipe says, else all physical cores"),
    };
  }
};

}  // namespace unnoise
