// Improved precision and recall (Kynkäänniemi et al. 2019): how many generated pictures could be real, and how many
// real ones could be generated.
#pragma once

#include <cstdint>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Scores a sample, whose means are the numbers; so a bootstrap over samples is a bootstrap over these.
struct PrecisionRecall {
  Tensor in_real;       ///< [M] float64, 1 where the generated sample lies in the real ones' manifold: precision
  Tensor in_generated;  ///< [N] float64, 1 where the real sample lies in the generated ones': recall

  double precision() const;
  double recall() const;
};

/// real [N,D], generated [M,D]. A set's manifold is the union of the balls around its samples that reach to each one's
/// k-th nearest other sample (eq. 1). As many samples of both should be taken, as the balls shrink when there are more.
/// At least k + 1 each.
PrecisionRecall precision_recall(const Tensor& real, const Tensor& generated, int64_t k = 3);

}  // namespace unnoise
