// Does a model draw, or does it hand out its training pictures?
//
// A generated picture is a copy when it is much nearer to one training picture than to the others around it: the
// distance to the nearest over the mean distance to the 50 nearest (Carlini et al. 2023, "Extracting training data from
// diffusion models", section 4.2). The bare distance would blame every smooth picture, which is near to everything.
// What is unusually low is read off real pictures that the model has not seen (as Meehan et al. 2020 do, "A
// non-parametric test to detect data-copying in generative models"): the threshold is their 1 % quantile. A model that
// has learnt the distribution gets 1 % of its pictures flagged; one that copies, many more.
#pragma once

#include <cstdint>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// How many training pictures are "around" one.
inline constexpr int64_t kCopyNeighbours = 50;

/// distances [N,k], ascending, to the k >= 2 nearest training pictures -> [N] float64 in [0,1]: 0 is a copy. Where all
/// k are at distance 0 (a picture that the training set holds k times) the score is 0.
Tensor copy_scores(const Tensor& distances);

struct CopyCheck {
  Tensor scores;         ///< [N] float64, of the generated pictures
  double threshold = 0;  ///< a score of at most this is flagged
  double flagged = 0;    ///< share of the generated pictures
  double expected = 0;   ///< share of unseen real pictures: about the `false_alarms` that were asked for
  double z = 0;          ///< how many standard deviations `flagged` is above `expected`
  double rank_z = 0;     ///< the same for all scores, not only the lowest: Mann-Whitney's U, Meehan et al.'s C_T with
                         ///< its sign turned; above 3: nearer to the training set than unseen real pictures are
  /// The verdict: z > 3, and at least twice as many as expected, so that a large sample does not make a fault of a
  /// trifle.
  bool copies() const { return z > 3 && flagged >= 2 * expected; }
};

/// From the scores of generated pictures [N] and of real ones that the model has not seen [M].
CopyCheck check_copying(const Tensor& generated, const Tensor& unseen, double false_alarms = 0.01);

}  // namespace unnoise
