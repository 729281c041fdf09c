#include "unnoise/kernels/gemm.h"

#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unnoise/kernels/gemm.cpp"
#include <hwy/foreach_target.h>  // must come before the inner loops

#include "unnoise/kernels/gemm-inl.h"
#include "unnoise/kernels/parallel.h"
#include "unnoise/kernels/scratch.h"

#ifndef UNNOISE_KERNELS_GEMM_TASK
#define UNNOISE_KERNELS_GEMM_TASK
namespace unnoise::kernels {

struct GemmTask {
  int64_t n, k;
  Matrix a;
  const float* packed;
  float* c;
  int64_t c_stride;
  GemmOptions options;
};

}  // namespace unnoise::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

/// Rows that one task multiplies with one panel: A's part of it stays in the second cache.
inline constexpr int64_t kBlockRows = kTileRows * 8;
/// Depth of a block, so that kBlockRows x kBlockDepth floats and a panel's part fit there together. Where A lies by
/// columns, as in the gradient of weights, sums are deep: a panel's part of it stays in the first cache for all rows.
inline constexpr int64_t kBlockDepth = 512, kBlockDepthByColumns = 256;

/// c += from, whose rows are from_stride apart; 0: one row for all.
void add_rows(int64_t rows, int64_t columns, const float* from, int64_t from_stride, float* c, int64_t c_stride) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) c[i * c_stride + j] += from[i * from_stride + j];
}

/// C [rows from `first`, columns of the panels from first_panel to last_panel]. Panels inside: the part of A is met
/// again at once. The last panel of C may be narrower, then it goes through a buffer.
void gemm_block(const GemmTask& t, int64_t first, int64_t rows, int64_t first_panel, int64_t last_panel) {
  alignas(64) float edge[kBlockRows * kPanel];
  const float* row_pointers[kBlockRows];
  const int64_t most = t.a.column == 1 ? kBlockDepth : kBlockDepthByColumns;
  float* const c = t.c + first * t.c_stride;
  for (int64_t depth = 0; depth < t.k; depth += most) {
    const int64_t length = std::min(most, t.k - depth);
    if (t.a.column == 1)
      for (int64_t i = 0; i < rows; ++i) row_pointers[i] = t.a.data + (first + i) * t.a.row + depth;
    for (int64_t p = first_panel; p < last_panel; ++p) {
      const bool whole = (p + 1) * kPanel <= t.n;
      const float* panel = t.packed + (p * t.k + depth) * kPanel;
      float* to = whole ? c + p * kPanel : edge;
      const int64_t to_stride = whole ? t.c_stride : kPanel;
      const bool add = depth > 0 || (t.options.add && whole);
      if (t.a.column == 1)
        multiply_panel({row_pointers, rows, 1, length}, panel, to, to_stride, add);
      else
        multiply_transposed_panel(t.a.data + first + depth * t.a.column, t.a.column, rows, length, panel, kPanel, to,
                                  to_stride, add);
    }
  }
  const int64_t whole_columns = std::min(last_panel, t.n / kPanel) * kPanel,
                columns = std::min(last_panel * kPanel, t.n);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = whole_columns; j < columns; ++j)
      c[i * t.c_stride + j] = edge[i * kPanel + j - whole_columns] + (t.options.add ? c[i * t.c_stride + j] : 0);
  const int64_t column = first_panel * kPanel;
  if (t.options.bias) add_rows(rows, columns - column, t.options.bias + column, 0, c + column, t.c_stride);
  if (t.options.residual)
    add_rows(rows, columns - column, t.options.residual + first * t.c_stride + column, t.c_stride, c + column,
             t.c_stride);
}

void multiply_blocks(int64_t m, const GemmTask& t) {
  const int64_t blocks = (m + kBlockRows - 1) / kBlockRows, n_panels = panels(t.n);
  parallel_for(blocks * n_panels, 1, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t block = begin / n_panels, first = block * m / blocks, first_panel = begin % n_panels;
      const int64_t last_panel = std::min(n_panels, first_panel + end - begin);
      gemm_block(t, first, (block + 1) * m / blocks - first, first_panel, last_panel);
      begin += last_panel - first_panel;
    }
  });
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unnoise::kernels {

HWY_EXPORT(multiply_blocks);

void pack_panels(int64_t k, int64_t n, const Matrix& b, float* packed) {
  parallel_for(panels(n), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * kPanel, columns = std::min(kPanel, n - first);
      float* out = packed + p * k * kPanel;
      if (b.column == 1) {
        for (int64_t i = 0; i < k; ++i, out += kPanel) {
          std::memcpy(out, b.data + i * b.row + first, static_cast<std::size_t>(columns) * sizeof(float));
          std::fill(out + columns, out + kPanel, 0.0F);
        }
        continue;
      }
      for (int64_t i = 0; i < k; ++i)
        for (int64_t j = 0; j < kPanel; ++j)
          out[i * kPanel + j] = j < columns ? b.data[i * b.row + (first + j) * b.column] : 0;
    }
  });
}

void gemm_packed(int64_t m, int64_t n, int64_t k, const Matrix& a, const float* packed, float* c, int64_t c_stride,
                 const GemmOptions& options) {
  HWY_DYNAMIC_DISPATCH(multiply_blocks)(m, {n, k, a, packed, c, c_stride, options});
}

void gemm(int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c, int64_t c_stride,
          const GemmOptions& options) {
  float* packed = kernel_scratch().get<float>(packed_size(k, n));
  pack_panels(k, n, b, packed);
  gemm_packed(m, n, k, a, packed, c, c_stride, options);
}

}  // namespace unnoise::kernels
#endif  // HWY_ONCE
