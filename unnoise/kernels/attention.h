// Attention of all tokens of an image to each other, head by head, without the matrix of their scores in memory (Dao et
// al. 2022): a block of it at a time, of which the backward pass computes every part again.
#pragma once

#include <cstdint>

namespace unnoise::kernels {

/// Token t of image i has its q, k and v at row i * tokens + t of their matrices; rows are `qkv_stride` values apart,
/// so that the three may be columns of one matrix. Head h has the columns from h * head_dim on. The result and its
/// gradient have rows `out_stride` apart.
struct AttentionShape {
  int64_t images = 0;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t qkv_stride = 0;
  int64_t out_stride = 0;
};

template <class T>
struct AttentionInputs {
  const T* q;
  const T* k;
  const T* v;
};

/// out = softmax(q k' / sqrt(head_dim)) v (Vaswani et al. 2017, eq. 1). T is float or bf16; with bf16, wide heads are
/// multiplied in bf16 where the processor can, their weights rounded to it. Writes the logarithm of the softmax's
/// denominator, [images,heads,tokens], where log_sum is given; the backward pass needs it.
template <class T>
void attention(const AttentionShape& shape, const AttentionInputs<T>& in, T* out, float* log_sum);

/// What attention read and wrote.
template <class T>
struct AttentionSaved {
  AttentionInputs<T> in;
  const T* out;
  const float* log_sum;
};

/// Gradients of q, k and v, in rows as theirs, from that of out.
template <class T>
void attention_backward(const AttentionShape& shape, const AttentionSaved<T>& saved, const T* out_gradient, T* dq,
                        T* dk, T* dv);

}  // namespace unnoise::kernels
