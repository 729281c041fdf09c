#include "unnoise/kernels/attention.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unnoise/kernels/attention.cpp"
#include <hwy/foreach_target.h>  // must come before the inner loops

#include "unnoise/kernels/attention-inl.h"
#include "unnoise/kernels/attention_pairs-inl.h"
#include "unnoise/kernels/parallel.h"
#include "unnoise/kernels/scratch.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

/// Tokens of the other side that a block of scores has: a block of 64 rows stays in the first cache.
inline constexpr int64_t kBlock = 64;

/// Cuts scratch memory into parts that begin on cache lines.
struct Cutter {
  float* next;
  float* take(int64_t count) {
    float* const part = next;
    next += size(count);
    return part;
  }
  static int64_t size(int64_t count) { return (count + 15) / 16 * 16; }
};

/// Calls f(begin, length) on parts of [0,n) of nearly equal length, at most kBlock.
template <class F>
HWY_INLINE void for_blocks(int64_t n, const F& f) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  for (int64_t b = 0; b < blocks; ++b) f(b * n / blocks, (b + 1) * n / blocks - b * n / blocks);
}

/// Calls f with the vectors to take, as a constant, and first and length of parts of [0,n): two vectors wide, the last
/// one where that is enough.
template <class F>
HWY_INLINE void for_lanes(int64_t n, const F& f) {
  for (int64_t i = 0; i < n; i += 2 * kTokenLanes) {
    if (n - i > kTokenLanes)
      f(std::integral_constant<int, 2>(), i, std::min(n - i, 2 * kTokenLanes));
    else
      f(std::integral_constant<int, 1>(), i, n - i);
  }
}

/// The floats of scratch that `queries` needs beside the copies of k and v.
inline int64_t query_scratch(int64_t width) { return 2 * kTokenLanes * (2 * width + kBlock) + 64; }

/// The results of up to kVectors vectors of queries, a query a lane.
template <int kVectors, class T>
void attend(const AttentionShape& s, const Head<T>& head, Rows<const T> q, int64_t queries, Rows<const float> k,
            Rows<const float> v, Cutter scratch, Rows<T> out, float* log_sum) {
  const TokenTag d;
  constexpr int64_t kWidth = kVectors * kTokenLanes;
  const int64_t width = s.head_dim;
  const Rows<float> queries_t{scratch.take(width * kWidth), kWidth}, out_t{scratch.take(width * kWidth), kWidth};
  const Rows<float> scores{scratch.take(kBlock * kWidth), kWidth};
  transpose(q, queries, width, kLog2E / std::sqrt(static_cast<float>(width)), queries_t);
  RunningSoftmax<kVectors> softmax;
  for_blocks(head.tokens, [&](int64_t first, int64_t keys) {
    product<false, kVectors>(d, {k[first], k.stride}, keys, width, {queries_t.data, kWidth}, scores, false);
    softmax.add(keys, scores.data);
    if (first > 0)
      for (int64_t j = 0; j < width; ++j)
        for (int i = 0; i < kVectors; ++i) {
          float* const at = out_t[j] + i * kTokenLanes;
          hn::Store(hn::Mul(hn::Load(d, at), softmax.rescale[i]), d, at);
        }
    product<true, kVectors>(d, {v[first], v.stride}, width, keys, {scores.data, kWidth}, out_t, first > 0);
  });
  float inverse[kWidth], logarithm[kWidth];
  for (int i = 0; i < kVectors; ++i) {
    hn::StoreU(hn::Div(hn::Set(d, 1.0F), softmax.sum[i]), d, inverse + i * kTokenLanes);
    if (log_sum)
      hn::StoreU(hn::MulAdd(softmax.largest[i], hn::Set(d, kLn2), hn::Log(d, softmax.sum[i])), d,
                 logarithm + i * kTokenLanes);
  }
  for (int64_t i = 0; i < queries; ++i) write(out_t.data + i, kWidth, inverse[i], width, out[i]);
  if (log_sum) std::copy_n(logarithm, queries, log_sum);
}

template <class T>
void attention_loops(const AttentionShape& s, const AttentionInputs<T>& in, T* out, float* log_sum) {
  constexpr int64_t kWidth = 2 * kTokenLanes;
  const int64_t per_head = (s.tokens + kWidth - 1) / kWidth, copy = Cutter::size(s.tokens * s.head_dim);
  const int64_t work = s.tokens * kWidth * (s.head_dim + 8);
  static thread_local Scratch memory;
  parallel_for(s.images * s.heads * per_head, 1 + 100000 / work, [&](int64_t begin, int64_t end) {
    Cutter scratch{memory.get<float>(2 * copy + query_scratch(s.head_dim))};
    const Rows<float> k{scratch.take(copy), s.head_dim}, v{scratch.take(copy), s.head_dim};
    for (int64_t item = begin; item < end; ++item) {
      const Head<T> head(s, item / per_head);
      if (item == begin || item % per_head == 0) {
        copy_rows<T>({in.k + head.in, s.qkv_stride}, s.tokens, s.head_dim, k);
        copy_rows<T>({in.v + head.in, s.qkv_stride}, s.tokens, s.head_dim, v);
      }
      const int64_t first = item % per_head * kWidth, queries = std::min(kWidth, s.tokens - first);
      for_lanes(queries, [&](auto vectors, int64_t, int64_t) {
        attend<vectors, T>(s, head, {in.q + head.in + first * s.qkv_stride, s.qkv_stride}, queries, {k.data, k.stride},
                           {v.data, v.stride}, scratch, {out + head.out + first * s.out_stride, s.out_stride},
                           log_sum ? log_sum + head.index * s.tokens + first : nullptr);
      });
    }
  });
}

/// What the backward pass keeps of a head while it goes through the keys; rows are filled up to whole vectors.
struct HeadCopies {
  Rows<float> q, out_gradient, dq;
  float* log_sum;      // in base 2
  float* product_sum;  // of out and its gradient, by query
};

/// The parts of a head's gradients that belong to up to kVectors vectors of keys, a key a lane.
template <int kVectors, class RowTag, class T>
void attend_backward(const Head<T>& head, const HeadCopies& copies, RowTag row_tag, Rows<const T> k, Rows<const T> v,
                     int64_t keys, Cutter scratch, Rows<T> dk, Rows<T> dv) {
  const TokenTag d;
  constexpr int64_t kWidth = kVectors * kTokenLanes, kRowLanes = hn::MaxLanes(row_tag);
  const int64_t width = head.width, row = copies.q.stride;
  const float scale = 1 / std::sqrt(static_cast<float>(width));
  const auto columns = [&] { return Rows<float>{scratch.take(width * kWidth), kWidth}; };
  const Rows<float> k_t = columns(), v_t = columns(), dk_t = columns(), dv_t = columns();
  const Rows<float> k_rows{scratch.take(kWidth * row), row};
  float *const scores = scratch.take(kBlock * kWidth), *const products = scratch.take(kBlock * kWidth);
  transpose(k, keys, width, scale * kLog2E, k_t);
  transpose(v, keys, width, 1, v_t);
  copy_rows(k, keys, width, k_rows);
  for_blocks(head.tokens, [&](int64_t first, int64_t queries) {
    const bool more = first > 0;
    const auto from = [&](const Rows<float>& m) { return Rows<const float>{m[first], m.stride}; };
    const auto view = [&](const float* block) { return Rows<const float>{block, kWidth}; };
    product<false, kVectors>(d, from(copies.q), queries, width, view(k_t.data), {scores, kWidth}, false);
    product<false, kVectors>(d, from(copies.out_gradient), queries, width, view(v_t.data), {products, kWidth}, false);
    softmax_gradient<kVectors>(queries, copies.log_sum + first, copies.product_sum + first, scores, products);
    product<true, kVectors>(d, from(copies.out_gradient), width, queries, view(scores), dv_t, more);
    product<true, kVectors>(d, from(copies.q), width, queries, view(products), dk_t, more);
    int64_t j = 0;
    for (; j + 2 * kRowLanes <= row; j += 2 * kRowLanes)
      product<false, 2>(row_tag, view(products), queries, keys, {k_rows.data + j, row}, {copies.dq[first] + j, row},
                        true);
    if (j < row)
      product<false, 1>(row_tag, view(products), queries, keys, {k_rows.data + j, row}, {copies.dq[first] + j, row},
                        true);
  });
  for (int64_t i = 0; i < keys; ++i) {
    write(dk_t.data + i, kWidth, scale, width, dk[i]);
    write(dv_t.data + i, kWidth, 1, width, dv[i]);
  }
}

/// Narrow heads take narrow vectors where a row of theirs is one.
template <class RowTag, class T>
void backward_loops(RowTag row_tag, const AttentionShape& s, const AttentionSaved<T>& saved, const T* out_gradient,
                    T* dq, T* dk, T* dv) {
  constexpr int64_t kLanes = hn::MaxLanes(row_tag);
  const int64_t row = (s.head_dim + kLanes - 1) / kLanes * kLanes, copy = Cutter::size(s.tokens * row);
  const int64_t sums = Cutter::size(s.tokens);
  const int64_t block = 2 * kTokenLanes * (4 * s.head_dim + row + 2 * kBlock) + 128;
  const int64_t work = s.tokens * s.tokens * (s.head_dim + 4);
  static thread_local Scratch memory;
  parallel_for(s.images * s.heads, 1 + 50000 / work, [&](int64_t begin, int64_t end) {
    Cutter scratch{memory.get<float>(3 * copy + 2 * sums + block)};
    const auto rows = [&] { return Rows<float>{scratch.take(copy), row}; };
    const HeadCopies copies{rows(), rows(), rows(), scratch.take(sums), scratch.take(sums)};
    for (int64_t item = begin; item < end; ++item) {
      const Head<T> head(s, item);
      const auto in = [&](auto* matrix, int64_t first = 0) {
        return Rows<std::remove_pointer_t<decltype(matrix)>>{matrix + head.in + first * s.qkv_stride, s.qkv_stride};
      };
      copy_rows(in(saved.in.q), s.tokens, s.head_dim, copies.q);
      copy_rows<T>({out_gradient + head.out, s.out_stride}, s.tokens, s.head_dim, copies.out_gradient);
      std::fill_n(copies.dq.data, s.tokens * row, 0.0F);
      for (int64_t t = 0; t < s.tokens; ++t) {
        const T* const out = saved.out + head.out + t * s.out_stride;
        float sum = 0;
        for (int64_t j = 0; j < s.head_dim; ++j) sum += copies.out_gradient[t][j] * to_float(out[j]);
        copies.product_sum[t] = sum;
        copies.log_sum[t] = kLog2E * saved.log_sum[item * s.tokens + t];
      }
      for_lanes(s.tokens, [&](auto vectors, int64_t first, int64_t keys) {
        attend_backward<vectors>(head, copies, row_tag, in(saved.in.k, first), in(saved.in.v, first), keys, scratch,
                                 in(dk, first), in(dv, first));
      });
      const float scale = 1 / std::sqrt(static_cast<float>(s.head_dim));
      for (int64_t t = 0; t < s.tokens; ++t) write(copies.dq[t], 1, scale, s.head_dim, in(dq)[t]);
    }
  });
}

template <class T>
void attention_backward_loops(const AttentionShape& s, const AttentionSaved<T>& saved, const T* out_gradient, T* dq,
                              T* dk, T* dv) {
  if (s.head_dim <= 8)
    backward_loops(hn::CappedTag<float, 8>(), s, saved, out_gradient, dq, dk, dv);
  else
    backward_loops(TokenTag(), s, saved, out_gradient, dq, dk, dv);
}

void attention_float(const AttentionShape& s, const AttentionInputs<float>& in, float* out, float* log_sum) {
  attention_loops(s, in, out, log_sum);
}
void attention_bf16(const AttentionShape& s, const AttentionInputs<bf16>& in, bf16* out, float* log_sum) {
  if (takes_pairs(s)) return attend_in_pairs(s, in, out, log_sum);
  attention_loops(s, in, out, log_sum);
}
void attention_backward_float(const AttentionShape& s, const AttentionSaved<float>& saved, const float* out_gradient,
                              float* dq, float* dk, float* dv) {
  attention_backward_loops(s, saved, out_gradient, dq, dk, dv);
}
void attention_backward_bf16(const AttentionShape& s, const AttentionSaved<bf16>& saved, const bf16* out_gradient,
                             bf16* dq, bf16* dk, bf16* dv) {
  if (takes_pairs(s)) return attend_backward_in_pairs(s, saved, out_gradient, dq, dk, dv);
  attention_backward_loops(s, saved, out_gradient, dq, dk, dv);
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unnoise::kernels {

HWY_EXPORT(attention_float);
HWY_EXPORT(attention_bf16);
HWY_EXPORT(attention_backward_float);
HWY_EXPORT(attention_backward_bf16);

template <class T>
void attention(const AttentionShape& s, const AttentionInputs<T>& in, T* out, float* log_sum) {
  if constexpr (std::is_same_v<T, float>)
    HWY_DYNAMIC_DISPATCH(attention_float)(s, in, out, log_sum);
  else
    HWY_DYNAMIC_DISPATCH(attention_bf16)(s, in, out, log_sum);
}

template <class T>
void attention_backward(const AttentionShape& s, const AttentionSaved<T>& saved, const T* out_gradient, T* dq, T* dk,
                        T* dv) {
  if constexpr (std::is_same_v<T, float>)
    HWY_DYNAMIC_DISPATCH(attention_backward_float)(s, saved, out_gradient, dq, dk, dv);
  else
    HWY_DYNAMIC_DISPATCH(attention_backward_bf16)(s, saved, out_gradient, dq, dk, dv);
}

template void attention(const AttentionShape&, const AttentionInputs<float>&, float*, float*);
template void attention(const AttentionShape&, const AttentionInputs<bf16>&, bf16*, float*);
template void attention_backward(const AttentionShape&, const AttentionSaved<float>&, const float*, float*, float*,
                                 float*);
template void attention_backward(const AttentionShape&, const AttentionSaved<bf16>&, const bf16*, bf16*, bf16*, bf16*);

}  // namespace unnoise::kernels
#endif
