#include "unnoise/nn/versions.h"

#include <torch/version.h>

#include "unnoise/kernels/instruction_set.h"

namespace unnoise {

std::string torch_version() { return TORCH_VERSION; }
std::string instruction_set() { return kernels::instruction_set(); }

}  // namespace unnoise
