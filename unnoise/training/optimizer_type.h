// The optimizers by name.
#pragma once

#include <array>
#include <utility>

namespace unnoise {

enum class OptimizerType {
  adamw,      ///< Loshchilov & Hutter 2019, algorithm 2 (decoupled weight decay)
  adam,       ///< Kingma & Ba 2015, algorithm 1; weight decay is added to the gradient
  sgd,        ///< v = momentum v + g; p -= lr v
  adamw8bit,  ///< AdamW whose running averages take 8 bits a value (adamw8bit.h)
  muon,       ///< orthogonalized momentum for the matrices, AdamW for the rest (muon.h)
};
constexpr auto enum_names(OptimizerType) {
  return std::array{std::pair{OptimizerType::adamw, "adamw"}, std::pair{OptimizerType::adam, "adam"},
                    std::pair{OptimizerType::sgd, "sgd"}, std::pair{OptimizerType::adamw8bit, "adamw8bit"},
                    std::pair{OptimizerType::muon, "muon"}};
}

}  // namespace unnoise
