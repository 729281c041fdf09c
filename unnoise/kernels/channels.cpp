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

}  // namespace unnoise::kernels
