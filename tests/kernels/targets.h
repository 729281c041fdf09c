// Running a kernel test once for every SIMD target and number of threads.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <vector>

#include "unnoise/kernels/parallel.h"

namespace unnoise::kernels {

/// Calls f() with every instruction set of this processor that the kernels are compiled for, the best one last.
template <class F>
void for_each_target(const F& f) {
  const auto use = [](int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  };
  use(0);
  std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  for (auto target = targets.rbegin(); target != targets.rend(); ++target) {
    SCOPED_TRACE(hwy::TargetName(*target));
    use(*target);
    f();
  }
  use(0);
}

/// Sets the number of threads for a scope.
class Threads {
 public:
  explicit Threads(int count) : before_(num_threads()) { set_num_threads(count); }
  ~Threads() { set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

}  // namespace unnoise::kernels
