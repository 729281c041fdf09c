// What adamw.cpp computes once a parameter for the loops of adamw-inl.h.
#pragma once

#include "unnoise/kernels/adamw.h"

namespace unnoise::kernels {

enum class AdamDecay { none, gradient, parameter };

/// In float32, each rounded once from double, as torch does.
struct AdamCoefficients {
  float gradient_scale, weight_decay;
  float shrink;  ///< 1 - learning_rate * weight_decay
  float one_minus_beta1, beta2, one_minus_beta2;
  float step_size;    ///< learning_rate / (1 - beta1^step)
  float correction2;  ///< 1 / sqrt(1 - beta2^step); torch divides by the root, a division more a value
  float epsilon;
  float average_weight;
};

}  // namespace unnoise::kernels
