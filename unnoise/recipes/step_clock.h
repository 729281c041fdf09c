// How fast a training run goes and how long it will take.
#pragma once

#include <chrono>
#include <cstdint>

#include "unnoise/recipes/machine.h"

namespace unnoise {

/// Times steps; what happens between stop() and start() (drawing samples, saving) does not count.
class StepClock {
 public:
  void start() {
    started_ = Clock::now();
    cpu_started_ = cpu_seconds();
  }
  /// Ends a step of `images` pictures, of which `waited` seconds went by waiting for data.
  void stop(int64_t images, double waited) {
    const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
    ++steps_;
    // The first steps warm caches up: forget them quickly, then average over about 50.
    const double keep = steps_ <= 3 ? 0.0 : steps_ < 50 ? 1.0 - 1.0 / static_cast<double>(steps_ - 2) : 0.98;
    seconds_a_step_ = keep * seconds_a_step_ + (1 - keep) * seconds;
    epoch_seconds_ += seconds;
    epoch_cpu_seconds_ += cpu_seconds() - cpu_started_;
    epoch_waited_ += waited;
    epoch_images_ += images;
  }

  int64_t steps() const { return steps_; }
  double seconds_a_step() const { return seconds_a_step_; }
  double epoch_seconds() const { return epoch_seconds_; }
  double epoch_cpu_seconds() const { return epoch_cpu_seconds_; }
  double epoch_waited() const { return epoch_waited_; }
  int64_t epoch_images() const { return epoch_images_; }
  void start_epoch() {
    epoch_seconds_ = epoch_cpu_seconds_ = epoch_waited_ = 0;
    epoch_images_ = 0;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point started_ = Clock::now();
  int64_t steps_ = 0;
  double seconds_a_step_ = 0;
  double cpu_started_ = 0;
  double epoch_seconds_ = 0;
  double epoch_cpu_seconds_ = 0;
  double epoch_waited_ = 0;
  int64_t epoch_images_ = 0;
};

}  // namespace unnoise
