// The distributions of noise levels in training by name.
#pragma once

#include <array>
#include <utility>

namespace unnoise {

enum class LevelSampling {
  uniform,       ///< in the timestep, or in s of a flow
  logit_normal,  ///< sigmoid(N(mean, std^2)): Esser et al. 2024, section 3.1; of EDM, sigma = e^N, Karras et al. 2022
};
constexpr auto enum_names(LevelSampling) {
  return std::array{std::pair{LevelSampling::uniform, "uniform"},
                    std::pair{LevelSampling::logit_normal, "logit_normal"}};
}

}  // namespace unnoise
