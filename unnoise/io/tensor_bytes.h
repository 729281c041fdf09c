// Tensors over bytes of a file.
#pragma once

#include <optional>
#include <string_view>

#include "unnoise/io/mapped_file.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Bytes of a contiguous tensor; nullopt where sizes are negative or bytes or strides would not fit 64 bits.
std::optional<uint64_t> byte_size(const Shape& shape, at::ScalarType dtype);

/// A contiguous CPU tensor over `bytes` from position `at`, which the caller has checked to be large enough. It shares
/// the bytes and keeps them alive; where they are not aligned for `dtype` it is a copy. Error::data, naming `where`,
/// when a bool is neither 0 nor 1.
Tensor tensor_over(const SharedBytes& bytes, size_t at, const Shape& shape, at::ScalarType dtype,
                   std::string_view where);

}  // namespace unnoise
