#include "unnoise/kernels/channels.h"

#include <algorithm>
#include <cstring>

#include "unnoise/kernels/parallel.h"

namespace unnoise::kernels {
namespace {

constexpr int64_t kGrainBytes = 65536;  // worth a thread

/// Calls f(whole, a, b), offsets in bytes, for every pixel.
template <class F>
void for_pixels(int64_t pixels, int64_t a, int64_t b, const F& f) {
  parallel_for(pixels, std::max<int64_t>(1, kGrainBytes / (a + b)), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) f(p * (a + b), p * a, p * b);
  });
}

}  // namespace

void join_channels(int64_t pixels, ConstChannelBytes a, ConstChannelBytes b, void* whole) {
  auto* const to = static_cast<char*>(whole);
  const auto *const from_a = static_cast<const char*>(a.data), *const from_b = static_cast<const char*>(b.data);
  for_pixels(pixels, a.size, b.size, [=](int64_t at, int64_t at_a, int64_t at_b) {
    std::memcpy(to + at, from_a + at_a, static_cast<size_t>(a.size));
    std::memcpy(to + at + a.size, from_b + at_b, static_cast<size_t>(b.size));
  });
}

void split_channels(int64_t pixels, const void* whole, ChannelBytes a, ChannelBytes b) {
  const auto* const from = static_cast<const char*>(whole);
  auto *const to_a = static_cast<char*>(a.data), *const to_b = static_cast<char*>(b.data);
  for_pixels(pixels, a.size, b.size, [=](int64_t at, int64_t at_a, int64_t at_b) {
    if (to_a) std::memcpy(to_a + at_a, from + at, static_cast<size_t>(a.size));
    if (to_b) std::memcpy(to_b + at_b, from + at + a.size, static_cast<size_t>(b.size));
  });
}

void double_pixels(int64_t batch, int64_t height, int64_t width, int64_t size, const void* x, void* y) {
  const int64_t row = 2 * width * size;  // of y
  parallel_for(batch * height, std::max<int64_t>(1, kGrainBytes / (2 * row)), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const auto* from = static_cast<const char*>(x) + r * width * size;
      auto* const first = static_cast<char*>(y) + 2 * r * row;
      for (int64_t at = 0; at < row; at += 2 * size, from += size) {
        std::memcpy(first + at, from, static_cast<size_t>(size));
        std::memcpy(first + at + size, from, static_cast<size_t>(size));
      }
      std::memcpy(first + row, first, static_cast<size_t>(row));
    }
  });
}

}  // namespace unnoise::kernels
