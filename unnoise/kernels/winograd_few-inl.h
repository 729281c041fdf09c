// Winograd's convolution of a few tiles, as a small map of one picture has: there are more weights than anything else.
// A vector of outputs at a time; the transformed weights of four inputs and the sums of all frequencies stay in the
// first cache, and the weights themselves are read as one stream an output. Included once a SIMD target (see
// hwy/foreach_target.h).
#if defined(UNNOISE_KERNELS_WINOGRAD_FEW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_WINOGRAD_FEW_INL_H_
#undef UNNOISE_KERNELS_WINOGRAD_FEW_INL_H_
#else
#define UNNOISE_KERNELS_WINOGRAD_FEW_INL_H_
#endif

#include "unnoise/kernels/winograd_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

inline constexpr int64_t kFewestTiles = 4;
inline constexpr int64_t kFewestInputs = 4;  // at once: 36 floats of an output, nine blocks of four

/// Transformed weights of kFewestInputs inputs, and sums of kFewestTiles tiles, for a vector of outputs.
template <class F>
struct FewestSums {
  alignas(64) float u[kFrequencies<F>][kFewestInputs][kLanes];
  alignas(64) float m[kFrequencies<F>][kFewestTiles][kLanes];

  /// G g G' of the weights at `from`, whose outputs are `row` floats apart.
  void transform(const float* from, int64_t row) {
    Vec taps[9 * kFewestInputs];
    for (int block = 0; block < 9; ++block) load_four(from + 4 * block, row, taps + 4 * block);
    HWY_UNROLL(4)
    for (int i = 0; i < kFewestInputs; ++i)
      transform_tile<3, F::kIn>([](const auto& g, auto& t) { F::weights(g, t); },
                                [&](int r, int s) { return taps[i * 9 + r * 3 + s]; },
                                [&](int r, int s, Vec v) { hn::Store(v, kFloats, u[r * F::kIn + s][i]); });
  }

  /// m (+)= v u of the inputs from c on.
  template <int kTiles>
  void add_products(const Spectrum<float>& v, int64_t c) {
    for (int64_t f = 0; f < kFrequencies<F>; ++f) {
      Vec sum[kTiles];
      const float* row[kTiles];
      for (int t = 0; t < kTiles; ++t) {
        sum[t] = c == 0 ? hn::Zero(kFloats) : hn::Load(kFloats, m[f][t]);
        row[t] = v.at(f, t) + c;
      }
      HWY_UNROLL(4)
      for (int i = 0; i < kFewestInputs; ++i) {
        const Vec ui = hn::Load(kFloats, u[f][i]);
        for (int t = 0; t < kTiles; ++t) sum[t] = hn::MulAdd(hn::Set(kFloats, row[t][i]), ui, sum[t]);
      }
      for (int t = 0; t < kTiles; ++t) hn::Store(sum[t], kFloats, m[f][t]);
    }
  }

  template <int kTiles>
  void sum_over(const Spectrum<float>& v, const float* w, int64_t row) {
    for (int64_t c = 0; c < v.channels; c += kFewestInputs) {
      transform(w + c * 9, row);
      add_products<kTiles>(v, c);
    }
  }
};

/// Whether the tiles are so few, and the taps of an output's inputs follow each other.
template <class F>
bool are_fewest(const Tiles<F>& tiles, const ConvWeights& w) {
  return tiles.count <= kFewestTiles && w.in == 9 && !w.turned;
}

/// y = x w + addends, where v is the spectrum of x.
template <class F, class T>
void convolve_fewest(const Tiles<F>& tiles, const Spectrum<float>& v, const ConvWeights& w, int64_t out_channels,
                     const ConvAddends<T>& addends, T* y) {
  parallel_for(out_channels / kLanes, 1, [&](int64_t begin, int64_t end) {
    FewestSums<F> sums;
    for (int64_t o = begin * kLanes; o < end * kLanes; o += kLanes) {
      const float* const from = w.data + o * w.out;
      switch (tiles.count) {
        case 1:
          sums.template sum_over<1>(v, from, w.out);
          break;
        case 2:
          sums.template sum_over<2>(v, from, w.out);
          break;
        case 3:
          sums.template sum_over<3>(v, from, w.out);
          break;
        default:
          sums.template sum_over<4>(v, from, w.out);
      }
      for (int64_t t = 0; t < tiles.count; ++t)
        write_outputs(tiles, t, sums.m[0][t], kFewestTiles * kLanes, o, kLanes, out_channels, addends, y);
    }
  });
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_WINOGRAD_FEW_INL_H_
