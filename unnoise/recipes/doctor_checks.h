// The examinations, one function each.
#pragma once

#include <stop_token>

#include "unnoise/core/files.h"
#include "unnoise/core/observer.h"
#include "unnoise/recipes/doctor.h"
#include "unnoise/recipes/doctor_subject.h"

namespace unnoise {

struct Examination {
  const DoctorOptions& options;
  DoctorSubject& subject;
  const Observer& observer;
  std::stop_token stop;
  fs::path folder;  ///< for figures

  bool halts() const { return stop.stop_requested(); }
};

/// Range test from the first weights; the loss is that of one batch with one noise, measured after each step, so that
/// the curve is calm.
Finding examine_learning_rate(const Examination& on);
/// Some steps at the planned rate, after a warm-up of a few. Leaves the subject as they left it.
Finding examine_short_run(const Examination& on);
/// One batch with one noise, again and again, from the first weights; leaves the subject so.
Finding examine_overfit(const Examination& on);
/// The gradients of `noise_batches` batches without a step; `losses` gets each picture's (timestep, loss).
Finding examine_noise_scale(const Examination& on, std::vector<std::pair<double, double>>& losses);
/// What the pictures' losses say by noise level.
Finding examine_timesteps(const Examination& on, const std::vector<std::pair<double, double>>& losses);

}  // namespace unnoise
