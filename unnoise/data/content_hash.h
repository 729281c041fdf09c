// What pictures a data set holds, in one number: to tell whether a run sees what an earlier one saw.
#pragma once

#include <cstdint>
#include <string>

#include "unnoise/core/observer.h"
#include "unnoise/data/dataset.h"

namespace unnoise {

/// "pixels-" and 16 hexadecimal digits. Decided by every picture's size, mode, pixels as decoded and label, not by
/// names, order or packing: a set that was renamed, compressed otherwise or put into an archive keeps its hash. The sum
/// modulo 2^64 of a hash of each picture (FNV-1a, Fowler, Noll & Vo; mixed by the finalizer of splitmix64, Steele et
/// al. 2014). It tells accidents apart, not forgeries. A picture that cannot be decoded counts as an empty one. Costs
/// one decoding of each picture, on all processors.
std::string content_hash(const Dataset& data, const Observer& observer = {});

}  // namespace unnoise
