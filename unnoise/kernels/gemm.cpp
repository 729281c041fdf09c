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
/// Depth of a block, so that kBlockRows x kBlockDepth floats and a panel's part fit there together.
inline constexpr int64_t kBlockDepth = 512;

void add_bias(int64_t rows, int64_t columns, const float* bias, float* c, int64_t c_stride) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) c[i * c_stride + j] += bias[j];
}

/// C [rows from `first`, columns of panel p]: through a buffer where the panel is wider than C.
void gemm_block(const GemmTask& t, int64_t first, int64_t rows, int64_t p) {
  alignas(64) float edge[kBlockRows * kPanel];
  const float* row_pointers[kBlockRows];
  const int64_t column = p * kPanel, columns = std::min(kPanel, t.n - column);
  const bool whole = columns == kPanel;
  float* c = t.c + first * t.c_stride + column;
  float* to = whole ? c : edge;
  const int64_t to_stride = whole ? t.c_stride : kPanel;
  for (int64_t depth = 0; depth < t.k; depth += kBlockDepth) {
    const int64_t length = std::min(kBlockDepth, t.k - depth);
    const float* panel = t.packed + (p * t.k + depth) * kPanel;
    const bool add = depth > 0 || (t.options.add && whole);
    if (t.a.column == 1) {
      for (int64_t i = 0; i < rows; ++i) row_pointers[i] = t.a.data + (first + i) * t.a.row + depth;
      multiply_panel({row_pointers, rows, 1, length}, panel, to, to_stride, add);
    } else {
      multiply_transposed_panel(t.a.data + first + depth * t.a.column, t.a.column, rows, length, panel, kPanel, to,
                                to_stride, add);
    }
  }
  if (!whole)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        c[i * t.c_stride + j] = edge[i * kPanel + j] + (t.options.add ? c[i * t.c_stride + j] : 0);
  if (t.options.bias) add_bias(rows, columns, t.options.bias + column, c, t.c_stride);
}

void multiply_blocks(int64_t m, const GemmTask& t) {
  const int64_t blocks = (m + kBlockRows - 1) / kBlockRows, n_panels = panels(t.n);
  parallel_for(blocks * n_panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {  // panels inside: the rows of A are met again at once
      const int64_t block = i / n_panels, first = block * m / blocks;
      gemm_block(t, first, (block + 1) * m / blocks - first, i % n_panels);
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
