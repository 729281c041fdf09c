// The tensor type, and nothing else of LibTorch: cheap to include (2 s instead of the umbrella's 18 s).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace unnoise {

using at::Tensor;
using Shape = std::vector<int64_t>;

/// Weights by name, in the order of registration (or of the file).
using StateDict = std::vector<std::pair<std::string, Tensor>>;

}  // namespace unnoise
