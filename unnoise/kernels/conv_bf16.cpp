#include "unnoise/kernels/conv_bf16.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unnoise/kernels/conv_bf16.cpp"
#include <hwy/foreach_target.h>  // must come before the inner loops

#include "unnoise/kernels/conv_amx.h"
#include "unnoise/kernels/conv_weights.h"
#include "unnoise/kernels/gemm.h"
#include "unnoise/kernels/gemm_bf16.h"
#include "unnoise/kernels/pairs-inl.h"
#include "unnoise/kernels/parallel.h"
#include "unnoise/kernels/scratch.h"
#include "unnoise/kernels/vector_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

/// Pixels [first, first + count) of one panel of outputs.
void put_back(const ConvShape& s, int64_t panel, int64_t first, int64_t count, const float* sums,
              const ConvAddends<bf16>& addends, bf16* y) {
  const int64_t out = s.out_channels, channel = panel * kPanel, image_pixels = s.out_height * s.out_width;
  for (int64_t p = 0; p < count; ++p) {
    const int64_t at = (first + p) * out + channel, image = (first + p) / image_pixels;
    for_vectors(std::min(kPanel, out - channel), [&](auto d, int64_t j) {
      auto v = hn::LoadU(d, sums + p * kPanel + j);
      if (addends.bias) v = hn::Add(v, hn::LoadU(d, addends.bias + channel + j));
      if (addends.image_bias) v = hn::Add(v, hn::LoadU(d, addends.image_bias + image * out + channel + j));
      if (addends.residual) v = hn::Add(v, load_floats(d, addends.residual + at + j));
      store_floats(d, v, y + at + j);
    });
  }
}

/// Rows 2 i and 2 i + 1 of `from` as pairs, [columns][2]; a missing last row counts as zeros.
void pair_rows(const bf16* from, int64_t rows, int64_t columns, int64_t begin, int64_t end, bf16* to) {
  for (int64_t pair = begin; pair < end; ++pair) {
    const bf16* const even = from + 2 * pair * columns;
    pair_two_rows(even, 2 * pair + 1 < rows ? even + columns : nullptr, columns, to + 2 * pair * columns);
  }
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unnoise::kernels {

HWY_EXPORT(put_back);
HWY_EXPORT(pair_rows);

namespace {

constexpr int64_t kChunk = 56;  // pixels, whose rows and sums stay in the first two caches

int64_t taps(const ConvShape& s) { return s.kernel * s.kernel; }

bool is_product(const ConvShape& s) { return s.kernel == 1 && s.stride == 1 && s.padding == 0; }

amx::Shape amx_shape(const ConvShape& s) {
  return {s.batch, s.height, s.width, s.in_channels, s.out_channels, s.kernel};
}
bool takes_amx(const ConvShape& s) { return is_product(s) && amx::takes(amx_shape(s)); }

void pack(const ConvShape& s, const ConvWeights& w, bf16* packed) {
  const int64_t in = s.in_channels;
  parallel_for(panels(s.out_channels) * taps(s), 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task / taps(s) * kPanel, outs = std::min(kPanel, s.out_channels - first);
      const float* const from = w.data + first * w.out + task % taps(s);
      bf16* const to = packed + task * in * kPanel;
      if (outs < kPanel) std::fill_n(to, in * kPanel, bf16{});
      for (int64_t c = 0; c < in; c += 2)
        for (int64_t j = 0; j < outs; ++j) {
          const float* const pair = from + j * w.out + c * w.in;
          to[c * kPanel + 2 * j] = to_bf16(pair[0]);
          to[c * kPanel + 2 * j + 1] = to_bf16(pair[w.in]);
        }
    }
  });
}

/// Where the taps of the pixels [first, first + count) lie in x: [tap][count].
void find_rows(const ConvShape& s, const bf16* x, int64_t first, int64_t count, const bf16* zeros, const bf16** rows) {
  for (int64_t p = 0; p < count; ++p) {
    const int64_t image = (first + p) / (s.out_height * s.out_width),
                  place = (first + p) % (s.out_height * s.out_width);
    const int64_t y0 = place / s.out_width * s.stride - s.padding, x0 = place % s.out_width * s.stride - s.padding;
    for (int64_t tap = 0; tap < taps(s); ++tap) {
      const int64_t row = y0 + tap / s.kernel, column = x0 + tap % s.kernel;
      const bool inside = row >= 0 && row < s.height && column >= 0 && column < s.width;
      rows[tap * count + p] = inside ? x + ((image * s.height + row) * s.width + column) * s.in_channels : zeros;
    }
  }
}

void convolve_pairs(const ConvShape& s, const bf16* x, const bf16* packed, const ConvAddends<bf16>& addends, bf16* y) {
  const int64_t pixels = s.batch * s.out_height * s.out_width;
  const int64_t chunks = (pixels + kChunk - 1) / kChunk, out_panels = panels(s.out_channels);
  const int64_t tap_size = s.in_channels * kPanel;
  parallel_for(chunks * out_panels, 1, [&](int64_t begin, int64_t end) {
    thread_local Scratch zero_pixel;
    bf16* const zeros = zero_pixel.get<bf16>(s.in_channels);
    std::fill_n(zeros, s.in_channels, bf16{});
    const bf16* rows[9 * kChunk];
    alignas(64) float sums[kChunk * kPanel];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t chunk = task / out_panels, panel = task % out_panels;
      const int64_t first = chunk * pixels / chunks, count = (chunk + 1) * pixels / chunks - first;
      if (task == begin || panel == 0) find_rows(s, x, first, count, zeros, rows);
      for (int64_t tap = 0; tap < taps(s); ++tap)
        multiply_panel_bf16(rows + tap * count, count, s.in_channels, packed + (panel * taps(s) + tap) * tap_size, sums,
                            kPanel, tap > 0);
      HWY_DYNAMIC_DISPATCH(put_back)(s, panel, first, count, sums, addends, y);
    }
  });
}

void convolve(const ConvShape& s, const bf16* x, const ConvWeights& w, const ConvAddends<bf16>& addends, bf16* y) {
  if (takes_amx(s)) return amx::convolve(amx_shape(s), x, w, addends, y);
  const bf16* packed = w.packed;
  if (!packed) {
    bf16* const to = kernel_scratch().get<bf16>(conv_bf16_packed_size(s));
    pack(s, w, to);
    packed = to;
  }
  convolve_pairs(s, x, packed, addends, y);
}

}  // namespace

bool takes_conv_bf16(const ConvShape& s) {
  return (takes_amx(s) || has_bf16_products()) && s.kernel <= 3 && s.in_channels % 16 == 0 && s.out_channels % 16 == 0;
}

bool takes_conv_bf16_gradients(const ConvShape& s) { return takes_conv_bf16(s) && is_product(s); }

int64_t conv_bf16_packed_size(const ConvShape& s) {
  return takes_amx(s) ? amx::packed_size(amx_shape(s)) : panels(s.out_channels) * taps(s) * s.in_channels * kPanel;
}

void pack_conv_bf16(const ConvShape& s, const float* w, bf16* packed) {
  const ConvWeights weights{w, s.in_channels * taps(s), taps(s)};
  takes_amx(s) ? amx::pack(amx_shape(s), weights, packed) : pack(s, weights, packed);
}

void conv_bf16(const ConvShape& s, const bf16* x, const float* w, const bf16* packed, const ConvAddends<bf16>& addends,
               bf16* y) {
  convolve(s, x, {.data = w, .out = s.in_channels * taps(s), .in = taps(s), .packed = packed}, addends, y);
}

void conv_bf16_input_gradient(const ConvShape& s, const bf16* dy, const float* w, bf16* dx) {
  ConvShape turned = s;
  std::swap(turned.in_channels, turned.out_channels);
  convolve(turned, dy, {w, 1, s.in_channels}, {}, dx);
}

void conv_bf16_weight_gradient(const ConvShape& s, const bf16* x, const bf16* dy, float* dw) {
  if (takes_amx(s)) return amx::weight_gradient(amx_shape(s), x, dy, dw);
  constexpr int64_t kBlock = 512, kLength = 256;  // pixels whose pairs stay in the second cache, and in the first
  const int64_t pixels = s.batch * s.height * s.width, in = s.in_channels, out = s.out_channels;
  if (pixels == 0) {
    std::fill_n(dw, out * in, 0.0F);
    return;
  }
  bf16* const x_pairs = second_kernel_scratch().get<bf16>(kBlock * (in + out));  // x's last panel reads on into dy's
  bf16* const dy_pairs = x_pairs + kBlock * in;
  float* const edge = kernel_scratch().get<float>(out * kPanel);  // the sums of a panel that is wider than what is left
  for (int64_t first = 0; first < pixels; first += kBlock) {
    const int64_t count = std::min(kBlock, pixels - first);
    parallel_for((count + 1) / 2, 16, [&](int64_t begin, int64_t end) {
      HWY_DYNAMIC_DISPATCH(pair_rows)(x + first * in, count, in, begin, end, x_pairs);
      HWY_DYNAMIC_DISPATCH(pair_rows)(dy + first * out, count, out, begin, end, dy_pairs);
    });
    parallel_for(panels(in), 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) {
        const bool whole = (panel + 1) * kPanel <= in;
        for (int64_t p = 0; p < count; p += kLength)
          multiply_transposed_panel_bf16(dy_pairs + p * out, out, out, std::min(kLength, count - p),
                                         x_pairs + p * in + 2 * panel * kPanel, in, whole ? dw + panel * kPanel : edge,
                                         whole ? in : kPanel, first + p > 0);
      }
    });
  }
  const int64_t whole_columns = in / kPanel * kPanel;
  for (int64_t o = 0; o < out; ++o) std::copy_n(edge + o * kPanel, in - whole_columns, dw + o * in + whole_columns);
}

}  // namespace unnoise::kernels
#endif  // HWY_ONCE
