// Which of the processor's vector instructions the kernels use here.
#pragma once

#include <string>

namespace unnoise::kernels {

/// Highway's name of the target that is chosen at run time: "AVX2", "AVX3_SPR", "NEON".
std::string instruction_set();

}  // namespace unnoise::kernels
