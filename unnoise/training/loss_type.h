// The distances and weightings of the loss by name.
#pragma once

#include <array>
#include <utility>

namespace unnoise {

/// Distance of one predicted number from its target.
enum class LossType {
  l2,     ///< d^2
  l1,     ///< |d|
  huber,  ///< d^2/2 where |d| < 1, else |d| - 1/2 (torch's smooth L1 with beta 1)
};
constexpr auto enum_names(LossType) {
  return std::array{std::pair{LossType::l2, "l2"}, std::pair{LossType::l1, "l1"}, std::pair{LossType::huber, "huber"}};
}

/// How much a level of noise counts. All but `standard` are weights of x0's error as a function of snr = alpha^2 /
/// sigma^2, whatever the network answers with; NoiseProcess::gain turns them into weights of its answer.
enum class LossWeighting {
  standard,       ///< 1 for eps, v, EDM and flow; snr for x0, as diffusers' train_unconditional.py
  min_snr,        ///< min(snr, gamma): Hang et al. 2023, "Efficient Diffusion Training via Min-SNR", section 3.4
  soft_min_snr,   ///< snr gamma / (snr + gamma): Crowson et al. 2024, "Hourglass Diffusion Transformers", section 4.3
  p2,             ///< snr / (k + snr)^gamma: Choi et al. 2022, "Perception Prioritized Training", eq. 8
  truncated_snr,  ///< max(snr, 1): Salimans & Ho 2022, "Progressive Distillation", section 4
  edm,            ///< snr + 1/sigma_data^2: Karras et al. 2022, table 1; every level counts alike in F
};
constexpr auto enum_names(LossWeighting) {
  using enum LossWeighting;
  return std::array{std::pair{standard, "standard"},           std::pair{min_snr, "min_snr"},
                    std::pair{soft_min_snr, "soft_min_snr"},   std::pair{p2, "p2"},
                    std::pair{truncated_snr, "truncated_snr"}, std::pair{edm, "edm"}};
}

}  // namespace unnoise
