// What the arithmetic of a run depends on, to be recorded with it.
#pragma once

#include <string>

namespace unnoise {

std::string torch_version();    ///< of LibTorch: "2.13.0"
std::string instruction_set();  ///< of the kernels: kernels/instruction_set.h

}  // namespace unnoise
