// What every command that runs a network can be told about the machine.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>

#include "unnoise/core/fields.h"
#include "unnoise/core/kernel_choice.h"

namespace unnoise {

struct MachineOptions {
  std::string device = "auto";
  int64_t threads = 0;
  Kernels kernels = Kernels::fast;
  bool deterministic = false;

  static constexpr auto machine_fields() {
    using O = MachineOptions;
    return std::tuple{
        section("Machine"),
        field("device", &O::device, "auto, cpu or cuda"),
        field("threads", &O::threads, "processor threads; 0 = all physical cores"),
        field("kernels", &O::kernels, "arithmetic on the processor: unnoise's own loops or LibTorch's operators"),
        field("deterministic", &O::deterministic,
              "the result depends neither on the number of threads nor on the batch size (slower)"),
    };
  }
};

}  // namespace unnoise
