// Successive halving: train many settings a little, go on with the better ones only (Jamieson & Talwalkar 2016,
// "Non-stochastic Best Arm Identification and Hyperparameter Optimization"; Li et al. 2018, "Hyperband", algorithm 1's
// inner loop).
#pragma once

#include <cstdint>
#include <vector>

namespace unnoise {

/// The rungs at which n settings are compared, as shares of the whole training, rising, the last 1. With eta, 1/eta of
/// the settings go on from each rung, and the next is eta times as far: n = 4, eta = 2: 1/4, 1/2, 1. eta below 2, or
/// n < eta: only the last.
std::vector<double> halving_rungs(int64_t n, int64_t eta);

/// How many of `n` settings go on after a rung.
int64_t survivors(int64_t n, int64_t eta);

/// Whose score is among the `keep` lowest; of equals the earlier. NaN is the worst.
std::vector<bool> lowest(const std::vector<double>& scores, int64_t keep);

}  // namespace unnoise
