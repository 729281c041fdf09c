#include "unnoise/kernels/instruction_set.h"

#include <hwy/targets.h>

namespace unnoise::kernels {

std::string instruction_set() {
  const int64_t usable = hwy::SupportedTargets() & HWY_TARGETS;  // of the processor, and compiled in
  return hwy::TargetName(usable & -usable);                      // the lowest bit is the best target
}

}  // namespace unnoise::kernels
