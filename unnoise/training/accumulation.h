// Which micro-batches make an update together, and how much each one counts.
#pragma once

#include <cstdint>

namespace unnoise {

/// Micro-batches are numbered from 0 across epochs, as Batch::number. A group of `accumulation_steps` of them
/// makes one update; a group ends with its epoch, so the last of an epoch may be short, and so may the epoch's last
/// micro-batch.
class AccumulationPlan {
 public:
  /// Each at least 1, else Error::usage.
  AccumulationPlan(int64_t samples_per_epoch, int64_t batch_size, int64_t accumulation_steps);

  int64_t batches_per_epoch() const { return batches_per_epoch_; }
  int64_t updates_per_epoch() const { return updates_per_epoch_; }

  int64_t epoch(int64_t batch) const { return batch / batches_per_epoch_; }
  /// True for the micro-batch after whose gradient the weights are updated.
  bool ends_group(int64_t batch) const;
  /// Updates made when `batch` is the next to come.
  int64_t updates_before(int64_t batch) const;
  /// The first micro-batch of update number `update`: where a run resumes that has made that many updates.
  int64_t first_batch(int64_t update) const;

  int64_t samples(int64_t batch) const;
  /// The micro-batch's samples over its group's: with mean losses so weighted, the gradients of a group add up to the
  /// gradient of the mean over the group's samples. 1 for a group of one.
  double weight(int64_t batch) const;

 private:
  int64_t samples_per_epoch_;
  int64_t batch_size_;
  int64_t accumulation_steps_;
  int64_t batches_per_epoch_;
  int64_t updates_per_epoch_;
};

}  // namespace unnoise
