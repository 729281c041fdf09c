// What a network predicts, and what its output says about the clean picture and about the noise.
#pragma once

#include <array>
#include <utility>

#include "unnoise/nn/tensor.h"

namespace unnoise {

enum class PredictionType {
  epsilon,          ///< the noise eps; Ho et al. 2020
  sample,           ///< the clean picture x0
  v_prediction,     ///< v = alpha eps - sigma x0; Salimans & Ho 2022, "Progressive Distillation"
  flow_prediction,  ///< eps - x0 on the straight path x_t = (1 - sigma) x0 + sigma eps; Lipman et al. 2023, "Flow
                    ///< Matching"
};

constexpr auto enum_names(PredictionType) {
  using enum PredictionType;
  return std::array{std::pair{epsilon, "epsilon"}, std::pair{sample, "sample"}, std::pair{v_prediction, "v_prediction"},
                    std::pair{flow_prediction, "flow_prediction"}};
}

/// How far a picture is along the way to noise: x_t = alpha x0 + sigma eps.
struct NoiseLevel {
  float alpha;
  float sigma;
};

/// The same with a level a picture: alpha and sigma are [B,1,1,1].
struct NoiseLevels {
  Tensor alpha;
  Tensor sigma;
};

/// The clean picture that `output` implies for `xt`, both [B,C,H,W]. A level of pure noise (alpha = 0) is safe for
/// every type: eps says nothing about x0 there, and the result is then huge and finite, to be clipped.
Tensor x0_from(PredictionType type, const Tensor& xt, const Tensor& output, NoiseLevel level);
Tensor x0_from(PredictionType type, const Tensor& xt, const Tensor& output, const NoiseLevels& levels);

/// The noise that `output` implies for `xt`, both [B,C,H,W].
Tensor eps_from(PredictionType type, const Tensor& xt, const Tensor& output, NoiseLevel level);
Tensor eps_from(PredictionType type, const Tensor& xt, const Tensor& output, const NoiseLevels& levels);

}  // namespace unnoise
