#include "unnoise/kernels/conv3x3.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unnoise/kernels/conv3x3.cpp"
#include <hwy/foreach_target.h>  // must come before the inner loops

#include "unnoise/kernels/parallel.h"
#include "unnoise/kernels/scratch.h"
#include "unnoise/kernels/winograd-inl.h"

#ifndef UNNOISE_KERNELS_CONV3X3_SHARED
#define UNNOISE_KERNELS_CONV3X3_SHARED
namespace unnoise::kernels {

/// Weights as the sum sees them: tap (r, s) from input i to output o is data[o * out + i * in + (r, s)].
struct ConvWeights {
  const float* data;
  int64_t out, in;
  bool turned;  // by 180 degrees
};

/// Transformed inputs of a block of tiles: kBlockBytes of the third cache, which all threads then read.
inline constexpr int64_t kBlockBytes = int64_t{4} << 20;
/// Where transformed weights take more than that, inputs may too, up to this: the weights are then transformed once.
inline constexpr int64_t kLargestBlockBytes = int64_t{32} << 20;

}  // namespace unnoise::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

/// The tiles of a batch of maps, image by image, row by row.
template <class F>
struct Tiles {
  int64_t batch, height, width;
  int64_t rows = (height + F::kOut - 1) / F::kOut;
  int64_t columns = (width + F::kOut - 1) / F::kOut;
  int64_t count = batch * rows * columns;

  struct Place {
    int64_t image, y, x;  // of the first output pixel
  };
  Place place(int64_t tile) const {
    const int64_t in_image = tile % (rows * columns);
    return {tile / (rows * columns), in_image / columns * F::kOut, in_image % columns * F::kOut};
  }
};

template <class F>
inline constexpr int64_t kFrequencies = F::kIn* F::kIn;

/// Transformed values of `tiles` tiles: frequency, tile, channel. A frequency's part is a line longer than its values,
/// so that parts do not fall on the same cache sets.
struct Spectrum {
  float* data;
  int64_t channels;
  int64_t frequency_stride;

  static int64_t stride(int64_t tiles, int64_t channels) { return tiles * channels + 16; }
  float* at(int64_t frequency, int64_t tile) const { return data + frequency * frequency_stride + tile * channels; }
};

/// B' d B of the tiles [begin,end) of the map x into places [begin - first, ...) of `to`.
template <class F>
void transform_inputs(const Tiles<F>& tiles, const float* x, int64_t first, int64_t begin, int64_t end,
                      const Spectrum& to) {
  constexpr int kIn = F::kIn;
  const int64_t channels = to.channels;
  thread_local Scratch zero_pixel;
  float* zeros = zero_pixel.get<float>(channels);
  std::fill(zeros, zeros + channels, 0.0F);
  for (int64_t tile = begin; tile < end; ++tile) {
    const auto [image, y0, x0] = tiles.place(tile);
    const float* pixels[kIn][kIn];
    for (int r = 0; r < kIn; ++r)
      for (int s = 0; s < kIn; ++s) {
        const int64_t row = y0 + r - 1, column = x0 + s - 1;
        const bool inside = row >= 0 && row < tiles.height && column >= 0 && column < tiles.width;
        pixels[r][s] = inside ? x + ((image * tiles.height + row) * tiles.width + column) * channels : zeros;
      }
    float* out = to.at(0, tile - first);
    for (int64_t c = 0; c < channels; c += kLanes)
      transform_tile<kIn, kIn>(
          [](const auto& d, auto& t) { F::input(d, t); },
          [&](int r, int s) { return hn::LoadU(kFloats, pixels[r][s] + c); },
          [&](int r, int s, Vec v) { hn::StoreU(v, kFloats, out + (r * kIn + s) * to.frequency_stride + c); });
  }
}

/// A dy A' of the tiles' output gradients, likewise; pixels beyond the map count as zero.
template <class F>
void transform_output_gradients(const Tiles<F>& tiles, const float* dy, int64_t channels, int64_t first, int64_t begin,
                                int64_t end, const Spectrum& to) {
  constexpr int kIn = F::kIn, kOut = F::kOut;
  for (int64_t tile = begin; tile < end; ++tile) {
    const auto [image, y0, x0] = tiles.place(tile);
    const int64_t rows = std::min<int64_t>(kOut, tiles.height - y0),
                  columns = std::min<int64_t>(kOut, tiles.width - x0);
    const float* corner = dy + ((image * tiles.height + y0) * tiles.width + x0) * channels;
    float* out = to.at(0, tile - first);
    for (int64_t c = 0; c < channels; c += kLanes) {
      Vec half[kIn][kOut];
      for (int s = 0; s < kOut; ++s) {
        Vec from[kOut], z[kIn];
        for (int r = 0; r < kOut; ++r)
          from[r] = r < rows && s < columns ? hn::LoadU(kFloats, corner + (r * tiles.width + s) * channels + c)
                                            : hn::Zero(kFloats);
        F::output_gradient(from, z);
        for (int r = 0; r < kIn; ++r) half[r][s] = z[r];
      }
      for (int r = 0; r < kIn; ++r) {
        Vec z[kIn];
        F::output_gradient(half[r], z);
        for (int s = 0; s < kIn; ++s) hn::StoreU(z[s], kFloats, out + (r * kIn + s) * to.frequency_stride + c);
      }
    }
  }
}

/// G g G' of one panel of outputs: u [frequency][in_channels][kPanel], zero beyond the last output.
template <class F>
void transform_weights(const ConvWeights& w, int64_t in_channels, int64_t first_out, int64_t outs, float* u) {
  constexpr int kIn = F::kIn;
  alignas(64) float taps[9][kPanel] = {};
  for (int64_t c = 0; c < in_channels; ++c) {
    const float* from = w.data + first_out * w.out + c * w.in;
    for (int64_t o = 0; o < outs; ++o, from += w.out)
      for (int tap = 0; tap < 9; ++tap) taps[w.turned ? 8 - tap : tap][o] = from[tap];
    for (int64_t j = 0; j < kPanel; j += kLanes) {
      Vec half[kIn][3];
      for (int s = 0; s < 3; ++s) {
        const Vec g[3] = {hn::Load(kFloats, taps[s] + j), hn::Load(kFloats, taps[3 + s] + j),
                          hn::Load(kFloats, taps[6 + s] + j)};
        Vec t[kIn];
        F::weights(g, t);
        for (int r = 0; r < kIn; ++r) half[r][s] = t[r];
      }
      for (int r = 0; r < kIn; ++r) {
        Vec t[kIn];
        F::weights(half[r], t);
        for (int s = 0; s < kIn; ++s) hn::Store(t[s], kFloats, u + ((r * kIn + s) * in_channels + c) * kPanel + j);
      }
    }
  }
}

/// A' m A of one tile and panel, plus the addends, to the pixels that lie inside the map.
template <class F>
HWY_INLINE void write_outputs(const Tiles<F>& tiles, int64_t tile, const float* m, int64_t m_stride, int64_t channel,
                              int64_t outs, int64_t out_channels, const ConvAddends& addends, float* y) {
  constexpr int kIn = F::kIn, kOut = F::kOut;
  const auto [image, y0, x0] = tiles.place(tile);
  const int64_t rows = std::min<int64_t>(kOut, tiles.height - y0), columns = std::min<int64_t>(kOut, tiles.width - x0);
  const int64_t corner = ((image * tiles.height + y0) * tiles.width + x0) * out_channels + channel;
  for (int64_t j = 0; j < outs; j += kLanes) {
    Vec base = addends.bias ? hn::LoadU(kFloats, addends.bias + channel + j) : hn::Zero(kFloats);
    if (addends.image_bias)
      base = hn::Add(base, hn::LoadU(kFloats, addends.image_bias + image * out_channels + channel + j));
    Vec half[kOut][kIn];
    for (int s = 0; s < kIn; ++s) {
      Vec from[kIn], t[kOut];
      for (int r = 0; r < kIn; ++r) from[r] = hn::LoadU(kFloats, m + (r * kIn + s) * m_stride + j);
      F::output(from, t);
      for (int r = 0; r < kOut; ++r) half[r][s] = t[r];
    }
    for (int r = 0; r < kOut; ++r) {
      Vec t[kOut];
      F::output(half[r], t);
      for (int s = 0; s < kOut; ++s) {
        if (r >= rows || s >= columns) continue;
        const int64_t at = corner + (r * tiles.width + s) * out_channels + j;
        Vec value = hn::Add(t[s], base);
        if (addends.residual) value = hn::Add(value, hn::LoadU(kFloats, addends.residual + at));
        hn::StoreU(value, kFloats, y + at);
      }
    }
  }
}

/// Tiles whose products with one panel are made together, frequency after frequency, and then put back.
inline constexpr int64_t kChunk = 2 * kTileRows;

template <class F>
void convolve(const Conv3x3Shape& shape, const float* x, const ConvWeights& w, const ConvAddends& addends, float* y) {
  const Tiles<F> tiles{shape.batch, shape.height, shape.width};
  const int64_t in = shape.in_channels, out = shape.out_channels, out_panels = panels(out);
  const int64_t panel_size = kFrequencies<F> * in * kPanel;
  const int64_t weight_bytes = out_panels * panel_size * 4, tile_bytes = kFrequencies<F> * in * 4;
  const int64_t block_bytes = std::max(kBlockBytes, std::min(weight_bytes, kLargestBlockBytes));
  const int64_t blocks = std::max<int64_t>(1, (tiles.count * tile_bytes + block_bytes - 1) / block_bytes);
  const int64_t block = (tiles.count + blocks - 1) / blocks;

  thread_local Scratch spectrum_scratch, weight_scratch;
  const int64_t stride = Spectrum::stride(block, in);
  const Spectrum v{spectrum_scratch.get<float>(kFrequencies<F> * stride), in, stride};
  float* all_weights = nullptr;
  if (blocks > 1) {  // each panel is met again: transform all of them once
    all_weights = weight_scratch.get<float>(out_panels * panel_size);
    parallel_for(out_panels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p)
        transform_weights<F>(w, in, p * kPanel, std::min(kPanel, out - p * kPanel), all_weights + p * panel_size);
    });
  }

  for (int64_t first = 0; first < tiles.count; first += block) {
    const int64_t count = std::min(block, tiles.count - first);
    parallel_for(count, 1,
                 [&](int64_t begin, int64_t end) { transform_inputs(tiles, x, first, first + begin, first + end, v); });
    const int64_t chunks = (count + kChunk - 1) / kChunk;
    parallel_for(out_panels * chunks, 1, [&](int64_t begin, int64_t end) {
      thread_local Scratch panel_scratch, product_scratch;
      float* m = product_scratch.get<float>(kFrequencies<F> * (kChunk * kPanel + 16));
      constexpr int64_t kStride = kChunk * kPanel + 16;
      const float* u = nullptr;
      for (int64_t task = begin; task < end; ++task) {
        const int64_t p = task / chunks, outs = std::min(kPanel, out - p * kPanel);
        if (all_weights) {
          u = all_weights + p * panel_size;
        } else if (task == begin || task % chunks == 0) {
          float* own = panel_scratch.get<float>(panel_size);
          transform_weights<F>(w, in, p * kPanel, outs, own);
          u = own;
        }
        const int64_t chunk = task % chunks, from = chunk * count / chunks, to = (chunk + 1) * count / chunks;
        for (int64_t f = 0; f < kFrequencies<F>; ++f) {
          const float* rows[kChunk];
          for (int64_t t = from; t < to; ++t) rows[t - from] = v.at(f, t);
          multiply_panel({rows, to - from, 1, in}, u + f * in * kPanel, m + f * kStride, kPanel, false);
        }
        for (int64_t t = from; t < to; ++t)
          write_outputs(tiles, first + t, m + (t - from) * kPanel, kStride, p * kPanel, outs, out, addends, y);
      }
    });
  }
}

/// G' du G of one panel and input channel, to dw [K,C,3,3].
template <class F>
void write_weight_gradients(const float* du, int64_t in_channels, int64_t c, int64_t first_out, int64_t outs,
                            float* dw) {
  constexpr int kIn = F::kIn;
  alignas(64) float taps[9][kPanel];
  for (int64_t j = 0; j < kPanel; j += kLanes) {
    Vec half[3][kIn];
    for (int s = 0; s < kIn; ++s) {
      Vec u[kIn], g[3];
      for (int r = 0; r < kIn; ++r) u[r] = hn::Load(kFloats, du + ((r * kIn + s) * in_channels + c) * kPanel + j);
      F::weights_gradient(u, g);
      for (int r = 0; r < 3; ++r) half[r][s] = g[r];
    }
    for (int r = 0; r < 3; ++r) {
      Vec g[3];
      F::weights_gradient(half[r], g);
      for (int s = 0; s < 3; ++s) hn::Store(g[s], kFloats, taps[r * 3 + s] + j);
    }
  }
  for (int64_t o = 0; o < outs; ++o)
    for (int tap = 0; tap < 9; ++tap) dw[((first_out + o) * in_channels + c) * 9 + tap] = taps[tap][o];
}

template <class F>
void weight_gradient(const Conv3x3Shape& shape, const float* x, const float* dy, float* dw) {
  const Tiles<F> tiles{shape.batch, shape.height, shape.width};
  const int64_t in = shape.in_channels, out = shape.out_channels, out_panels = panels(out);
  const int64_t padded = out_panels * kPanel;  // a panel of dy's spectrum may run past its channels
  const int64_t panel_size = kFrequencies<F> * in * kPanel;
  const int64_t tile_bytes = kFrequencies<F> * (in + padded) * 4;
  const int64_t blocks = std::max<int64_t>(1, (tiles.count * tile_bytes + 2 * kBlockBytes - 1) / (2 * kBlockBytes));
  const int64_t block = (tiles.count + blocks - 1) / blocks;

  thread_local Scratch v_scratch, z_scratch, du_scratch;
  const int64_t v_stride = Spectrum::stride(block, in), z_stride = Spectrum::stride(block, padded);
  const Spectrum v{v_scratch.get<float>(kFrequencies<F> * v_stride), in, v_stride};
  const Spectrum z{z_scratch.get<float>(kFrequencies<F> * z_stride), padded, z_stride};
  float* du = du_scratch.get<float>(out_panels * panel_size);

  for (int64_t first = 0; first < tiles.count; first += block) {
    const int64_t count = std::min(block, tiles.count - first);
    parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      transform_inputs(tiles, x, first, first + begin, first + end, v);
      transform_output_gradients(tiles, dy, out, first, first + begin, first + end, z);
    });
    parallel_for(out_panels * kFrequencies<F>, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t p = task / kFrequencies<F>, f = task % kFrequencies<F>;
        multiply_transposed_panel(v.at(f, 0), in, in, count, z.at(f, 0) + p * kPanel, padded,
                                  du + p * panel_size + f * in * kPanel, kPanel, first > 0);
      }
    });
  }
  parallel_for(out_panels * in, 16, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t p = task / in;
      write_weight_gradients<F>(du + p * panel_size, in, task % in, p * kPanel, std::min(kPanel, out - p * kPanel), dw);
    }
  });
}

/// F(4,3) but for maps where most of its tile would lie outside.
bool prefers_small_tiles(const Conv3x3Shape& shape) { return shape.height <= 2 || shape.width <= 2; }

void convolve_any(const Conv3x3Shape& shape, const float* x, const ConvWeights& w, const ConvAddends& addends,
                  float* y) {
  prefers_small_tiles(shape) ? convolve<F23>(shape, x, w, addends, y) : convolve<F43>(shape, x, w, addends, y);
}

void weight_gradient_any(const Conv3x3Shape& shape, const float* x, const float* dy, float* dw) {
  prefers_small_tiles(shape) ? weight_gradient<F23>(shape, x, dy, dw) : weight_gradient<F43>(shape, x, dy, dw);
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unnoise::kernels {

HWY_EXPORT(convolve_any);
HWY_EXPORT(weight_gradient_any);

bool takes_conv3x3(const Conv3x3Shape& s) {
  return s.in_channels % 16 == 0 && s.out_channels % 16 == 0 && s.height > 1 && s.width > 1;
}

void conv3x3(const Conv3x3Shape& s, const float* x, const float* w, const ConvAddends& addends, float* y) {
  HWY_DYNAMIC_DISPATCH(convolve_any)(s, x, {w, s.in_channels * 9, 9, false}, addends, y);
}

void conv3x3_input_gradient(const Conv3x3Shape& s, const float* dy, const float* w, float* dx) {
  const Conv3x3Shape turned{s.batch, s.height, s.width, s.out_channels, s.in_channels};
  HWY_DYNAMIC_DISPATCH(convolve_any)(turned, dy, {w, 9, s.in_channels * 9, true}, {}, dx);
}

void conv3x3_weight_gradient(const Conv3x3Shape& s, const float* x, const float* dy, float* dw) {
  HWY_DYNAMIC_DISPATCH(weight_gradient_any)(s, x, dy, dw);
}

}  // namespace unnoise::kernels
#endif  // HWY_ONCE
