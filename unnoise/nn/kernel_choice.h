// Which arithmetic the layers use on the processor: LibTorch's operators, or the loops of kernels/.
#pragma once

#include "unnoise/core/kernel_choice.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Of the whole process, as at::set_num_threads: results of the two agree to rounding, so it is a setting of the
/// machine and no part of a model. fast unless set.
Kernels kernel_choice();
void set_kernel_choice(Kernels choice);

/// Also of the whole process: results must depend neither on the number of threads nor on the batch size, whatever it
/// costs. A layer then chooses its algorithm without a look at either. false unless set.
bool deterministic();
void set_deterministic(bool deterministic);

/// Whether a layer should take its fast way for `x`: the choice is fast, and x is on the processor and of a type that
/// the kernels take.
bool use_fast_kernels(const Tensor& x);

/// The layout of feature maps that the fast kernels work in, [B,C,H,W] with the channels of a pixel side by side
/// (torch.channels_last); a map that has it already is passed on.
Tensor channels_last(const Tensor& x);

}  // namespace unnoise
