// How much of a batch's gradient is noise, and so which batch size pays: the simple noise scale of McCandlish et al.
// 2018, "An Empirical Model of Large-Batch Training", eq. 2.9 and appendix A.1.
//
//   B_simple = tr(Sigma) / |G|^2
// with G the true gradient and Sigma the covariance of one picture's. Below B_simple, twice the batch saves nearly half
// the steps; far above it, it saves none.
#pragma once

#include <cstdint>
#include <vector>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Estimates from the squared norms of gradients of `batch` pictures and of the mean of several such, without bias
/// (A.1: E|G_B|^2 = |G|^2 + tr(Sigma)/B). Add groups of gradients, each of at least two batches.
class GradientNoise {
 public:
  explicit GradientNoise(int64_t batch) : batch_(batch) {}

  /// The gradients of one batch: a tensor a parameter, copied.
  void add(const std::vector<Tensor>& gradients);
  /// The batches since the last call make a group. Ignored with fewer than two.
  void end_group();

  int64_t groups() const { return groups_; }
  double gradient_squared() const;  ///< |G|^2; may come out below 0 where noise is all there is
  double trace() const;             ///< tr(Sigma)
  /// B_simple in pictures; infinite when |G|^2 did not come out above 0, NaN without a group.
  double noise_scale() const;

 private:
  int64_t batch_;
  int64_t groups_ = 0, batches_ = 0;
  std::vector<Tensor> sum_;
  double small_sum_ = 0;  ///< of |g|^2 of the group's batches
  double g2_sum_ = 0, trace_sum_ = 0;
};

}  // namespace unnoise
