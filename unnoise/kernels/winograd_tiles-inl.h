// A Winograd convolution's work on tiles: feature maps of type T (float or bf16) to spectra of type P, weights to
// panels, products back to maps. Included once a SIMD target (see hwy/foreach_target.h).
#if defined(UNNOISE_KERNELS_WINOGRAD_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_WINOGRAD_TILES_INL_H_
#undef UNNOISE_KERNELS_WINOGRAD_TILES_INL_H_
#else
#define UNNOISE_KERNELS_WINOGRAD_TILES_INL_H_
#endif

#include <algorithm>

#include "unnoise/kernels/conv3x3.h"
#include "unnoise/kernels/conv_weights.h"
#include "unnoise/kernels/pairs-inl.h"
#include "unnoise/kernels/scratch.h"
#include "unnoise/kernels/vector_io-inl.h"
#include "unnoise/kernels/winograd-inl.h"

#ifndef UNNOISE_KERNELS_WEIGHT_PIECE
#define UNNOISE_KERNELS_WEIGHT_PIECE
namespace unnoise::kernels {

/// At most a panel of outputs, and some inputs.
struct WeightPiece {
  int64_t first_out, outs, first_in, ins;
};

}  // namespace unnoise::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

// Small structs are passed by value: behind a reference a compiler reads them anew after every store of a vector, which
// may alias anything.

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

/// Transformed values of `rows` tiles, or of a panel's inputs: frequency, row, channel. A frequency's part is a line
/// longer than its values: else all frequencies of a value would lie in the same set of a cache.
template <class P>
struct Spectrum {
  P* data;
  int64_t channels;
  int64_t frequency_stride;

  static constexpr int64_t stride(int64_t rows, int64_t channels) {
    return rows * channels + 64 / static_cast<int64_t>(sizeof(P));
  }
  P* at(int64_t frequency, int64_t row) const { return data + frequency * frequency_stride + row * channels; }
};

/// Panel p of a layer's weights, or of their gradients: a row an input, kPanel outputs; for products of bfloat16 rows
/// in pairs, [rows/2][kPanel][2].
template <class F, class P>
struct WeightPanels {
  P* data;
  int64_t in;

  static int64_t size(int64_t in) { return kFrequencies<F> * Spectrum<P>::stride(in, kPanel); }
  Spectrum<P> operator[](int64_t p) const { return {data + p * size(in), kPanel, Spectrum<P>::stride(in, kPanel)}; }
};

/// One of two values that are multiplied together: [pair][channel][2], the even one first.
HWY_INLINE void store_paired(Vec v, bool odd, bf16* to) {
  auto* words = reinterpret_cast<uint32_t*>(to);
  const auto bits = rounded_words(v);
  hn::StoreU(
      odd ? hn::Or(hn::And(bits, hn::Set(kWords, 0xffff0000U)), hn::LoadU(kWords, words)) : hn::ShiftRight<16>(bits),
      kWords, words);
}

/// How the products of a tile's frequencies are summed over: along the channels (to convolve) or over the tiles (for
/// the weights' gradient). It decides which bfloat16 values lie in pairs.
enum class SumOver { channels, tiles };

/// Puts a vector of channel c of tile t where the sum wants it.
template <SumOver kSum, class P>
HWY_INLINE void store_spectrum(Spectrum<P> to, int64_t frequency, int64_t tile, int64_t c, Vec v) {
  if constexpr (kSum == SumOver::tiles && std::is_same_v<P, bf16>) {
    store_paired(v, tile % 2 == 1, to.at(frequency, tile / 2 * 2) + 2 * c);
  } else {
    store_factor(v, to.at(frequency, tile) + c);
  }
}

/// B' d B of the tiles [begin,end) of the map x into places [begin - first, ...) of `to`.
template <class F, SumOver kSum, class T, class P>
void transform_inputs(Tiles<F> tiles, const T* x, int64_t first, int64_t begin, int64_t end, Spectrum<P> to) {
  constexpr int kIn = F::kIn;
  const int64_t channels = to.channels;
  thread_local Scratch zero_pixel;
  T* zeros = zero_pixel.get<T>(channels);
  std::fill(zeros, zeros + channels, T{});
  for (int64_t tile = begin; tile < end; ++tile) {
    const auto [image, y0, x0] = tiles.place(tile);
    const T* pixels[kIn][kIn];
    for (int r = 0; r < kIn; ++r)
      for (int s = 0; s < kIn; ++s) {
        const int64_t row = y0 + r - 1, column = x0 + s - 1;
        const bool inside = row >= 0 && row < tiles.height && column >= 0 && column < tiles.width;
        pixels[r][s] = inside ? x + ((image * tiles.height + row) * tiles.width + column) * channels : zeros;
      }
    for (int64_t c = 0; c < channels; c += kLanes)
      transform_tile<kIn, kIn>([](const auto& d, auto& t) { F::input(d, t); },
                               [&](int r, int s) { return load_floats(kFloats, pixels[r][s] + c); },
                               [&](int r, int s, Vec v) { store_spectrum<kSum>(to, r * kIn + s, tile - first, c, v); });
  }
}

/// A dy A' of the tiles' output gradients, likewise; pixels beyond the map count as zero.
template <class F, class T, class P>
void transform_output_gradients(Tiles<F> tiles, const T* dy, int64_t channels, int64_t first, int64_t begin,
                                int64_t end, Spectrum<P> to) {
  constexpr int kIn = F::kIn, kOut = F::kOut;
  for (int64_t tile = begin; tile < end; ++tile) {
    const auto [image, y0, x0] = tiles.place(tile);
    const int64_t rows = std::min<int64_t>(kOut, tiles.height - y0);
    const int64_t columns = std::min<int64_t>(kOut, tiles.width - x0);
    const T* corner = dy + ((image * tiles.height + y0) * tiles.width + x0) * channels;
    for (int64_t c = 0; c < channels; c += kLanes)
      transform_tile<kOut, kIn>(
          [](const auto& y, auto& z) { F::output_gradient(y, z); },
          [&](int r, int s) {
            return r < rows && s < columns ? load_floats(kFloats, corner + (r * tiles.width + s) * channels + c)
                                           : hn::Zero(kFloats);
          },
          [&](int r, int s, Vec v) { store_spectrum<SumOver::tiles>(to, r * kIn + s, tile - first, c, v); });
  }
}

/// Transformed weights of at most kInputs inputs, with a stride that the compiler knows: 36 places to store to are more
/// than there are registers for their addresses.
template <class P>
struct PieceSpectrum {
  static constexpr int64_t kInputs = 64;
  static constexpr int64_t kStride = Spectrum<P>::stride(kInputs, kPanel);
  P* data;

  P* at(int64_t frequency, int64_t row) const { return data + frequency * kStride + row * kPanel; }
};

/// G g G' of a piece, to u's rows from 0 on; u is a spectrum of either kind. Columns beyond its outputs keep what they
/// hold.
template <class F, class Weights>
void transform_weights(ConvWeights w, WeightPiece piece, Weights u) {
  using P = std::remove_reference_t<decltype(*u.data)>;
  constexpr int kIn = F::kIn;
  for (int64_t j = 0; j < piece.outs; j += kLanes) {
    const float* from = w.data + (piece.first_out + j) * w.out + piece.first_in * w.in;
    for (int64_t c = 0; c < piece.ins; ++c, from += w.in) {
      Vec taps[9];
      load_taps(from, w.out, taps);
      if (w.turned)
        for (int t = 0; t < 4; ++t) std::swap(taps[t], taps[8 - t]);
      transform_tile<3, kIn>([](const auto& g, auto& t) { F::weights(g, t); },
                             [&](int r, int s) { return taps[r * 3 + s]; },
                             [&](int r, int s, Vec v) {
                               if constexpr (std::is_same_v<P, bf16>)
                                 store_paired(v, c % 2 == 1, u.at(r * kIn + s, c / 2 * 2) + 2 * j);
                               else
                                 store_factor(v, u.at(r * kIn + s, c) + j);
                             });
    }
  }
}

/// A' m A of one tile and panel, plus the addends, to the pixels that lie inside the map.
template <class F, class T>
HWY_INLINE void write_outputs(Tiles<F> tiles, int64_t tile, const float* m, int64_t m_stride, int64_t channel,
                              int64_t outs, int64_t out_channels, ConvAddends<T> addends, T* y) {
  constexpr int kIn = F::kIn, kOut = F::kOut;
  const auto [image, y0, x0] = tiles.place(tile);
  const int64_t rows = std::min<int64_t>(kOut, tiles.height - y0), columns = std::min<int64_t>(kOut, tiles.width - x0);
  const int64_t corner = ((image * tiles.height + y0) * tiles.width + x0) * out_channels + channel;
  for (int64_t j = 0; j < outs; j += kLanes) {
    Vec base = addends.bias ? hn::LoadU(kFloats, addends.bias + channel + j) : hn::Zero(kFloats);
    if (addends.image_bias)
      base = hn::Add(base, hn::LoadU(kFloats, addends.image_bias + image * out_channels + channel + j));
    transform_tile<kIn, kOut>([](const auto& from, auto& t) { F::output(from, t); },
                              [&](int r, int s) { return hn::LoadU(kFloats, m + (r * kIn + s) * m_stride + j); },
                              [&](int r, int s, Vec v) {
                                if (r >= rows || s >= columns) return;
                                const int64_t at = corner + (r * tiles.width + s) * out_channels + j;
                                v = hn::Add(v, base);
                                if (addends.residual) v = hn::Add(v, load_floats(kFloats, addends.residual + at));
                                store_floats(kFloats, v, y + at);
                              });
  }
}

/// G' du G of one panel and input channel, to dw [K,C,3,3].
template <class F>
void write_weight_gradients(Spectrum<float> du, int64_t in_channels, int64_t c, int64_t first_out, int64_t outs,
                            float* dw) {
  constexpr int kIn = F::kIn;
  for (int64_t j = 0; j < outs; j += kLanes) {
    Vec taps[9];
    transform_tile<kIn, 3>([](const auto& u, auto& g) { F::weights_gradient(u, g); },
                           [&](int r, int s) { return hn::Load(kFloats, du.at(r * kIn + s, c) + j); },
                           [&](int r, int s, Vec v) { taps[r * 3 + s] = v; });
    store_taps(taps, dw + ((first_out + j) * in_channels + c) * 9, in_channels * 9);
  }
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_WINOGRAD_TILES_INL_H_
