#include "unnoise/kernels/conv3x3.h"

#include <unistd.h>

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unnoise/kernels/conv3x3.cpp"
#include <hwy/foreach_target.h>  // must come before the inner loops

#include "unnoise/kernels/conv_amx.h"
#include "unnoise/kernels/gemm_bf16.h"
#include "unnoise/kernels/parallel.h"
#include "unnoise/kernels/scratch.h"
#include "unnoise/kernels/winograd_few-inl.h"
#include "unnoise/kernels/winograd_tiles-inl.h"

#ifndef UNNOISE_KERNELS_CONV3X3_SHARED
#define UNNOISE_KERNELS_CONV3X3_SHARED
namespace unnoise::kernels {

/// Transformed inputs of a block of tiles, which all threads then read: measured best among 1, 2, 4 and 8 MiB.
inline constexpr int64_t kBlockBytes = int64_t{2} << 20;

/// What of a chunk's inputs stays in a thread's second cache, beside the weights and products that pass through.
inline int64_t private_bytes() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const int64_t cache = std::max<int64_t>(sysconf(_SC_LEVEL2_CACHE_SIZE), 1 << 20);
#else
  constexpr int64_t cache = 1 << 20;
#endif
  return cache * 6 / 10;
}

}  // namespace unnoise::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

HWY_INLINE void multiply_rows_with_panel(const float* const* rows, int64_t count, int64_t depth, const float* u,
                                         float* m, bool add) {
  multiply_panel({rows, count, 1, depth, depth >= 128}, u, m, kPanel, add);
}
HWY_INLINE void multiply_rows_with_panel(const bf16* const* rows, int64_t count, int64_t depth, const bf16* u, float* m,
                                         bool add) {
  multiply_panel_bf16(rows, count, depth, u, m, kPanel, add);
}

/// du [in, kPanel] (+)= v' z: sums over tiles, for one frequency and panel.
HWY_INLINE void multiply_tiles(const float* v, int64_t in, const float* z, int64_t out, int64_t panel, int64_t tiles,
                               float* du, bool add) {
  multiply_transposed_panel(v, in, in, tiles, z + panel * kPanel, out, du, kPanel, add);
}
HWY_INLINE void multiply_tiles(const bf16* v, int64_t in, const bf16* z, int64_t out, int64_t panel, int64_t tiles,
                               float* du, bool add) {
  multiply_transposed_panel_bf16(v, in, in, tiles, z + 2 * panel * kPanel, out, du, kPanel, add);
}

/// Tiles whose products with one panel are made together, frequency after frequency, and then put back.
inline constexpr int64_t kChunk = 2 * kTileRows;

/// All panels' weights as the products read them.
template <class F, class P>
void transform_all_weights(const Conv3x3Shape& shape, const ConvWeights& w, const WeightPanels<F, P>& u) {
  parallel_for(panels(shape.out_channels), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      transform_weights<F>(w, {p * kPanel, std::min(kPanel, shape.out_channels - p * kPanel), 0, shape.in_channels},
                           u[p]);
  });
}

/// The transformed inputs of a block of tiles times panels of weights, both of type P.
template <class F, class T, class P>
class PanelProducts {
 public:
  PanelProducts(const Conv3x3Shape& shape, const Tiles<F>& tiles, const ConvWeights& w, const ConvAddends<T>& addends,
                T* y)
      : shape_(shape), tiles_(tiles), w_(w), addends_(addends), y_(y) {}

  int64_t outs(int64_t panel) const { return std::min(kPanel, shape_.out_channels - panel * kPanel); }

  /// Tiles [first, first + count), whose inputs are v, with ready weights: a chunk at a time, by all threads. Panel by
  /// panel where the weights are more to read than the inputs, else chunk by chunk.
  void multiply(const Spectrum<P>& v, int64_t first, int64_t count, const WeightPanels<F, const P>& all_weights,
                bool by_panel) const {
    const int64_t chunks = (count + kChunk - 1) / kChunk, n = panels(shape_.out_channels);
    parallel_for(n * chunks, 1, [&](int64_t begin, int64_t end) {
      thread_local Scratch scratch;
      const Spectrum<float> m = products(scratch, kChunk);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t chunk = by_panel ? task % chunks : task / n, panel = by_panel ? task / chunks : task % n;
        const int64_t from = chunk * count / chunks, to = (chunk + 1) * count / chunks;
        multiply_chunk(v, first, from, to, panel, all_weights, m);
      }
    });
  }

  /// All tiles of x: each thread transforms a chunk, which then stays in its own cache for all panels.
  void transform_and_multiply_chunks(const T* x, const WeightPanels<F, const P>& all_weights) const {
    const int64_t chunks = (tiles_.count + kChunk - 1) / kChunk, in = shape_.in_channels;
    parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
      thread_local Scratch product_scratch, spectrum_scratch;
      const Spectrum<float> m = products(product_scratch, kChunk);
      const int64_t stride = Spectrum<P>::stride(kChunk, in);
      const Spectrum<P> v{spectrum_scratch.get<P>(kFrequencies<F> * stride), in, stride};
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        const int64_t first = chunk * tiles_.count / chunks, last = (chunk + 1) * tiles_.count / chunks;
        transform_inputs<F, SumOver::channels>(tiles_, x, first, first, last, v);
        for (int64_t p = 0; p < panels(shape_.out_channels); ++p)
          multiply_chunk(v, first, 0, last - first, p, all_weights, m);
      }
    });
  }

  /// The same for a single block of few tiles, which transforms weights as it goes: of so few inputs at a time that
  /// they stay in the second cache.
  void transform_and_multiply(const Spectrum<P>& v, int64_t count) const {
    const int64_t in = shape_.in_channels;
    parallel_for(panels(shape_.out_channels), 1, [&](int64_t begin, int64_t end) {
      thread_local Scratch weight_scratch, product_scratch;
      const PieceSpectrum<P> u{weight_scratch.get<P>(kFrequencies<F> * PieceSpectrum<P>::kStride)};
      const Spectrum<float> m = products(product_scratch, count);
      for (int64_t p = begin; p < end; ++p) {
        for (int64_t c = 0; c < in; c += kDepth) {
          const int64_t depth = std::min(kDepth, in - c);
          transform_weights<F>(w_, {p * kPanel, outs(p), c, depth}, u);
          for (int64_t from = 0; from < count; from += kChunk)
            add_products(v, from, std::min(from + kChunk, count), c, depth, u,
                         {m.at(0, from), kPanel, m.frequency_stride});
        }
        put_back(0, 0, count, p, m);
      }
    });
  }

 private:
  static constexpr int64_t kDepth = PieceSpectrum<P>::kInputs;

  void multiply_chunk(const Spectrum<P>& v, int64_t first, int64_t from, int64_t to, int64_t panel,
                      const WeightPanels<F, const P>& all_weights, const Spectrum<float>& m) const {
    add_products(v, from, to, 0, shape_.in_channels, all_weights[panel], m);
    put_back(first, from, to, panel, m);
  }

  static Spectrum<float> products(Scratch& scratch, int64_t tiles) {
    const int64_t stride = Spectrum<float>::stride(tiles, kPanel);
    return {scratch.get<float>(kFrequencies<F> * stride), kPanel, stride};
  }

  /// m (+)= v u of the tiles [from,to), at most kChunk, and `depth` inputs from first_in, which m then starts with.
  template <class Weights>
  void add_products(const Spectrum<P>& v, int64_t from, int64_t to, int64_t first_in, int64_t depth, const Weights& u,
                    const Spectrum<float>& m) const {
    for (int64_t f = 0; f < kFrequencies<F>; ++f) {
      const P* rows[kChunk];
      for (int64_t t = from; t < to; ++t) rows[t - from] = v.at(f, t) + first_in;
      multiply_rows_with_panel(rows, to - from, depth, u.at(f, 0), m.at(f, 0), first_in > 0);
    }
  }

  void put_back(int64_t first, int64_t from, int64_t to, int64_t p, const Spectrum<float>& m) const {
    for (int64_t t = from; t < to; ++t)
      write_outputs(tiles_, first + t, m.at(0, t - from), m.frequency_stride, p * kPanel, outs(p), shape_.out_channels,
                    addends_, y_);
  }

  const Conv3x3Shape& shape_;
  const Tiles<F>& tiles_;
  const ConvWeights& w_;
  const ConvAddends<T>& addends_;
  T* y_;
};

/// Up to this many tiles their products with a panel fit the second cache beside its weights.
inline constexpr int64_t kFewTiles = 96;

template <class F, class P, class T>
void convolve(const Conv3x3Shape& shape, const T* x, const ConvWeights& w, const ConvAddends<T>& addends, T* y) {
  const Tiles<F> tiles{shape.batch, shape.height, shape.width};
  const PanelProducts<F, T, P> products(shape, tiles, w, addends, y);
  const int64_t in = shape.in_channels, tile_bytes = kFrequencies<F> * in * static_cast<int64_t>(sizeof(P));
  const bool few = tiles.count <= kFewTiles && !shape.batch_invariant;
  const int64_t blocks = few ? 1 : (tiles.count * tile_bytes + kBlockBytes - 1) / kBlockBytes;
  const int64_t block = (tiles.count + blocks - 1) / blocks;

  const int64_t stride = Spectrum<P>::stride(block, in);
  WeightPanels<F, const P> all_weights{nullptr, in};
  if constexpr (std::is_same_v<P, bf16>) all_weights.data = w.packed;
  if (!few && !all_weights.data) {
    const WeightPanels<F, P> u{kernel_scratch().get<P>(panels(shape.out_channels) * WeightPanels<F, P>::size(in)), in};
    transform_all_weights(shape, w, u);
    all_weights.data = u.data;
  }
  if (!few && kChunk * tile_bytes <= private_bytes()) return products.transform_and_multiply_chunks(x, all_weights);
  const Spectrum<P> v{second_kernel_scratch().get<P>(kFrequencies<F> * stride), in, stride};
  for (int64_t first = 0; first < tiles.count; first += block) {
    const int64_t count = std::min(block, tiles.count - first);
    parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      transform_inputs<F, SumOver::channels>(tiles, x, first, first + begin, first + end, v);
    });
    if constexpr (std::is_same_v<P, float>)
      if (few && are_fewest(tiles, w)) return convolve_fewest(tiles, v, w, shape.out_channels, addends, y);
    all_weights.data ? products.multiply(v, first, count, all_weights, few) : products.transform_and_multiply(v, count);
  }
}

template <class F, class P, class T>
void weight_gradient(const Conv3x3Shape& shape, const T* x, const T* dy, float* dw) {
  const Tiles<F> tiles{shape.batch, shape.height, shape.width};
  const int64_t in = shape.in_channels, out = shape.out_channels, out_panels = panels(out);
  const int64_t padded = out_panels * kPanel;  // a panel of dy's spectrum may run past its channels
  const int64_t tile_bytes = kFrequencies<F> * (in + padded) * static_cast<int64_t>(sizeof(P));
  const int64_t blocks = (tiles.count * tile_bytes + 2 * kBlockBytes - 1) / (2 * kBlockBytes);
  const int64_t block = ((tiles.count + blocks - 1) / blocks + 1) / 2 * 2;  // whole pairs of tiles

  const int64_t v_stride = Spectrum<P>::stride(block, in), z_stride = Spectrum<P>::stride(block, padded);
  P* const both = second_kernel_scratch().get<P>(kFrequencies<F> * (v_stride + z_stride));
  const Spectrum<P> v{both, in, v_stride}, z{both + kFrequencies<F> * v_stride, padded, z_stride};
  const WeightPanels<F, float> du{kernel_scratch().get<float>(out_panels * WeightPanels<F, float>::size(in)), in};

  for (int64_t first = 0; first < tiles.count; first += block) {
    const int64_t count = std::min(block, tiles.count - first);
    parallel_for((count + 1) / 2, 1, [&](int64_t begin, int64_t end) {
      const int64_t from = first + 2 * begin, to = first + std::min(2 * end, count);
      transform_inputs<F, SumOver::tiles>(tiles, x, first, from, to, v);
      transform_output_gradients<F>(tiles, dy, out, first, from, to, z);
    });
    parallel_for(out_panels * kFrequencies<F>, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t p = task % out_panels, f = task / out_panels;
        multiply_tiles(v.at(f, 0), in, z.at(f, 0), padded, p, count, du[p].at(f, 0), first > 0);
      }
    });
  }
  parallel_for(out_panels * in, 16, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t p = task / in;
      write_weight_gradients<F>(du[p], in, task % in, p * kPanel, std::min(kPanel, out - p * kPanel), dw);
    }
  });
}

/// F(4,3) but for maps where most of its tile would lie outside, and where its few tiles are less work than its
/// weights: it transforms a kernel to 36 numbers, F(2,3) to 16.
bool prefers_small_tiles(const Conv3x3Shape& s) {
  return s.height <= 2 || s.width <= 2 || (s.height <= 4 && s.width <= 4 && s.batch == 1 && !s.batch_invariant);
}

/// Products of bfloat16 allow F(2,3) only: F(4,3) magnifies their rounding to 2e-2. Its products are fewer by 16/9,
/// theirs are twice as fast, so they gain a tenth to a third where the products are most of the work, and lose below.
bool prefers_bf16_products(const Conv3x3Shape& shape) {
  return has_bf16_products() && shape.in_channels >= 64 && shape.out_channels >= 64;
}

/// Of packed weights; 0 where products are of float32: transforming those as it goes is as fast as reading more.
int64_t packed_size(const Conv3x3Shape& s) {
  return prefers_bf16_products(s) ? panels(s.out_channels) * WeightPanels<F23, bf16>::size(s.in_channels) : 0;
}
void pack(const Conv3x3Shape& s, const float* w, bf16* packed) {
  transform_all_weights<F23, bf16>(s, {w, s.in_channels * 9, 9}, {packed, s.in_channels});
}

template <class T>
void convolve_with_floats(const Conv3x3Shape& s, const T* x, const ConvWeights& w, const ConvAddends<T>& a, T* y) {
  prefers_small_tiles(s) ? convolve<F23, float>(s, x, w, a, y) : convolve<F43, float>(s, x, w, a, y);
}
template <class T>
void weight_gradient_with_floats(const Conv3x3Shape& s, const T* x, const T* dy, float* dw) {
  prefers_small_tiles(s) ? weight_gradient<F23, float>(s, x, dy, dw) : weight_gradient<F43, float>(s, x, dy, dw);
}

void convolve_float(const Conv3x3Shape& s, const float* x, const ConvWeights& w, const ConvAddends<float>& a,
                    float* y) {
  convolve_with_floats(s, x, w, a, y);
}
void convolve_bf16(const Conv3x3Shape& s, const bf16* x, const ConvWeights& w, const ConvAddends<bf16>& a, bf16* y) {
  prefers_bf16_products(s) ? convolve<F23, bf16>(s, x, w, a, y) : convolve_with_floats(s, x, w, a, y);
}
void weight_gradient_float(const Conv3x3Shape& s, const float* x, const float* dy, float* dw) {
  weight_gradient_with_floats(s, x, dy, dw);
}
void weight_gradient_bf16(const Conv3x3Shape& s, const bf16* x, const bf16* dy, float* dw) {
  prefers_bf16_products(s) ? weight_gradient<F23, bf16>(s, x, dy, dw) : weight_gradient_with_floats(s, x, dy, dw);
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unnoise::kernels {

HWY_EXPORT(packed_size);
HWY_EXPORT(pack);
HWY_EXPORT(convolve_float);
HWY_EXPORT(convolve_bf16);
HWY_EXPORT(weight_gradient_float);
HWY_EXPORT(weight_gradient_bf16);

namespace {

amx::Shape amx_shape(const Conv3x3Shape& s) { return {s.batch, s.height, s.width, s.in_channels, s.out_channels}; }

template <class T>
void convolve_on_target(const Conv3x3Shape& s, const T* x, const ConvWeights& w, const ConvAddends<T>& addends, T* y) {
  if constexpr (std::is_same_v<T, float>)
    HWY_DYNAMIC_DISPATCH(convolve_float)(s, x, w, addends, y);
  else if (amx::is_available())
    amx::convolve(amx_shape(s), x, w, addends, y);
  else
    HWY_DYNAMIC_DISPATCH(convolve_bf16)(s, x, w, addends, y);
}

}  // namespace

bool takes_conv3x3(const Conv3x3Shape& s) {
  return s.in_channels % 16 == 0 && s.out_channels % 16 == 0 && s.height > 1 && s.width > 1;
}

template <class T>
void conv3x3(const Conv3x3Shape& s, const T* x, const float* w, const ConvAddends<T>& addends, T* y) {
  convolve_on_target(s, x, {w, s.in_channels * 9, 9}, addends, y);
}

int64_t conv3x3_packed_size(const Conv3x3Shape& s) {
  return amx::is_available() ? amx::packed_size(amx_shape(s)) : HWY_DYNAMIC_DISPATCH(packed_size)(s);
}

void pack_conv3x3(const Conv3x3Shape& s, const float* w, bf16* packed) {
  if (amx::is_available()) return amx::pack(amx_shape(s), {w, s.in_channels * 9, 9}, packed);
  HWY_DYNAMIC_DISPATCH(pack)(s, w, packed);
}

void conv3x3_packed(const Conv3x3Shape& s, const bf16* x, const bf16* packed, const ConvAddends<bf16>& addends,
                    bf16* y) {
  convolve_on_target(s, x, {.data = nullptr, .out = 0, .in = 0, .packed = packed}, addends, y);
}

template <class T>
void conv3x3_input_gradient(const Conv3x3Shape& s, const T* dy, const float* w, T* dx) {
  const Conv3x3Shape turned{s.batch, s.height, s.width, s.out_channels, s.in_channels, s.batch_invariant};
  convolve_on_target(turned, dy, {w, 9, s.in_channels * 9, true}, {}, dx);
}

template <class T>
void conv3x3_weight_gradient(const Conv3x3Shape& s, const T* x, const T* dy, float* dw) {
  if constexpr (std::is_same_v<T, float>)
    HWY_DYNAMIC_DISPATCH(weight_gradient_float)(s, x, dy, dw);
  else if (amx::is_available())
    amx::weight_gradient(amx_shape(s), x, dy, dw);
  else
    HWY_DYNAMIC_DISPATCH(weight_gradient_bf16)(s, x, dy, dw);
}

#define UNNOISE_INSTANTIATE(T)                                                                   \
  template void conv3x3(const Conv3x3Shape&, const T*, const float*, const ConvAddends<T>&, T*); \
  template void conv3x3_input_gradient(const Conv3x3Shape&, const T*, const float*, T*);         \
  template void conv3x3_weight_gradient(const Conv3x3Shape&, const T*, const T*, float*)
UNNOISE_INSTANTIATE(float);
UNNOISE_INSTANTIATE(bf16);
#undef UNNOISE_INSTANTIATE

}  // namespace unnoise::kernels
#endif  // HWY_ONCE
