// The blocks of NCSN++ (Song et al. 2021, "Score-based generative modeling through SDEs", appendix H): beside the
// features runs a small RGB picture, halved and doubled by FIR filters, that enters each level going down and is summed
// up going up.
#pragma once

#include <memory>
#include <string>

#include "unnoise/models/unet2d_blocks.h"

namespace unnoise {

/// `o.groups`, `o.attention_groups`, `o.resample_type` and `o.output_scale_factor` are not used: these blocks have
/// their own.
std::unique_ptr<DownBlock> make_skip_down_block(std::string name, const BlockOptions& o, Rng* init);
std::unique_ptr<UpBlock> make_skip_up_block(std::string name, const BlockOptions& o, Rng* init);

}  // namespace unnoise
