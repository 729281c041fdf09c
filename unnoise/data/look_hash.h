// How alike two pictures look: a perceptual hash to find candidates among many, a thumbnail to judge a pair.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "unnoise/io/image.h"

namespace unnoise {

/// 64 bits that change little when a picture is resized, recompressed or brightened: of its 32x32 grey version the 8x8
/// lowest frequencies of the DCT, each above the median or not (Zauner 2010, "Implementation and Benchmarking of
/// Perceptual Image Hash Functions", section 3.2.1).
uint64_t look_hash(const DecodedImage& image);

/// 16x16 RGB.
using Thumbnail = std::array<uint8_t, 16 * 16 * 3>;
Thumbnail thumbnail_of(const DecodedImage& image);
/// Root mean square of the differences, 0 to 1.
double difference(const Thumbnail& a, const Thumbnail& b);

/// All pairs (i < j) of hashes that differ in at most `distance` bits, 0 to 7, sorted. Finds them by hashes that agree
/// in a quarter of their bits but for one: n log n for hashes that are spread out.
std::vector<std::pair<int64_t, int64_t>> near_pairs(const std::vector<uint64_t>& hashes, int distance);

}  // namespace unnoise
