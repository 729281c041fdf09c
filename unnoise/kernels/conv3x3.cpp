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

/// Weights as the sum sees them: tap (r, s) from input i to output o is data[o * out + i * in + (r, s)]; packed ones
/// are data[panel][i][tap][o].
struct ConvWeights {
  const float* data;
  int64_t out, in;
  bool turned;  // by 180 degrees
  bool packed;
};

/// Transformed inputs of a block of tiles, which all threads then read: measured best among 1, 2, 4 and 8 MiB.
inline constexpr int64_t kBlockBytes = int64_t{2} << 20;

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

/// G g G' of one panel of outputs and some inputs: u [frequency][inputs][kPanel]. Columns beyond `outs` keep what they
/// hold.
template <class F>
void transform_weights(const ConvWeights& w, int64_t in_channels, int64_t panel, int64_t outs, int64_t first_in,
                       int64_t ins, float* u) {
  constexpr int kIn = F::kIn;
  for (int64_t j = 0; j < outs; j += kLanes) {
    const float* from = w.packed ? w.data + (panel * in_channels + first_in) * 9 * kPanel + j
                                 : w.data + (panel * kPanel + j) * w.out + first_in * w.in;
    for (int64_t c = 0; c < ins; ++c, from += w.packed ? 9 * kPanel : w.in) {
      Vec taps[9];
      if (w.packed) {
        for (int t = 0; t < 9; ++t) taps[t] = hn::Load(kFloats, from + t * kPanel);
      } else {
        load_taps(from, w.out, taps);
        if (w.turned)
          for (int t = 0; t < 4; ++t) std::swap(taps[t], taps[8 - t]);
      }
      Vec half[kIn][3];
      for (int s = 0; s < 3; ++s) {
        const Vec g[3] = {taps[s], taps[3 + s], taps[6 + s]};
        Vec t[kIn];
        F::weights(g, t);
        for (int r = 0; r < kIn; ++r) half[r][s] = t[r];
      }
      for (int r = 0; r < kIn; ++r) {
        Vec t[kIn];
        F::weights(half[r], t);
        for (int s = 0; s < kIn; ++s) hn::Store(t[s], kFloats, u + ((r * kIn + s) * ins + c) * kPanel + j);
      }
    }
  }
}

/// Panels of taps, [panel][in][tap][kPanel], so that sampling does not gather them at every step.
void pack_weights(const Conv3x3Shape& shape, const ConvWeights& w, float* packed) {
  const int64_t in = shape.in_channels;
  parallel_for(panels(shape.out_channels), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t j = 0; j < std::min(kPanel, shape.out_channels - p * kPanel); j += kLanes)
        for (int64_t c = 0; c < in; ++c) {
          Vec taps[9];
          load_taps(w.data + (p * kPanel + j) * w.out + c * w.in, w.out, taps);
          for (int t = 0; t < 9; ++t) hn::Store(taps[t], kFloats, packed + ((p * in + c) * 9 + t) * kPanel + j);
        }
  });
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

/// The transformed inputs of a block of tiles times panels of weights.
template <class F>
class PanelProducts {
 public:
  PanelProducts(const Conv3x3Shape& shape, const Tiles<F>& tiles, const ConvWeights& w, const ConvAddends& addends,
                float* y)
      : shape_(shape), tiles_(tiles), w_(w), addends_(addends), y_(y) {}

  int64_t panel_size() const { return kFrequencies<F> * shape_.in_channels * kPanel; }
  int64_t outs(int64_t panel) const { return std::min(kPanel, shape_.out_channels - panel * kPanel); }

  /// All panels' weights, for several blocks.
  void transform_all(float* u) const {
    parallel_for(panels(shape_.out_channels), 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p)
        transform_weights<F>(w_, shape_.in_channels, p, outs(p), 0, shape_.in_channels, u + p * panel_size());
    });
  }

  /// Tiles [first, first + count), whose inputs are v, with ready weights: a chunk at a time.
  void multiply(const Spectrum& v, int64_t first, int64_t count, const float* all_weights) const {
    const int64_t chunks = (count + kChunk - 1) / kChunk;
    parallel_for(panels(shape_.out_channels) * chunks, 1, [&](int64_t begin, int64_t end) {
      thread_local Scratch scratch;
      const Spectrum m = products(scratch, kChunk);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t p = task / chunks, chunk = task % chunks;
        const int64_t from = chunk * count / chunks, to = (chunk + 1) * count / chunks;
        add_products(v, from, to, 0, shape_.in_channels, all_weights + p * panel_size(), m);
        put_back(first, from, to, p, m);
      }
    });
  }

  /// The same for a single block of few tiles, which transforms weights as it goes: of so few inputs at a time that
  /// they stay in the second cache.
  void transform_and_multiply(const Spectrum& v, int64_t count) const {
    const int64_t in = shape_.in_channels;
    parallel_for(panels(shape_.out_channels), 1, [&](int64_t begin, int64_t end) {
      thread_local Scratch weight_scratch, product_scratch;
      float* u = weight_scratch.get<float>(kFrequencies<F> * std::min(in, kDepth) * kPanel);
      const Spectrum m = products(product_scratch, count);
      for (int64_t p = begin; p < end; ++p) {
        for (int64_t c = 0; c < in; c += kDepth) {
          const int64_t depth = std::min(kDepth, in - c);
          transform_weights<F>(w_, in, p, outs(p), c, depth, u);
          for (int64_t from = 0; from < count; from += kChunk)
            add_products(v, from, std::min(from + kChunk, count), c, depth, u,
                         {m.at(0, from), kPanel, m.frequency_stride});
        }
        put_back(0, 0, count, p, m);
      }
    });
  }

 private:
  static constexpr int64_t kDepth = 64;

  static Spectrum products(Scratch& scratch, int64_t tiles) {
    const int64_t stride = Spectrum::stride(tiles, kPanel);
    return {scratch.get<float>(kFrequencies<F> * stride), kPanel, stride};
  }

  /// m (+)= v u of the tiles [from,to), at most kChunk, and `depth` inputs from first_in, which m then starts with.
  void add_products(const Spectrum& v, int64_t from, int64_t to, int64_t first_in, int64_t depth, const float* u,
                    const Spectrum& m) const {
    for (int64_t f = 0; f < kFrequencies<F>; ++f) {
      const float* rows[kChunk];
      for (int64_t t = from; t < to; ++t) rows[t - from] = v.at(f, t) + first_in;
      multiply_panel({rows, to - from, 1, depth}, u + f * depth * kPanel, m.at(f, 0), kPanel, first_in > 0);
    }
  }

  void put_back(int64_t first, int64_t from, int64_t to, int64_t p, const Spectrum& m) const {
    for (int64_t t = from; t < to; ++t)
      write_outputs(tiles_, first + t, m.at(0, t - from), m.frequency_stride, p * kPanel, outs(p), shape_.out_channels,
                    addends_, y_);
  }

  const Conv3x3Shape& shape_;
  const Tiles<F>& tiles_;
  const ConvWeights& w_;
  const ConvAddends& addends_;
  float* y_;
};

/// Up to this many tiles their products with a panel fit the second cache beside its weights.
inline constexpr int64_t kFewTiles = 96;

template <class F>
void convolve(const Conv3x3Shape& shape, const float* x, const ConvWeights& w, const ConvAddends& addends, float* y) {
  const Tiles<F> tiles{shape.batch, shape.height, shape.width};
  const PanelProducts<F> products(shape, tiles, w, addends, y);
  const int64_t in = shape.in_channels, tile_bytes = kFrequencies<F> * in * 4;
  const bool few = tiles.count <= kFewTiles;
  const int64_t blocks = few ? 1 : (tiles.count * tile_bytes + kBlockBytes - 1) / kBlockBytes;
  const int64_t block = (tiles.count + blocks - 1) / blocks;

  thread_local Scratch spectrum_scratch, weight_scratch;
  const int64_t stride = Spectrum::stride(block, in);
  const Spectrum v{spectrum_scratch.get<float>(kFrequencies<F> * stride), in, stride};
  float* all_weights = nullptr;
  if (!few) {
    all_weights = weight_scratch.get<float>(panels(shape.out_channels) * products.panel_size());
    products.transform_all(all_weights);
  }
  for (int64_t first = 0; first < tiles.count; first += block) {
    const int64_t count = std::min(block, tiles.count - first);
    parallel_for(count, 1,
                 [&](int64_t begin, int64_t end) { transform_inputs(tiles, x, first, first + begin, first + end, v); });
    few ? products.transform_and_multiply(v, count) : products.multiply(v, first, count, all_weights);
  }
}

/// G' du G of one panel and input channel, to dw [K,C,3,3].
template <class F>
void write_weight_gradients(const float* du, int64_t in_channels, int64_t c, int64_t first_out, int64_t outs,
                            float* dw) {
  constexpr int kIn = F::kIn;
  for (int64_t j = 0; j < outs; j += kLanes) {
    Vec half[3][kIn], taps[9];
    for (int s = 0; s < kIn; ++s) {
      Vec u[kIn], g[3];
      for (int r = 0; r < kIn; ++r) u[r] = hn::Load(kFloats, du + ((r * kIn + s) * in_channels + c) * kPanel + j);
      F::weights_gradient(u, g);
      for (int r = 0; r < 3; ++r) half[r][s] = g[r];
    }
    for (int r = 0; r < 3; ++r) {
      Vec g[3];
      F::weights_gradient(half[r], g);
      for (int s = 0; s < 3; ++s) taps[r * 3 + s] = g[s];
    }
    store_taps(taps, dw + ((first_out + j) * in_channels + c) * 9, in_channels * 9);
  }
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

HWY_EXPORT(pack_weights);
HWY_EXPORT(convolve_any);
HWY_EXPORT(weight_gradient_any);

bool takes_conv3x3(const Conv3x3Shape& s) {
  return s.in_channels % 16 == 0 && s.out_channels % 16 == 0 && s.height > 1 && s.width > 1;
}

void conv3x3(const Conv3x3Shape& s, const float* x, const float* w, const ConvAddends& addends, float* y) {
  HWY_DYNAMIC_DISPATCH(convolve_any)(s, x, {w, s.in_channels * 9, 9, false, false}, addends, y);
}

int64_t conv3x3_packed_size(const Conv3x3Shape& s) { return panels(s.out_channels) * kPanel * s.in_channels * 9; }

void pack_conv3x3(const Conv3x3Shape& s, const float* w, float* packed) {
  HWY_DYNAMIC_DISPATCH(pack_weights)(s, {w, s.in_channels * 9, 9, false, false}, packed);
}

void conv3x3_packed(const Conv3x3Shape& s, const float* x, const float* packed, const ConvAddends& addends, float* y) {
  HWY_DYNAMIC_DISPATCH(convolve_any)(s, x, {packed, 0, 0, false, true}, addends, y);
}

void conv3x3_input_gradient(const Conv3x3Shape& s, const float* dy, const float* w, float* dx) {
  const Conv3x3Shape turned{s.batch, s.height, s.width, s.out_channels, s.in_channels};
  HWY_DYNAMIC_DISPATCH(convolve_any)(turned, dy, {w, 9, s.in_channels * 9, true, false}, {}, dx);
}

void conv3x3_weight_gradient(const Conv3x3Shape& s, const float* x, const float* dy, float* dw) {
  HWY_DYNAMIC_DISPATCH(weight_gradient_any)(s, x, dy, dw);
}

}  // namespace unnoise::kernels
#endif  // HWY_ONCE
