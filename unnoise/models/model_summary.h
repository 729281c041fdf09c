// What a network is made of: its tree with parameters, output shapes and multiply-adds, for `unnoise info`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "unnoise/models/unet2d.h"
#include "unnoise/nn/module.h"

namespace unnoise {

/// One module of the tree. Counts include the modules below it.
struct SummaryRow {
  std::string name;         ///< "down_blocks.0.resnets.0"; "" is the network
  std::string description;  ///< "ResnetBlock2D(64, 128)"
  int64_t depth = 0;        ///< 0 is the network
  int64_t parameters = 0;
  Shape output;  ///< empty where the module is only a list
  int64_t multiply_adds = 0;
};

struct ModelSummary {
  std::vector<SummaryRow> rows;  ///< parents before their children, in the order of the checkpoint's keys
  int64_t parameters = 0;        ///< = those of rows[0]
  int64_t multiply_adds = 0;     ///< of convolutions, linear layers and attention, for the traced input
};

/// Calls `forward` once without gradients and notes what the modules below `root` did.
ModelSummary summarize(const Module& root, const std::function<void()>& forward);

/// Of one picture of that size (height and width in pixels). Call it in evaluation mode: dropout would draw.
ModelSummary summarize(const UNet2D& unet, int64_t height, int64_t width);

}  // namespace unnoise
