#include "unnoise/kernels/adamw8bit.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "unnoise/kernels/parallel.h"
#include "unnoise/kernels/scratch.h"

namespace unnoise::kernels {
namespace {

constexpr int64_t kBlock = 256;
constexpr int64_t kChunk = 16 * kBlock;  // two averages of it in float32 fit in the first cache

void read_block(const ByteMap& map, const uint8_t* codes, float scale, int64_t n, float* x) {
  for (int64_t i = 0; i < n; ++i) x[i] = map.value(codes[i]) * scale;
}

void write_block(const ByteMap& map, const float* x, int64_t n, uint8_t* codes, float* scale) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  *scale = largest;
  largest = std::max(largest, 1e-38F);
  for (int64_t i = 0; i < n; ++i) codes[i] = map.code(x[i] / largest);
}

}  // namespace

ByteMap::ByteMap(const std::array<float, 256>& values) : values_(values), guess_((1 << 15)) {
  zero_ = static_cast<int>(std::find(values.begin(), values.end(), 0.0F) - values.begin());
  const int above = 255 - zero_;
  for (int k = 0; k < above; ++k) {
    const auto at = static_cast<size_t>(zero_ + k);
    upper_[static_cast<size_t>(k)] = (values[at] + values[at + 1]) / 2;
  }
  if (zero_ == 0) upper_[0] = 0;
  for (int k = above; k <= 256; ++k) upper_[static_cast<size_t>(k)] = INFINITY;
  for (uint32_t high = 0; high < guess_.size(); ++high) {
    const auto lowest = std::bit_cast<float>(high << 16);
    const auto border = std::lower_bound(upper_.begin(), upper_.begin() + above, lowest);
    guess_[high] = static_cast<uint8_t>(border - upper_.begin());
  }
}

uint8_t ByteMap::code(float x) const {
  const float size = std::abs(x);
  int k = guess_[std::bit_cast<uint32_t>(size) >> 16];
  k += size > upper_[static_cast<size_t>(k)];
  return static_cast<uint8_t>(x < 0 ? zero_ - std::min(k, zero_) : zero_ + k);
}

void adamw8bit_step(const AdamSpan& span, const ByteSpan& exp_avg, const ByteSpan& exp_avg_sq, const ByteMaps& maps,
                    const AdamSettings& settings) {
  parallel_for((span.count + kChunk - 1) / kChunk, 4, [&](int64_t begin, int64_t end) {
    alignas(64) float m[kChunk], v[kChunk];
    for (int64_t at = begin * kChunk; at < std::min(end * kChunk, span.count); at += kChunk) {
      const int64_t count = std::min(kChunk, span.count - at);
      const auto for_blocks = [&](const auto& f) {
        for (int64_t i = 0; i < count; i += kBlock) f(i, std::min(kBlock, count - i), (at + i) / kBlock);
      };
      for_blocks([&](int64_t i, int64_t n, int64_t block) {
        read_block(maps.exp_avg, exp_avg.codes + at + i, exp_avg.scale[block], n, m + i);
        read_block(maps.exp_avg_sq, exp_avg_sq.codes + at + i, exp_avg_sq.scale[block], n, v + i);
      });
      const AdamSpan chunk{.parameter = span.parameter + at,
                           .gradient = span.gradient + at,
                           .exp_avg = m,
                           .exp_avg_sq = v,
                           .average = span.average ? span.average + at : nullptr,
                           .count = count,
                           .step = span.step};
      adam_step({&chunk, 1}, settings);
      for_blocks([&](int64_t i, int64_t n, int64_t block) {
        write_block(maps.exp_avg, m + i, n, exp_avg.codes + at + i, exp_avg.scale + block);
        write_block(maps.exp_avg_sq, v + i, n, exp_avg_sq.codes + at + i, exp_avg_sq.scale + block);
      });
    }
  });
}

}  // namespace unnoise::kernels
