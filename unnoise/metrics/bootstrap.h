// How far a number would move had other pictures been drawn (Efron & Tibshirani 1993, chapters 6 and 13).
#pragma once

#include <cstdint>
#include <functional>

#include "unnoise/nn/tensor.h"

namespace unnoise {

struct BootstrapOptions {
  int64_t replicates = 100;
  uint64_t seed = 0;
};

/// The standard deviation of `statistic` over sets of `count` places drawn with replacement, [count] int64.
double bootstrap_standard_error(int64_t count, const std::function<double(const Tensor& places)>& statistic,
                                const BootstrapOptions& options = {});

/// Of a mean over `values` [N], in closed form: s / sqrt(N). NaN for a single value.
double mean_standard_error(const Tensor& values);

/// A number and the interval that holds the true one in 95 of 100 repetitions. It speaks of the draw of the samples,
/// not of a bias.
struct Estimate {
  double value = 0;
  double low = 0;
  double high = 0;
};

/// Neither end leaves [least, most], the range that the number can have.
Estimate estimate(double value, double standard_error, double least, double most);

/// Of a share of `count` pictures that each have something or not: Wilson's interval (1927), the shares p from which
/// `share` is at most 1.96 sqrt(p (1 - p) / count) away. Unlike value ± 1.96 standard errors it is no point where the
/// share is 0 or 1.
Estimate share_estimate(double share, int64_t count);

}  // namespace unnoise
