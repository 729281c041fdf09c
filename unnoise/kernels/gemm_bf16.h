// The inner loops of gemm-inl.h for bfloat16 factors and float32 sums, on processors that multiply pairs of bfloat16
// (AVX512-BF16). The only code here for one instruction set: the Highway of today's distributions has no word for it.
#pragma once

#include <cstdint>

#include "unnoise/kernels/scalar.h"

namespace unnoise::kernels {

/// Whether this processor has the instructions. Without them the other functions must not be called.
bool has_bf16_products();
/// For tests: pretends that it has not.
void disable_bf16_products(bool disabled);

/// C [row_count, kPanel] (+)= A * B: row i of A begins at rows[i], `length` (even) values; B is [length/2][kPanel][2].
void multiply_panel_bf16(const bf16* const* rows, int64_t row_count, int64_t length, const bf16* b, float* c,
                         int64_t c_stride, bool add);

/// C [rows, kPanel] (+)= A' * B with A [length/2][a_stride][2] and B [length/2][b_stride][2]; strides in pairs.
void multiply_transposed_panel_bf16(const bf16* a, int64_t a_stride, int64_t rows, int64_t length, const bf16* b,
                                    int64_t b_stride, float* c, int64_t c_stride, bool add);

}  // namespace unnoise::kernels
