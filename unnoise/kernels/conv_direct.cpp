#include "unnoise/kernels/conv_direct.h"

#include <algorithm>
#include <array>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unnoise/kernels/conv_direct.cpp"
#include <hwy/foreach_target.h>  // must come before the inner loops

#include "unnoise/kernels/gemm-inl.h"
#include "unnoise/kernels/parallel.h"
#include "unnoise/kernels/scratch.h"

#ifndef UNNOISE_KERNELS_CONV_DIRECT_SHARED
#define UNNOISE_KERNELS_CONV_DIRECT_SHARED
namespace unnoise::kernels {

inline constexpr int64_t kMostTaps = 49;

/// A sum over taps: the output at grid place (i, j) is pixel (first_y + i step_out, ...) and reads the input's pixels
/// (i step_in + tap_y[t], j step_in + tap_x[t]), which count as zero outside the map. Both a convolution and each class
/// of pixels of its transpose have this form.
struct Gather {
  int64_t rows, columns;  // of the grid
  int64_t first_y, first_x, step_out, step_in;
  int64_t taps;
  std::array<int64_t, kMostTaps> tap_y, tap_x;
  std::array<int64_t, kMostTaps> weight_tap;  // which of the kernel's k * k
};

struct Map {
  int64_t height, width, channels;
};

}  // namespace unnoise::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

inline constexpr int64_t kChunk = 8 * kTileRows;

/// Where the taps of the grid's places [first, first + count) lie in x, [tap][count], and their outputs in y.
void find_rows(const Gather& g, const Map& from, const float* x, const float* zeros, const Map& to, float* y,
               int64_t first, int64_t count, const float** rows, float** outputs) {
  for (int64_t p = 0; p < count; ++p) {
    const int64_t image = (first + p) / (g.rows * g.columns), place = (first + p) % (g.rows * g.columns);
    const int64_t i = place / g.columns, j = place % g.columns;
    const float* const map = x + image * from.height * from.width * from.channels;
    for (int64_t t = 0; t < g.taps; ++t) {
      const int64_t row = i * g.step_in + g.tap_y[t], column = j * g.step_in + g.tap_x[t];
      const bool inside = row >= 0 && row < from.height && column >= 0 && column < from.width;
      rows[t * count + p] = inside ? map + (row * from.width + column) * from.channels : zeros;
    }
    outputs[p] =
        y + ((image * to.height + g.first_y + i * g.step_out) * to.width + g.first_x + j * g.step_out) * to.channels;
  }
}

/// y = (sum over taps and channels of x * packed) + bias, for all pixels of the grid. packed: panels of [taps * C, K].
/// Panel by panel where the weights are more to read than the map, else chunk by chunk.
void gather(const Gather& g, int64_t batch, const Map& from, const float* x, const float* packed, const float* bias,
            const Map& to, float* y) {
  const int64_t pixels = batch * g.rows * g.columns, chunks = (pixels + kChunk - 1) / kChunk;
  const int64_t out_panels = panels(to.channels), panel_size = g.taps * from.channels * kPanel;
  const bool by_panel = out_panels * panel_size > batch * from.height * from.width * from.channels;
  parallel_for(chunks * out_panels, 1, [&](int64_t begin, int64_t end) {
    thread_local Scratch zero_pixel, pointers;
    float* zeros = zero_pixel.get<float>(from.channels);
    std::fill(zeros, zeros + from.channels, 0.0F);
    const float** rows = pointers.get<const float*>(g.taps * kChunk);
    alignas(64) float sums[kChunk * kPanel];
    float* outputs[kChunk];
    int64_t found = -1;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t chunk = by_panel ? task % chunks : task / out_panels;
      const int64_t panel = by_panel ? task / chunks : task % out_panels;
      const int64_t first = chunk * pixels / chunks, count = (chunk + 1) * pixels / chunks - first;
      if (chunk != found) find_rows(g, from, x, zeros, to, y, first, count, rows, outputs);
      found = chunk;
      const int64_t column = panel * kPanel, columns = std::min(kPanel, to.channels - column);
      multiply_panel({rows, count, g.taps, from.channels}, packed + panel * panel_size, sums, kPanel, false, columns);
      for (int64_t p = 0; p < count; ++p) {
        float* out = outputs[p] + column;
        for (int64_t o = 0; o < columns; ++o) out[o] = sums[p * kPanel + o] + (bias ? bias[column + o] : 0);
      }
    }
  });
}

/// Patches of the pixels [first, first + count) of the output: [count, taps * C].
void copy_patches(const ConvShape& s, const float* x, int64_t first, int64_t count, float* to) {
  const int64_t grid = s.out_height * s.out_width, channels = s.in_channels;
  for (int64_t p = first; p < first + count; ++p) {
    const int64_t image = p / grid, y0 = p % grid / s.out_width * s.stride - s.padding,
                  x0 = p % s.out_width * s.stride - s.padding;
    for (int64_t r = 0; r < s.kernel; ++r)
      for (int64_t q = 0; q < s.kernel; ++q, to += channels) {
        const int64_t row = y0 + r, column = x0 + q;
        const bool inside = row >= 0 && row < s.height && column >= 0 && column < s.width;
        if (inside)
          std::memcpy(to, x + ((image * s.height + row) * s.width + column) * channels,
                      static_cast<std::size_t>(channels) * sizeof(float));
        else
          std::fill(to, to + channels, 0.0F);
      }
  }
}

/// dw as [K, taps * C]: dy' times the patches, block of pixels after block.
void weight_gradient(const ConvShape& s, const float* x, const float* dy, float* dw) {
  constexpr int64_t kBlockBytes = int64_t{4} << 20;
  constexpr int64_t kLength = 128;  // pixels at once: their values stay in the caches for all tiles of sums
  const int64_t pixels = s.batch * s.out_height * s.out_width, depth = s.kernel * s.kernel * s.in_channels;
  const int64_t depth_panels = panels(depth), padded = depth_panels * kPanel;
  const bool whole = s.kernel == 1 && s.stride == 1 && depth % kPanel == 0;  // the patches are the map itself
  const int64_t block = whole ? pixels : std::clamp<int64_t>(kBlockBytes / (depth * 4), 1, pixels);
  const int64_t row_chunks = (s.out_channels + kChunk - 1) / kChunk;
  float* patches = whole ? nullptr : kernel_scratch().get<float>(block * depth + kPanel);
  float* sums = second_kernel_scratch().get<float>(s.out_channels * padded);
  for (int64_t first = 0; first < pixels; first += block) {
    const int64_t count = std::min(block, pixels - first);
    if (!whole)
      parallel_for(count, 8, [&](int64_t begin, int64_t end) {
        copy_patches(s, x, first + begin, end - begin, patches + begin * depth);
      });
    parallel_for(depth_panels * row_chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = 0; p < count; p += kLength)
        for (int64_t task = begin; task < end; ++task) {
          const int64_t panel = task / row_chunks, o = task % row_chunks * kChunk;
          multiply_transposed_panel(dy + (first + p) * s.out_channels + o, s.out_channels,
                                    std::min(kChunk, s.out_channels - o), std::min(kLength, count - p),
                                    (whole ? x : patches) + p * depth + panel * kPanel, depth,
                                    sums + o * padded + panel * kPanel, padded, first + p > 0);
        }
    });
  }
  const int64_t taps = s.kernel * s.kernel;
  parallel_for(s.out_channels, 16, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
      for (int64_t c = 0; c < s.in_channels; ++c)
        for (int64_t t = 0; t < taps; ++t)
          dw[(o * s.in_channels + c) * taps + t] = sums[o * padded + t * s.in_channels + c];
  });
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unnoise::kernels {
namespace {

HWY_EXPORT(gather);
HWY_EXPORT(weight_gradient);

/// Panels of the taps' weights: row (t, i) of column o is data[o * out + i * in + weight_tap[t]].
void pack_taps(const Gather& g, int64_t ins, int64_t outs, const float* data, int64_t out, int64_t in, float* packed) {
  parallel_for(panels(outs), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      float* to = packed + p * g.taps * ins * kPanel;
      const int64_t count = std::min(kPanel, outs - p * kPanel);
      for (int64_t t = 0; t < g.taps; ++t)
        for (int64_t i = 0; i < ins; ++i, to += kPanel) {
          const float* from = data + p * kPanel * out + i * in + g.weight_tap[static_cast<std::size_t>(t)];
          for (int64_t o = 0; o < count; ++o) to[o] = from[o * out];
          std::fill(to + count, to + kPanel, 0.0F);
        }
    }
  });
}

float* tap_scratch(int64_t taps, int64_t ins, int64_t outs) {
  return kernel_scratch().get<float>(packed_size(taps * ins, outs));
}

Gather forward_gather(const ConvShape& s) {
  Gather g{.rows = s.out_height, .columns = s.out_width, .step_out = 1, .step_in = s.stride};
  for (int64_t r = 0; r < s.kernel; ++r)
    for (int64_t q = 0; q < s.kernel; ++q) {
      const auto t = static_cast<std::size_t>(g.taps++);
      g.tap_y[t] = r - s.padding;
      g.tap_x[t] = q - s.padding;
      g.weight_tap[t] = r * s.kernel + q;
    }
  return g;
}

}  // namespace

int64_t conv_direct_packed_size(const ConvShape& s) {
  return packed_size(s.kernel * s.kernel * s.in_channels, s.out_channels);
}

void pack_conv_direct(const ConvShape& s, const float* w, float* packed) {
  const int64_t taps = s.kernel * s.kernel;
  pack_taps(forward_gather(s), s.in_channels, s.out_channels, w, s.in_channels * taps, taps, packed);
}

void conv_direct_packed(const ConvShape& s, const float* x, const float* packed, const float* bias, float* y) {
  HWY_DYNAMIC_DISPATCH(gather)
  (forward_gather(s), s.batch, {s.height, s.width, s.in_channels}, x, packed, bias,
   {s.out_height, s.out_width, s.out_channels}, y);
}

void conv_direct(const ConvShape& s, const float* x, const float* w, const float* bias, float* y) {
  float* packed = tap_scratch(s.kernel * s.kernel, s.in_channels, s.out_channels);
  pack_conv_direct(s, w, packed);
  conv_direct_packed(s, x, packed, bias, y);
}

void conv_direct_input_gradient(const ConvShape& s, const float* dy, const float* w, float* dx) {
  const int64_t taps = s.kernel * s.kernel;
  // Pixel y of the input met tap r where y + padding - r is a multiple of the step: pixels fall into step x step
  // classes, each with taps of its own.
  for (int64_t class_y = 0; class_y < std::min(s.stride, s.height); ++class_y)
    for (int64_t class_x = 0; class_x < std::min(s.stride, s.width); ++class_x) {
      Gather g{.rows = (s.height - class_y + s.stride - 1) / s.stride,
               .columns = (s.width - class_x + s.stride - 1) / s.stride,
               .first_y = class_y,
               .first_x = class_x,
               .step_out = s.stride,
               .step_in = 1};
      for (int64_t r = 0; r < s.kernel; ++r)
        for (int64_t q = 0; q < s.kernel; ++q) {
          const int64_t y = class_y + s.padding - r, x = class_x + s.padding - q;
          if (y % s.stride != 0 || x % s.stride != 0) continue;
          const auto t = static_cast<std::size_t>(g.taps++);
          g.tap_y[t] = y / s.stride;
          g.tap_x[t] = x / s.stride;
          g.weight_tap[t] = r * s.kernel + q;
        }
      float* packed = tap_scratch(g.taps, s.out_channels, s.in_channels);
      pack_taps(g, s.out_channels, s.in_channels, w, taps, s.in_channels * taps, packed);
      HWY_DYNAMIC_DISPATCH(gather)
      (g, s.batch, {s.out_height, s.out_width, s.out_channels}, dy, packed, nullptr, {s.height, s.width, s.in_channels},
       dx);
    }
}

void conv_direct_weight_gradient(const ConvShape& s, const float* x, const float* dy, float* dw) {
  HWY_DYNAMIC_DISPATCH(weight_gradient)(s, x, dy, dw);
}

template <class T>
void pixel_sums(int64_t batch, int64_t pixels, int64_t channels, const T* dy, float* sums) {
  parallel_for(batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      float* sum = sums + b * channels;
      std::fill(sum, sum + channels, 0.0F);
      const T* from = dy + b * pixels * channels;
      for (int64_t p = 0; p < pixels; ++p, from += channels)
        for (int64_t c = 0; c < channels; ++c) sum[c] += to_float(from[c]);
    }
  });
}
template void pixel_sums(int64_t, int64_t, int64_t, const float*, float*);
template void pixel_sums(int64_t, int64_t, int64_t, const bf16*, float*);

}  // namespace unnoise::kernels
#endif  // HWY_ONCE
