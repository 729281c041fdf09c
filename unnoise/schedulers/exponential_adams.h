// Exponential Adams methods: the integral of a polynomial through past outputs against an exponential, exactly. DEIS,
// SA-Solver and RES are of this kind.
#pragma once

#include <vector>

namespace unnoise {

/// w_k = int_from^to e^(rate u) l_k(u) du, where l_k is the polynomial of degree n-1 that is 1 at nodes[k] and 0 at the
/// other nodes (Lagrange). `nodes` differ from each other; 1 <= n <= 4.
std::vector<double> exponential_adams_weights(const std::vector<double>& nodes, double from, double to, double rate);

}  // namespace unnoise
