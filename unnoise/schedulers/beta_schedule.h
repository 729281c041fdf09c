// The schedules of beta by name.
#pragma once

#include <array>
#include <utility>

namespace unnoise {

enum class BetaSchedule {
  linear,             ///< Ho et al. 2020
  scaled_linear,      ///< linear in sqrt(beta); Rombach et al. 2022, "Latent Diffusion"
  squaredcos_cap_v2,  ///< abar = cos^2; Nichol & Dhariwal 2021, eq. 17
  laplace,            ///< log SNR from a Laplace distribution; Hang et al. 2024, "Improved Noise Schedule", table 1
  sigmoid,            ///< Xu et al. 2022, "GeoDiff"
  exp,                ///< abar = e^(-12 t)
};

constexpr auto enum_names(BetaSchedule) {
  using enum BetaSchedule;
  return std::array{std::pair{linear, "linear"},
                    std::pair{scaled_linear, "scaled_linear"},
                    std::pair{squaredcos_cap_v2, "squaredcos_cap_v2"},
                    std::pair{laplace, "laplace"},
                    std::pair{sigmoid, "sigmoid"},
                    std::pair{exp, "exp"}};
}

}  // namespace unnoise
