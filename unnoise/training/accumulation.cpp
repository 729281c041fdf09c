#include "unnoise/training/accumulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

int64_t at_least_one(std::string_view name, int64_t value) {
  if (value < 1) throw usage_error(fmt::format("{}: expected 1 or more, found {}", name, value));
  return value;
}

int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

}  // namespace

AccumulationPlan::AccumulationPlan(int64_t samples_per_epoch, int64_t batch_size, int64_t accumulation_steps)
    : samples_per_epoch_(at_least_one("pictures in the data", samples_per_epoch)),
      batch_size_(at_least_one("batch size", batch_size)),
      accumulation_steps_(at_least_one("gradient_accumulation_steps", accumulation_steps)),
      batches_per_epoch_(ceil_div(samples_per_epoch, batch_size)),
      updates_per_epoch_(ceil_div(batches_per_epoch_, accumulation_steps)) {}

bool AccumulationPlan::ends_group(int64_t batch) const {
  const int64_t within = batch % batches_per_epoch_;
  return within + 1 == batches_per_epoch_ || (within + 1) % accumulation_steps_ == 0;
}

int64_t AccumulationPlan::updates_before(int64_t batch) const {
  return epoch(batch) * updates_per_epoch_ + batch % batches_per_epoch_ / accumulation_steps_;
}

int64_t AccumulationPlan::first_batch(int64_t update) const {
  return update / updates_per_epoch_ * batches_per_epoch_ + update % updates_per_epoch_ * accumulation_steps_;
}

int64_t AccumulationPlan::samples(int64_t batch) const {
  return std::min(batch_size_, samples_per_epoch_ - batch % batches_per_epoch_ * batch_size_);
}

double AccumulationPlan::weight(int64_t batch) const {
  const int64_t within = batch % batches_per_epoch_;
  const int64_t first = within - within % accumulation_steps_;
  const int64_t end = std::min(first + accumulation_steps_, batches_per_epoch_);
  const int64_t group_samples = std::min(end * batch_size_, samples_per_epoch_) - first * batch_size_;
  return static_cast<double>(samples(batch)) / static_cast<double>(group_samples);
}

}  // namespace unnoise
