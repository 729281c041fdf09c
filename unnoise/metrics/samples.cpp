#include "unnoise/metrics/samples.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>

#include "unnoise/core/error.h"

namespace unnoise {

Tensor samples_matrix(const Tensor& x, std::string_view metric, int64_t least) {
  if (!x.defined() || x.dim() != 2 || x.size(1) < 1)
    throw usage_error(fmt::format("{}: expected a matrix [N,D], a row a picture", metric));
  if (x.size(0) < least)
    throw usage_error(fmt::format("{}: expected at least {} pictures, found {}", metric, least, x.size(0)));
  const Tensor rows = x.detach().to(at::kCPU, at::kDouble).contiguous();
  if (!at::isfinite(rows).all().item<bool>()) throw usage_error(fmt::format("{}: not every value is finite", metric));
  return rows;
}

SamplePair sample_pair(const Tensor& x, const Tensor& y, std::string_view metric, int64_t least) {
  SamplePair pair{samples_matrix(x, metric, least), samples_matrix(y, metric, least)};
  if (pair.x.size(1) != pair.y.size(1))
    throw usage_error(fmt::format("{}: the sets differ in width: {} and {}", metric, x.size(1), y.size(1)));
  return pair;
}

}  // namespace unnoise
