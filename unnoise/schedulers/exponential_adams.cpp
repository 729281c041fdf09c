#include "unnoise/schedulers/exponential_adams.h"

#include <cmath>

namespace unnoise {
namespace {

/// int_0^h u^n e^(rate u) du, n = 0, 1, ...: by parts for a long step, by its series for a short one, where the former
/// would cancel.
std::vector<double> moments(double h, double rate, size_t count) {
  const double z = rate * h;
  std::vector<double> out;
  for (size_t n = 0; n < count; ++n) {
    const auto power = static_cast<double>(n);
    if (std::abs(z) > 1) {
      out.push_back(n == 0 ? std::expm1(z) / rate : (std::pow(h, power) * std::exp(z) - power * out.back()) / rate);
      continue;
    }
    double sum = 0, term = std::pow(h, power + 1);
    for (int k = 0; k < 25; ++k) {
      sum += term / (power + k + 1);
      term *= z / (k + 1);
    }
    out.push_back(sum);
  }
  return out;
}

}  // namespace

std::vector<double> exponential_adams_weights(const std::vector<double>& nodes, double from, double to, double rate) {
  const auto integral = moments(to - from, rate, nodes.size());
  std::vector<double> weights;
  for (size_t k = 0; k < nodes.size(); ++k) {
    std::vector<double> l{1};  // coefficients of l_k in u - from, lowest first
    for (size_t j = 0; j < nodes.size(); ++j) {
      if (j == k) continue;
      const double root = nodes[j] - from, span = nodes[k] - nodes[j];
      l.push_back(0);
      for (size_t i = l.size(); i-- > 0;) l[i] = ((i > 0 ? l[i - 1] : 0) - root * l[i]) / span;
    }
    double weight = 0;
    for (size_t i = 0; i < l.size(); ++i) weight += l[i] * integral[i];
    weights.push_back(std::exp(rate * from) * weight);
  }
  return weights;
}

}  // namespace unnoise
