// Settings of the process for the length of a scope.
#pragma once

#include <ATen/autocast_mode.h>

#include "unnoise/nn/kernel_choice.h"

namespace unnoise {

class ChosenKernels {
 public:
  explicit ChosenKernels(Kernels choice) : before_(kernel_choice()) { set_kernel_choice(choice); }
  ~ChosenKernels() { set_kernel_choice(before_); }
  ChosenKernels(const ChosenKernels&) = delete;
  ChosenKernels& operator=(const ChosenKernels&) = delete;

 private:
  Kernels before_;
};

/// To bfloat16.
class Autocast {
 public:
  Autocast() {
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, true);
  }
  ~Autocast() {
    at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;
};

}  // namespace unnoise
