// For autograd functions over kernels, whose backward pass is outside of autograd.
#pragma once

#include <c10/core/GradMode.h>

#include "unnoise/core/error.h"

namespace unnoise {

/// To be called first in a backward pass: throws Error::usage when it is itself to be differentiated
/// (create_graph = true), because its result would be a constant.
inline void expect_once_differentiable() {
  if (c10::GradMode::is_enabled())
    throw usage_error("gradients of gradients: the fast kernels have none",
                      "Choose the plain kernels for this computation, or do not ask for create_graph.");
}

}  // namespace unnoise
