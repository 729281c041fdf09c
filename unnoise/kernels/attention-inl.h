// The parts of attention.cpp: products of small matrices, softmax of a block, copies between rows and columns. Included
// once a SIMD target (see hwy/foreach_target.h).
#if defined(UNNOISE_KERNELS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_ATTENTION_INL_H_
#undef UNNOISE_KERNELS_ATTENTION_INL_H_
#else
#define UNNOISE_KERNELS_ATTENTION_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <utility>

#include "unnoise/kernels/attention.h"
#include "unnoise/kernels/exp-inl.h"
#include "unnoise/kernels/vector_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using TokenTag = hn::CappedTag<float, 16>;
inline constexpr int64_t kTokenLanes = hn::MaxLanes(TokenTag());

inline constexpr float kLog2E = 0x1.715476p+0F, kLn2 = 0x1.62e43p-1F;

/// One head of one image.
template <class T>
struct Head {
  Head(const AttentionShape& s, int64_t index)
      : tokens(s.tokens),
        width(s.head_dim),
        index(index),
        in(index / s.heads * s.tokens * s.qkv_stride + index % s.heads * s.head_dim),
        out(index / s.heads * s.tokens * s.out_stride + index % s.heads * s.head_dim) {}
  int64_t tokens, width, index;
  int64_t in, out;  // where its first token lies
};

/// Rows of a product that are summed in registers at a time, each two vectors wide.
inline constexpr int kProductRows = HWY_TARGET <= HWY_AVX3 ? 14 : 6;

/// A matrix by rows, `stride` values apart.
template <class Value>
struct Rows {
  Value* data;
  int64_t stride;
  Value* operator[](int64_t i) const { return data + i * stride; }
};

template <bool kTransposed, int kRows, int kVectors, class D>
HWY_NOINLINE void product_tile(D d, Rows<const float> a, int64_t length, Rows<const float> b, Rows<float> c, bool add) {
  constexpr int64_t kLanes = hn::MaxLanes(d);
  hn::Vec<D> sums[kRows][kVectors];
  HWY_UNROLL(16)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) sums[i][v] = add ? hn::LoadU(d, c[i] + v * kLanes) : hn::Zero(d);
  }
  for (int64_t k = 0; k < length; ++k) {
    hn::Vec<D> bk[kVectors];
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) bk[v] = hn::LoadU(d, b[k] + v * kLanes);
    HWY_UNROLL(16)
    for (int i = 0; i < kRows; ++i) {
      const auto value = hn::Set(d, kTransposed ? a[k][i] : a[i][k]);
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) sums[i][v] = hn::MulAdd(value, bk[v], sums[i][v]);
    }
  }
  HWY_UNROLL(16)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sums[i][v], d, c[i] + v * kLanes);
  }
}

template <bool kTransposed, int kVectors, class D, int... kRest>
HWY_INLINE void product_rows(D d, int64_t rows, Rows<const float> a, int64_t length, Rows<const float> b, Rows<float> c,
                             bool add, std::integer_sequence<int, kRest...>) {
  (void)((rows == kRest + 1 && (product_tile<kTransposed, kRest + 1, kVectors>(d, a, length, b, c, add), true)) || ...);
}

/// C [rows, kVectors vectors] (+)= A [rows,length] B, or of A' where A is [length,rows].
template <bool kTransposed, int kVectors, class D>
HWY_INLINE void product(D d, Rows<const float> a, int64_t rows, int64_t length, Rows<const float> b, Rows<float> c,
                        bool add) {
  const int64_t tiles = (rows + kProductRows - 1) / kProductRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t begin = t * rows / tiles, end = (t + 1) * rows / tiles;
    product_rows<kTransposed, kVectors>(d, end - begin, {kTransposed ? a.data + begin : a[begin], a.stride}, length, b,
                                        {c[begin], c.stride}, add, std::make_integer_sequence<int, kProductRows>());
  }
}

/// Copies `count` rows of `width` values; those of `to` are filled up with zeros to its stride.
template <class T>
HWY_INLINE void copy_rows(Rows<const T> from, int64_t count, int64_t width, Rows<float> to) {
  for (int64_t i = 0; i < count; ++i) {
    for_vectors(width, [&](auto d, int64_t j) { hn::StoreU(load_floats(d, from[i] + j), d, to[i] + j); });
    for (int64_t j = width; j < to.stride; ++j) to[i][j] = 0;
  }
}

inline void read(const float* from, float factor, int64_t step, int64_t count, float* to) {
  for (int64_t j = 0; j < count; ++j) to[j * step] = factor * from[j];
}
inline void read(const bf16* from, float factor, int64_t step, int64_t count, float* to) {
  for (int64_t j = 0; j < count; ++j) to[j * step] = factor * to_float(from[j]);
}
inline void write(const float* from, int64_t step, float factor, int64_t count, float* to) {
  for (int64_t j = 0; j < count; ++j) to[j] = factor * from[j * step];
}
inline void write(const float* from, int64_t step, float factor, int64_t count, bf16* to) {
  for (int64_t j = 0; j < count; ++j) to[j] = to_bf16(factor * from[j * step]);
}

/// to [width, to.stride] = factor * from' with zeros in the columns from `count` on.
template <class T>
HWY_INLINE void transpose(Rows<const T> from, int64_t count, int64_t width, float factor, Rows<float> to) {
  for (int64_t i = 0; i < count; ++i) read(from[i], factor, to.stride, width, to.data + i);
  for (int64_t i = count; i < to.stride; ++i)
    for (int64_t j = 0; j < width; ++j) to[j][i] = 0;
}

/// The softmax as it stands after some keys, of one query a lane: exponentials in base 2, relative to the largest
/// score.
template <int kVectors>
struct RunningSoftmax {
  hn::Vec<TokenTag> largest[kVectors], sum[kVectors], rescale[kVectors];

  RunningSoftmax() {
    const TokenTag d;
    for (int v = 0; v < kVectors; ++v) {
      largest[v] = hn::Set(d, -3e38F);
      sum[v] = hn::Zero(d);
    }
  }

  /// Turns the scores of more keys into exponentials; sums so far are to be multiplied by `rescale`.
  HWY_INLINE void add(int64_t keys, float* HWY_RESTRICT scores) {
    const TokenTag d;
    constexpr int64_t kWidth = kVectors * kTokenLanes;
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      float* const column = scores + v * kTokenLanes;
      auto top = largest[v], other = largest[v];
      int64_t k = 0;
      for (; k + 2 <= keys; k += 2) {
        top = hn::Max(top, hn::LoadU(d, column + k * kWidth));
        other = hn::Max(other, hn::LoadU(d, column + (k + 1) * kWidth));
      }
      if (k < keys) top = hn::Max(top, hn::LoadU(d, column + k * kWidth));
      top = hn::Max(top, other);
      rescale[v] = exp2(d, hn::Sub(largest[v], top));
      largest[v] = top;
      auto total = hn::Mul(sum[v], rescale[v]);
      for (k = 0; k < keys; ++k) {
        const auto p = exp2(d, hn::Sub(hn::LoadU(d, column + k * kWidth), top));
        total = hn::Add(total, p);
        hn::StoreU(p, d, column + k * kWidth);
      }
      sum[v] = total;
    }
  }
};

/// scores [queries, kVectors] to exponentials 2^(score - log_sum), and products to exponential * (product -
/// product_sum).
template <int kVectors>
HWY_INLINE void softmax_gradient(int64_t queries, const float* log_sum, const float* product_sum,
                                 float* HWY_RESTRICT scores, float* HWY_RESTRICT products) {
  const TokenTag d;
  for (int64_t i = 0; i < queries; ++i) {
    const auto shift = hn::Set(d, log_sum[i]), sum = hn::Set(d, product_sum[i]);
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = (i * kVectors + v) * kTokenLanes;
      const auto p = exp2(d, hn::Sub(hn::LoadU(d, scores + at), shift));
      hn::StoreU(p, d, scores + at);
      hn::StoreU(hn::Mul(p, hn::Sub(hn::LoadU(d, products + at), sum)), d, products + at);
    }
  }
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_ATTENTION_INL_H_
