#include "unnoise/training/noise_draw.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

void check_amount(const char* name, double value) {
  if (!(value >= 0) || !std::isfinite(value))
    throw usage_error(fmt::format("{}: expected at least 0, found {}", name, value));
}

/// |x0_i - eps_j|^2 less what depends on one of the two alone, which no assignment changes.
Tensor dealt_out(const Tensor& eps, const Tensor& x0) {
  const Tensor cost = -at::matmul(x0.flatten(1), eps.flatten(1).t());  // [B,B]
  return eps.index_select(0, at::tensor(linear_assignment(cost)).to(eps.device()));
}

}  // namespace

std::vector<int64_t> linear_assignment(const Tensor& cost) {
  const Tensor table = cost.to(at::kCPU, at::kDouble).contiguous();
  const double* c = table.const_data_ptr<double>();
  const auto n = static_cast<size_t>(cost.size(0));
  // Rows and columns are numbered from 1; column 0 stands for the row that is being placed.
  std::vector<double> row_price(n + 1, 0), column_price(n + 1, 0);
  std::vector<size_t> row_of(n + 1, 0), came_from(n + 1, 0);
  for (size_t row = 1; row <= n; ++row) {
    std::vector<double> distance(n + 1, std::numeric_limits<double>::infinity());
    std::vector<char> visited(n + 1, 0);
    size_t column = 0;
    row_of[0] = row;
    do {  // Dijkstra over columns, by reduced cost
      visited[column] = 1;
      const size_t at_row = row_of[column];
      size_t nearest = 0;
      double step = std::numeric_limits<double>::infinity();
      for (size_t j = 1; j <= n; ++j) {
        if (visited[j]) continue;
        const double reduced = c[(at_row - 1) * n + (j - 1)] - row_price[at_row] - column_price[j];
        if (reduced < distance[j]) distance[j] = reduced, came_from[j] = column;
        if (distance[j] < step) step = distance[j], nearest = j;
      }
      for (size_t j = 0; j <= n; ++j) {
        if (visited[j])
          row_price[row_of[j]] += step, column_price[j] -= step;
        else
          distance[j] -= step;
      }
      column = nearest;
    } while (row_of[column] != 0);
    for (; column != 0; column = came_from[column]) row_of[column] = row_of[came_from[column]];
  }
  std::vector<int64_t> column_of(n);
  for (size_t j = 1; j <= n; ++j) column_of[row_of[j] - 1] = static_cast<int64_t>(j - 1);
  return column_of;
}

NoiseDraw draw_noise(const Tensor& x0, const NoiseProcess& process, const DrawOptions& options, Rng& rng) {
  const NoiseTricks& tricks = options.tricks;
  check_amount("noise_offset", tricks.noise_offset);
  check_amount("input_perturbation", tricks.input_perturbation);
  NoiseDraw draw{.eps = rng.normal_like(x0), .level = {}};
  if (tricks.noise_offset > 0) {
    const Tensor shift = rng.normal({x0.size(0), x0.size(1), 1, 1}).to(x0.options());
    draw.eps = draw.eps + tricks.noise_offset * shift;
  }
  if (tricks.immiscible_noise) draw.eps = dealt_out(draw.eps, x0);
  if (tricks.input_perturbation > 0) draw.perturbed = draw.eps + tricks.input_perturbation * rng.normal_like(x0);
  draw.level = process.draw(options.level, x0.size(0), rng).to(x0.device());
  if (options.self_conditioning) draw.self_condition = rng.uniform({1}).item<double>() < 0.5;
  return draw;
}

}  // namespace unnoise
