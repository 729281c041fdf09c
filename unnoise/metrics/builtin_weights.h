// Weights that are part of the library, so that they are found wherever it is installed.
#pragma once

#include <string_view>

namespace unnoise {

/// The bytes of share/features/fmnist.safetensors. cmake/embed.cmake turns the file into a source.
std::string_view builtin_fmnist_weights();

}  // namespace unnoise
