// The loops of group_norm.cpp over a block of pixels, each of which takes channels in vectors. Included once a SIMD
// target (see hwy/foreach_target.h).
#if defined(UNNOISE_KERNELS_GROUP_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_GROUP_NORM_INL_H_
#undef UNNOISE_KERNELS_GROUP_NORM_INL_H_
#else
#define UNNOISE_KERNELS_GROUP_NORM_INL_H_
#endif

#include <hwy/highway.h>

#include "unnoise/kernels/exp-inl.h"
#include "unnoise/kernels/vector_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Calls f(d, c) for vectors of channels, where f handles `kVectors` of them that follow each other; the rest one by
/// one through g.
template <int kVectors, class F, class G>
HWY_INLINE void for_channels(int64_t channels, const F& f, const G& g) {
  const hn::CappedTag<float, 16> d;
  constexpr int64_t kStep = kVectors * hn::MaxLanes(d);
  int64_t c = 0;
  for (; c + kStep <= channels; c += kStep) f(d, c);
  for_vectors(channels - c, [&](auto any, int64_t i) { g(any, c + i); });
}

/// Of every channel: the mean and the sum of squared distances from it, over `pixels` pixels. Distances are summed from
/// the block's first pixel, so that a large mean costs no digits: (first - mean)^2 is at most `pixels` variances.
template <int kVectors, class D, class T>
HWY_INLINE void channel_moments(D d, const T* x, int64_t pixels, int64_t stride, float* mean, float* squares) {
  constexpr int64_t kLanes = hn::MaxLanes(d);
  hn::Vec<D> first[kVectors], sum[kVectors], square[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    first[v] = load_floats(d, x + v * kLanes);
    sum[v] = square[v] = hn::Zero(d);
  }
  for (int64_t p = 1; p < pixels; ++p) {
    const T* row = x + p * stride;
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) {
      const auto distance = hn::Sub(load_floats(d, row + v * kLanes), first[v]);
      sum[v] = hn::Add(sum[v], distance);
      square[v] = hn::MulAdd(distance, distance, square[v]);
    }
  }
  const auto share = hn::Set(d, 1.0F / static_cast<float>(pixels));
  for (int v = 0; v < kVectors; ++v) {
    const auto shift = hn::Mul(sum[v], share);
    hn::StoreU(hn::Add(first[v], shift), d, mean + v * kLanes);
    hn::StoreU(hn::Max(hn::NegMulAdd(shift, sum[v], square[v]), hn::Zero(d)), d, squares + v * kLanes);
  }
}

template <class T>
void moments(const T* x, int64_t pixels, int64_t channels, float* mean, float* squares) {
  for_channels<4>(
      channels, [&](auto d, int64_t c) { channel_moments<4>(d, x + c, pixels, channels, mean + c, squares + c); },
      [&](auto d, int64_t c) { channel_moments<1>(d, x + c, pixels, channels, mean + c, squares + c); });
}

/// Adds a block's moments to those of the pixels before it (Chan et al. 1983, eq. 2.1).
inline void merge_moments(int64_t channels, double before, double here, const float* block_mean,
                          const float* block_squares, double* mean, double* squares) {
  const double share = here / (before + here), between = before * share;
  for (int64_t c = 0; c < channels; ++c) {
    const double distance = block_mean[c] - mean[c];
    mean[c] += distance * share;
    squares[c] += block_squares[c] + distance * distance * between;
  }
}

/// Adds a block's sums to those of the pixels before it.
inline void merge_sums(int64_t count, const float* block, double* sums) {
  for (int64_t i = 0; i < count; ++i) sums[i] += block[i];
}

/// y = silu((x - mean) scale + bias) or without silu.
template <bool kSilu, class T>
void normalise(const T* x, int64_t pixels, int64_t channels, const float* mean, const float* scale, const float* bias,
               T* y) {
  for (int64_t p = 0; p < pixels; ++p, x += channels, y += channels)
    for_vectors(channels, [&](auto d, int64_t c) {
      const auto centred = hn::Sub(load_floats(d, x + c), hn::LoadU(d, mean + c));
      auto z = hn::MulAdd(centred, hn::LoadU(d, scale + c), hn::LoadU(d, bias + c));
      if constexpr (kSilu) z = hn::Mul(z, sigmoid(d, z));
      store_floats(d, z, y + c);
    });
}

/// Of every channel: the sums of dz and of dz (x - mean) over a block, where dz is dy times the derivative of
/// y = z s, s the sigmoid of z, or dy itself. Writes dz and y where they are given.
template <bool kSilu, int kVectors, class D, class T>
HWY_INLINE void channel_gradients(D d, const T* dy, const T* x, int64_t pixels, int64_t stride, const float* mean,
                                  const float* scale, const float* bias, float* sum, float* product, T* dz_out,
                                  T* y_out) {
  const auto one = hn::Set(d, 1.0F);
  constexpr int64_t kLanes = hn::MaxLanes(d);
  hn::Vec<D> sums[kVectors], products[kVectors];
  for (int v = 0; v < kVectors; ++v) sums[v] = products[v] = hn::Zero(d);
  for (int64_t p = 0; p < pixels; ++p) {
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) {
      const int64_t c = v * kLanes, i = p * stride + c;
      const auto centred = hn::Sub(load_floats(d, x + i), hn::LoadU(d, mean + c));
      const auto z = hn::MulAdd(centred, hn::LoadU(d, scale + c), hn::LoadU(d, bias + c));
      auto dz = load_floats(d, dy + i), y = z;
      if constexpr (kSilu) {
        const auto s = sigmoid(d, z);
        y = hn::Mul(z, s);
        dz = hn::Mul(dz, hn::Mul(s, hn::MulAdd(z, hn::Sub(one, s), one)));
      }
      sums[v] = hn::Add(sums[v], dz);
      products[v] = hn::MulAdd(dz, centred, products[v]);
      if (y_out) store_floats(d, y, y_out + i);
      if (dz_out) store_floats(d, dz, dz_out + i);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    hn::StoreU(sums[v], d, sum + v * kLanes);
    hn::StoreU(products[v], d, product + v * kLanes);
  }
}

template <bool kSilu, class T>
void gradient_sums(const T* dy, const T* x, int64_t pixels, int64_t channels, const float* mean, const float* scale,
                   const float* bias, float* sums, T* dz, T* y) {
  const auto some = [&]<int kVectors>(auto d, int64_t c) {
    channel_gradients<kSilu, kVectors>(d, dy + c, x + c, pixels, channels, mean + c, scale + c, bias + c, sums + c,
                                       sums + channels + c, dz ? dz + c : nullptr, y ? y + c : nullptr);
  };
  for_channels<2>(
      channels, [&](auto d, int64_t c) { some.template operator()<2>(d, c); },
      [&](auto d, int64_t c) { some.template operator()<1>(d, c); });
}

/// dx = scale dz - constant - slope (x - mean).
template <class T>
void input_gradient(const T* dz, const T* x, int64_t pixels, int64_t channels, const float* mean, const float* scale,
                    const float* constant, const float* slope, T* dx) {
  for (int64_t p = 0; p < pixels; ++p, dz += channels, x += channels, dx += channels)
    for_vectors(channels, [&](auto d, int64_t c) {
      const auto centred = hn::Sub(load_floats(d, x + c), hn::LoadU(d, mean + c));
      const auto rest = hn::MulAdd(hn::LoadU(d, slope + c), centred, hn::LoadU(d, constant + c));
      store_floats(d, hn::MulSub(load_floats(d, dz + c), hn::LoadU(d, scale + c), rest), dx + c);
    });
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_GROUP_NORM_INL_H_
