// Distances between the rows of two matrices, and each row's nearest neighbours.
#pragma once

#include <cstdint>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// x [n,D], y [m,D] of one float dtype -> [n,m]: |x_i - y_j|^2, not below 0. By a matrix product, so equal rows may
/// come out a few roundings of |x|^2 above 0.
Tensor squared_distances(const Tensor& x, const Tensor& y);

struct Neighbours {
  Tensor distances;  ///< [N,k] Euclidean, ascending, in the dtype of the queries; exact: recomputed by differences
  Tensor indices;    ///< [N,k] int64 rows of `points`
};

/// The k nearest of points [M,D] to each of queries [N,D]; a float dtype, both alike. `leave_out_own`: queries and
/// points are the same set, and row i is no neighbour of itself (equal rows are). Error::usage unless 1 <= k <= the
/// number of possible neighbours. Works through the rows in pieces of about 64 MB.
Neighbours nearest_neighbours(const Tensor& queries, const Tensor& points, int64_t k, bool leave_out_own = false);

}  // namespace unnoise
