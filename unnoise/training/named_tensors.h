// Setting named tensors from a saved list that must match it exactly.
#pragma once

#include <string>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Copies `from` into the tensors of `to` that have the same names. When a name is missing, unexpected, twice there, or
/// of another shape or dtype, Error::data with `complaint`, the names and `hint`; nothing is changed then.
void copy_by_name(const StateDict& from, const StateDict& to, const std::string& complaint, const std::string& hint);

}  // namespace unnoise
