#include "unnoise/data/look_hash.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <string>
#include <unordered_map>

#include "unnoise/core/error.h"
#include "unnoise/data/resize.h"
#include "unnoise/io/image_convert.h"

namespace unnoise {
namespace {

constexpr int64_t kSide = 32, kLow = 8, kThumbnailSide = 16;

/// cos((2x + 1) u pi / 2N), the DCT-II's basis, for the 8 lowest u.
const std::array<std::array<float, kSide>, kLow>& basis() {
  static const auto table = [] {
    std::array<std::array<float, kSide>, kLow> t{};
    for (int64_t u = 0; u < kLow; ++u)
      for (int64_t x = 0; x < kSide; ++x)
        t[u][x] = static_cast<float>(std::cos(static_cast<double>((2 * x + 1) * u) * std::numbers::pi / (2.0 * kSide)));
    return t;
  }();
  return table;
}

}  // namespace

uint64_t look_hash(const DecodedImage& image) {
  const Image grey = resize_bilinear(convert(image, ImageMode::grey), kSide, kSide);
  std::array<std::array<float, kSide>, kLow> rows{};  // [v][x]: the columns' low frequencies
  for (int64_t v = 0; v < kLow; ++v)
    for (int64_t y = 0; y < kSide; ++y)
      for (int64_t x = 0; x < kSide; ++x) rows[v][x] += basis()[v][y] * grey.row(y)[x];
  std::array<float, kLow * kLow> low{};
  for (int64_t v = 0; v < kLow; ++v)
    for (int64_t u = 0; u < kLow; ++u)
      for (int64_t x = 0; x < kSide; ++x) low[v * kLow + u] += basis()[u][x] * rows[v][x];
  auto sorted = low;
  std::nth_element(sorted.begin(), sorted.begin() + kLow * kLow / 2, sorted.end());
  const float median = sorted[kLow * kLow / 2];
  uint64_t bits = 0;
  for (size_t i = 0; i < low.size(); ++i) bits |= uint64_t{low[i] > median} << i;
  return bits;
}

Thumbnail thumbnail_of(const DecodedImage& image) {
  const Image small = resize_bilinear(convert(image, ImageMode::rgb), kThumbnailSide, kThumbnailSide);
  Thumbnail thumbnail;
  std::copy(small.pixels.begin(), small.pixels.end(), thumbnail.begin());
  return thumbnail;
}

double difference(const Thumbnail& a, const Thumbnail& b) {
  int64_t sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const int64_t d = int64_t{a[i]} - b[i];
    sum += d * d;
  }
  return std::sqrt(static_cast<double>(sum) / static_cast<double>(a.size())) / 255.0;
}

std::vector<std::pair<int64_t, int64_t>> near_pairs(const std::vector<uint64_t>& hashes, int distance) {
  if (distance < 0 || distance > 7) throw usage_error("near duplicates: the distance is 0 to 7 bits");
  std::vector<std::pair<int64_t, int64_t>> pairs;
  // Of 4 quarters that differ in 7 bits together, one differs in at most one.
  for (int quarter = 0; quarter < 4; ++quarter) {
    const auto part = [&](uint64_t hash) { return static_cast<uint16_t>(hash >> (16 * quarter)); };
    std::unordered_map<uint16_t, std::vector<int64_t>> places;
    for (int64_t j = 0; j < static_cast<int64_t>(hashes.size()); ++j) {
      const uint64_t hash = hashes[static_cast<size_t>(j)];
      for (int bit = -1; bit < 16; ++bit) {
        const auto found = places.find(bit < 0 ? part(hash) : static_cast<uint16_t>(part(hash) ^ 1 << bit));
        if (found == places.end()) continue;
        for (const int64_t i : found->second)
          if (std::popcount(hash ^ hashes[static_cast<size_t>(i)]) <= distance) pairs.emplace_back(i, j);
      }
      places[part(hash)].push_back(j);
    }
  }
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  return pairs;
}

}  // namespace unnoise
