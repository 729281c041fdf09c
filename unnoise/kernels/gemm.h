// Products of float32 matrices, in the shapes that networks need.
//
// B is read in panels of kPanel columns, packed so that a panel's rows follow each other: [n/kPanel][k][kPanel], the
// last panel filled with zeros. A tile of C stays in registers while a panel streams past it (Goto and van de Geijn
// 2008).
#pragma once

#include <cstdint>

namespace unnoise::kernels {

inline constexpr int64_t kPanel = 32;

constexpr int64_t panels(int64_t n) { return (n + kPanel - 1) / kPanel; }

/// A strided view: element (i, j) is data[i * row + j * column].
struct Matrix {
  const float* data = nullptr;
  int64_t row = 0;
  int64_t column = 1;
};

constexpr int64_t packed_size(int64_t k, int64_t n) { return panels(n) * k * kPanel; }

/// Packs B [k,n] into panels: packed_size(k, n) floats, aligned to 64 bytes.
void pack_panels(int64_t k, int64_t n, const Matrix& b, float* packed);

/// C [m,n] = A [m,k] B [k,n] (+ C with `add`) (+ bias [n] and residual [m,n] where given). Rows of C, and of the
/// residual, are c_stride apart. Uses all threads; the result does not depend on how many.
struct GemmOptions {
  bool add = false;
  const float* bias = nullptr;
  const float* residual = nullptr;
};
void gemm(int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c, int64_t c_stride,
          const GemmOptions& options = {});
/// The same with a B that was packed before.
void gemm_packed(int64_t m, int64_t n, int64_t k, const Matrix& a, const float* packed, float* c, int64_t c_stride,
                 const GemmOptions& options = {});

}  // namespace unnoise::kernels
