// Attention of tokens to each other on the kernel of kernels/attention.h.
#pragma once

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// softmax(q k' / sqrt(d)) v in every head (Vaswani et al. 2017, eq. 1). [B,N,3*heads*d] -> [B,N,heads*d]; q, k and v
/// lie side by side, the heads of each too. float32 or bfloat16 on the processor. Differentiable once; for the way back
/// it keeps its input, its output and a number a row.
Tensor self_attention(const Tensor& qkv, int64_t heads);

/// The same of q, k and v in tensors of their own, [B,N,heads*d] each.
Tensor self_attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads);

}  // namespace unnoise
