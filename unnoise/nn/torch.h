// The LibTorch umbrella, for the few files that need the C++ frontend (examples, tests). Slow to compile: prefer
// nn/tensor.h and <ATen/ops/NAME.h>.
#pragma once

#include <torch/torch.h>
