// Group normalisation of channels-last feature maps (Wu and He 2018, eq. 1 to 3), with the SiLU that follows it in
// every residual block. The backward pass needs x and the statistics only: it computes the rest again.
#pragma once

#include <cstdint>

namespace unnoise::kernels {

/// A batch of maps [images,pixels,channels]; `groups` divides the channels, those of a group are neighbours.
struct GroupNormShape {
  int64_t images = 0;
  int64_t pixels = 0;
  int64_t channels = 0;
  int64_t groups = 0;
};

/// y = z or, with silu, z / (1 + e^-z), where z = (x - mean) rstd weight + bias. T is float or bf16; y may be x.
/// weight and bias: [channels]. mean and rstd = 1/sqrt(variance + eps) are written, [images,groups] each.
template <class T>
void group_norm(const GroupNormShape& shape, const T* x, const float* weight, const float* bias, double eps, bool silu,
                T* y, float* mean, float* rstd);

/// What group_norm read and wrote.
template <class T>
struct GroupNormSaved {
  const T* x;
  const float* mean;
  const float* rstd;
  const float* weight;
  const float* bias;
  bool silu;
};

/// The y that group_norm wrote, from what it kept; y may be x.
template <class T>
void group_norm_again(const GroupNormShape& shape, const GroupNormSaved<T>& saved, T* y);

/// Gradients from dy, the one of y. dx may be null and may be dy; dweight and dbias [channels] are null together. Where
/// y is given it is written again, which is cheaper on the way than on its own.
template <class T>
void group_norm_backward(const GroupNormShape& shape, const GroupNormSaved<T>& saved, const T* dy, T* dx,
                         float* dweight, float* dbias, T* y = nullptr);

}  // namespace unnoise::kernels
