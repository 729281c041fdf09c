// Runs the metrics for tests/interop/test_metrics.py: metrics_driver REQUEST.json, where REQUEST is
//   {"sets": FILE with "x" and "y" [N,D], "out": FILE}            all metrics of the features, and of y beside x
//   {"features": NAME_OR_FILE, "images": FILE with "images" [N,C,H,W] in [-1,1], "out": FILE}
#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <cstdio>

#include "unnoise/core/error.h"
#include "unnoise/core/json.h"
#include "unnoise/io/safetensors.h"
#include "unnoise/metrics/copying.h"
#include "unnoise/metrics/density_coverage.h"
#include "unnoise/metrics/feature_network.h"
#include "unnoise/metrics/frechet_distance.h"
#include "unnoise/metrics/frechet_infinity.h"
#include "unnoise/metrics/mmd.h"
#include "unnoise/metrics/nearest.h"
#include "unnoise/metrics/precision_recall.h"
#include "unnoise/metrics/sliced_wasserstein.h"

using namespace unnoise;

namespace {

StateDict measure_sets(const Tensor& x, const Tensor& y) {
  const auto pr = precision_recall(x, y, 3);
  const auto dc = density_coverage(x, y, 5);
  const double bandwidth = median_distance(x, y);
  const Slices slices = slice(x, y, {.directions = 64, .seed = 5});
  const auto neighbours = nearest_neighbours(y, x, 50);
  const auto number = [](double value) { return at::tensor({value}, at::kDouble); };
  return {{"frechet", number(frechet_distance(x, y))},
          {"mmd_polynomial", number(unbiased_mmd2(x, y, polynomial_kernel))},
          {"bandwidth", number(bandwidth)},
          {"mmd_rbf", number(unbiased_mmd2(x, y, rbf_kernel(bandwidth)))},
          {"in_real", pr.in_real},
          {"in_generated", pr.in_generated},
          {"balls", dc.balls},
          {"reached", dc.reached},
          {"slices_x", slices.x},
          {"slices_y", slices.y},
          {"swd", number(sliced_wasserstein(slices))},
          {"distances", neighbours.distances},
          {"indices", neighbours.indices},
          {"copy_scores", copy_scores(neighbours.distances)}};
}

}  // namespace

int main(int, char** argv) {
  try {
    const Json request = read_json(argv[1]);
    const std::string out = request.at("out");
    if (request.contains("sets")) {
      const auto sets = SafetensorsFile::open(request.at("sets").get<std::string>());
      save_safetensors(out, measure_sets(sets.tensor("x"), sets.tensor("y")));
    } else {
      const auto network = load_feature_network(request.at("features"));
      const auto images = SafetensorsFile::open(request.at("images").get<std::string>()).tensor("images");
      save_safetensors(out, {{"features", (*network)(images)}});
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 3;
  }
}
