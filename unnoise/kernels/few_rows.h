// Products of a few rows with a matrix that is read once, as it lies: a linear layer of a batch of one.
#pragma once

#include <cstdint>

namespace unnoise::kernels {

/// y [rows,out] = x [rows,in] times the transpose of w [out,in], + bias [out] (may be null). The work is shared out by
/// outputs, so the result does not depend on the number of threads, nor on other rows.
void multiply_few_rows(int64_t rows, int64_t in, int64_t out, const float* x, const float* w, const float* bias,
                       float* y);

}  // namespace unnoise::kernels
