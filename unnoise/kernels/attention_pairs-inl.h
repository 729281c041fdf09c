// Attention of wide heads of bfloat16 in products of pairs (gemm_bf16.h). Rows are queries; vectors hold keys, or the
// values of a head. The softmax's weights and the scores' gradients are rounded to bfloat16 before they are multiplied,
// as PyTorch does; sums are float32. Included once a SIMD target (see hwy/foreach_target.h).
#if defined(UNNOISE_KERNELS_ATTENTION_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNNOISE_KERNELS_ATTENTION_PAIRS_INL_H_
#undef UNNOISE_KERNELS_ATTENTION_PAIRS_INL_H_
#else
#define UNNOISE_KERNELS_ATTENTION_PAIRS_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstring>

#include "unnoise/kernels/attention-inl.h"
#include "unnoise/kernels/gemm_bf16.h"
#include "unnoise/kernels/pairs-inl.h"
#include "unnoise/kernels/parallel.h"
#include "unnoise/kernels/scratch.h"
#include "unnoise/kernels/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

/// Whether the products are to be had, and rows of the shape are whole vectors of pairs. A narrow head would leave most
/// of a panel empty.
inline bool takes_pairs(const AttentionShape& s) {
  return kLanes == 16 && has_bf16_products() && s.head_dim >= 32 && s.head_dim % kLanes == 0 && s.qkv_stride % 2 == 0 &&
         s.out_stride % 2 == 0;
}

/// Numbers of tokens, filled up to pairs and to panels.
struct PairTokens {
  explicit PairTokens(int64_t count)
      : count(count), even((count + 1) / 2 * 2), padded((count + kPanel - 1) / kPanel * kPanel) {}
  int64_t count, even, padded;
};

/// A matrix as the second factor of products: panels of kPanel columns, rows in pairs, [rows/2][kPanel][2].
struct PairPanels {
  bf16* data;
  int64_t rows;

  static int64_t size(int64_t rows, int64_t columns) { return rows * ((columns + kPanel - 1) / kPanel) * kPanel; }
  int64_t panel_size() const { return rows * kPanel; }
  bf16* operator[](int64_t panel) const { return data + panel * panel_size(); }
};

/// `count` rows of `width` values as they stand; a missing last row of a pair and missing columns are zeros.
HWY_INLINE void pair_rows(Rows<const bf16> from, int64_t count, int64_t width, PairPanels to) {
  for (int64_t first = 0; first < width; first += kPanel) {
    bf16* panel = to[first / kPanel];
    const int64_t columns = std::min(kPanel, width - first);
    for (int64_t i = 0; i < count; i += 2, panel += 2 * kPanel) {
      pair_two_rows(from[i] + first, i + 1 < count ? from[i + 1] + first : nullptr, columns, panel);
      std::fill(panel + 2 * columns, panel + 2 * kPanel, bf16{});
    }
  }
}

/// The transpose of `count` rows of `width` values.
HWY_INLINE void pair_columns(Rows<const bf16> from, int64_t count, int64_t width, PairPanels to) {
  for (int64_t first = 0; first < PairTokens(count).padded; first += kLanes) {
    auto* const panel = reinterpret_cast<float*>(to[first / kPanel] + first % kPanel * 2);  // a pair as a float
    if (first + kLanes <= count) {
      for (int64_t j = 0; j < width / 2; j += 4) {
        Vec four[4];
        load_four(reinterpret_cast<const float*>(from[first]) + j, from.stride / 2, four);
        for (int64_t t = 0; t < 4; ++t) hn::StoreU(four[t], kFloats, panel + (j + t) * kPanel);
      }
      continue;
    }
    for (int64_t i = 0; i < kLanes; ++i)
      for (int64_t j = 0; j < width / 2; ++j)
        if (first + i < count)
          std::memcpy(panel + j * kPanel + i, from[first + i] + 2 * j, sizeof(float));
        else
          panel[j * kPanel + i] = 0;
  }
}

/// c [rows, width] = factor * sums of its panels, which `multiply(panel, sums, kPanel)` makes.
template <class T, class Factor, class Multiply>
HWY_INLINE void write_panels(int64_t rows, int64_t width, float* sums, const Factor& factor, Rows<T> c,
                             const Multiply& multiply) {
  for (int64_t first = 0; first < width; first += kPanel) {
    multiply(first / kPanel, sums);
    for (int64_t i = 0; i < rows; ++i) {
      const Vec f = hn::Set(kFloats, factor(i));
      for (int64_t j = 0; j < std::min(kPanel, width - first); j += kLanes)
        store_floats(kFloats, hn::Mul(f, hn::LoadU(kFloats, sums + i * kPanel + j)), c[i] + first + j);
    }
  }
}

/// scores [tokens.padded] of a query to weights that lack the division by their sum, which it returns as the sum's
/// inverse; the logarithm of the softmax's denominator to log_sum where that is given.
HWY_INLINE float softmax_row(PairTokens tokens, float scale, float* scores, bf16* weights, float* log_sum) {
  std::fill(scores + tokens.count, scores + tokens.padded, -3e38F);
  Vec largest = hn::Set(kFloats, -3e38F);
  for (int64_t k = 0; k < tokens.padded; k += kLanes) largest = hn::Max(largest, hn::LoadU(kFloats, scores + k));
  const float top = hn::GetLane(hn::MaxOfLanes(kFloats, largest)) * scale;
  const Vec factor = hn::Set(kFloats, scale), shift = hn::Set(kFloats, top);
  Vec total = hn::Zero(kFloats);
  for (int64_t k = 0; k < tokens.padded; k += kLanes) {
    const Vec p = exp2(kFloats, hn::MulSub(hn::LoadU(kFloats, scores + k), factor, shift));
    total = hn::Add(total, p);
    store_factor(p, weights + k);
  }
  const float sum = hn::GetLane(hn::SumOfLanes(kFloats, total));
  if (log_sum) *log_sum = top * kLn2 + std::log(sum);
  return 1 / sum;
}

inline void attend_in_pairs(const AttentionShape& s, const AttentionInputs<bf16>& in, bf16* out, float* log_sum) {
  constexpr int64_t kQueries = 28;  // two tiles of rows
  const PairTokens tokens(s.tokens);
  const int64_t width = s.head_dim, per_head = (s.tokens + kQueries - 1) / kQueries;
  const float scale = kLog2E / std::sqrt(static_cast<float>(width));
  parallel_for(s.images * s.heads * per_head, 1 + 4000 / (s.tokens * width), [&](int64_t begin, int64_t end) {
    static thread_local Scratch pair_memory, score_memory, weight_memory;
    const int64_t k_size = PairPanels::size(width, tokens.padded), v_size = PairPanels::size(tokens.even, width);
    const PairPanels k{pair_memory.get<bf16>(k_size + v_size), width}, v{k.data + k_size, tokens.even};
    const Rows<float> scores{score_memory.get<float>(kQueries * tokens.padded), tokens.padded};
    const Rows<bf16> weights{weight_memory.get<bf16>(kQueries * tokens.padded), tokens.padded};
    const bf16 *query_rows[kQueries], *weight_rows[kQueries];
    float inverse[kQueries];
    alignas(64) float sums[kQueries * kPanel];
    for (int64_t item = begin; item < end; ++item) {
      const Head<bf16> head(s, item / per_head);
      const auto rows = [&](const bf16* matrix) { return Rows<const bf16>{matrix + head.in, s.qkv_stride}; };
      if (item == begin || item % per_head == 0) {
        pair_columns(rows(in.k), s.tokens, width, k);
        pair_rows(rows(in.v), s.tokens, width, v);
      }
      const int64_t first = item % per_head * s.tokens / per_head;
      const int64_t count = (item % per_head + 1) * s.tokens / per_head - first;
      for (int64_t i = 0; i < count; ++i) query_rows[i] = rows(in.q)[first + i], weight_rows[i] = weights[i];
      for (int64_t p = 0; p < tokens.padded / kPanel; ++p)
        multiply_panel_bf16(query_rows, count, width, k[p], scores.data + p * kPanel, scores.stride, false);
      for (int64_t i = 0; i < count; ++i)
        inverse[i] = softmax_row(tokens, scale, scores[i], weights[i],
                                 log_sum ? log_sum + head.index * s.tokens + first + i : nullptr);
      write_panels(
          count, width, sums, [&](int64_t i) { return inverse[i]; },
          Rows<bf16>{out + head.out + first * s.out_stride, s.out_stride},
          [&](int64_t panel, float* to) {
            multiply_panel_bf16(weight_rows, count, tokens.even, v[panel], to, kPanel, false);
          });
    }
  });
}

/// What the backward pass makes of a block of queries: the softmax's weights and the gradients of the scores, both as
/// pairs of queries, [queries/2][stride][2], the latter also by rows.
struct BlockGradients {
  bf16 *weight_pairs, *score_pairs;
  int64_t stride;
  Rows<bf16> score_rows;
};

/// From scores and the products of out's gradient with v, both [queries][tokens.padded].
HWY_INLINE void softmax_gradient_in_pairs(PairTokens tokens, int64_t queries, float scale, const float* log_sum,
                                          const float* product_sum, Rows<float> scores, Rows<float> products,
                                          const BlockGradients& to) {
  for (int64_t i = 0; i < queries; i += 2) {
    const bool both = i + 1 < queries;
    const int64_t odd = both ? i + 1 : i;
    for (const int64_t row : {i, odd}) std::fill(scores[row] + tokens.count, scores[row] + tokens.padded, -3e38F);
    const auto weight = [&](int64_t row, int64_t k) {
      return exp2(kFloats, hn::MulSub(hn::LoadU(kFloats, scores[row] + k), hn::Set(kFloats, scale),
                                      hn::Set(kFloats, log_sum[row])));
    };
    const auto gradient = [&](int64_t row, int64_t k, Vec p) {
      return hn::Mul(p, hn::Sub(hn::LoadU(kFloats, products[row] + k), hn::Set(kFloats, product_sum[row])));
    };
    auto* const weights = reinterpret_cast<uint32_t*>(to.weight_pairs + i * to.stride);
    auto* const gradients = reinterpret_cast<uint32_t*>(to.score_pairs + i * to.stride);
    for (int64_t k = 0; k < tokens.padded; k += kLanes) {
      const Vec p0 = weight(i, k), p1 = both ? weight(odd, k) : hn::Zero(kFloats);
      const Vec d0 = gradient(i, k, p0), d1 = gradient(odd, k, p1);
      hn::StoreU(paired(p0, p1), kWords, weights + k);
      hn::StoreU(paired(d0, d1), kWords, gradients + k);
      store_factor(d0, to.score_rows[i] + k);
      if (both) store_factor(d1, to.score_rows[odd] + k);
    }
  }
}

/// One head's gradients, a block of queries after another (Dao et al. 2022, algorithm 4, with all keys in a block).
class PairedHeadBackward {
 public:
  explicit PairedHeadBackward(const AttentionShape& s)
      : shape_(s),
        tokens_(s.tokens),
        block_(std::clamp<int64_t>(kBlockScores / tokens_.padded / 2 * 2, 16, kMostQueries)),
        padded_width_((s.head_dim + kPanel - 1) / kPanel * kPanel),
        pair_stride_(tokens_.padded + kLanes) {
    const int64_t columns = PairPanels::size(s.head_dim, tokens_.padded);
    const int64_t rows = PairPanels::size(tokens_.even, s.head_dim);
    static thread_local Scratch halves, floats;
    bf16* half = halves.get<bf16>(2 * columns + 3 * rows + block_ * (2 * pair_stride_ + tokens_.padded));
    const auto panels_of = [&](int64_t depth, int64_t size) {
      half += size;
      return PairPanels{half - size, depth};
    };
    k_t_ = panels_of(s.head_dim, columns);
    v_t_ = panels_of(s.head_dim, columns);
    q_ = panels_of(tokens_.even, rows);
    k_ = panels_of(tokens_.even, rows);
    out_gradient_ = panels_of(tokens_.even, rows);
    gradients_ = {half, half + block_ * pair_stride_, pair_stride_, {half + 2 * block_ * pair_stride_, tokens_.padded}};
    float* at =
        floats.get<float>(2 * block_ * tokens_.padded + 2 * s.tokens * padded_width_ + block_ * kPanel + 2 * s.tokens);
    const auto rows_of = [&](int64_t count, int64_t stride) {
      at += count * stride;
      return Rows<float>{at - count * stride, stride};
    };
    scores_ = rows_of(block_, tokens_.padded);
    products_ = rows_of(block_, tokens_.padded);
    dk_ = rows_of(s.tokens, padded_width_);
    dv_ = rows_of(s.tokens, padded_width_);
    sums_ = rows_of(block_, kPanel).data;
    log_sum_ = rows_of(1, s.tokens).data;
    product_sum_ = rows_of(1, s.tokens).data;
  }

  void operator()(int64_t index, const AttentionSaved<bf16>& saved, const bf16* out_gradient, bf16* dq, bf16* dk,
                  bf16* dv) const {
    const AttentionShape& s = shape_;
    const Head<bf16> head(s, index);
    const auto in_rows = [&]<class T>(T* matrix) { return Rows<T>{matrix + head.in, s.qkv_stride}; };
    const Rows<const bf16> q = in_rows(saved.in.q), d_out{out_gradient + head.out, s.out_stride};
    pair_columns(in_rows(saved.in.k), s.tokens, s.head_dim, k_t_);
    pair_columns(in_rows(saved.in.v), s.tokens, s.head_dim, v_t_);
    pair_rows(q, s.tokens, s.head_dim, q_);
    pair_rows(in_rows(saved.in.k), s.tokens, s.head_dim, k_);
    pair_rows(d_out, s.tokens, s.head_dim, out_gradient_);
    for (int64_t t = 0; t < s.tokens; ++t) {
      product_sum_[t] = dot(d_out[t], saved.out + head.out + t * s.out_stride, s.head_dim);
      log_sum_[t] = kLog2E * saved.log_sum[index * s.tokens + t];
    }
    for (int64_t first = 0; first < s.tokens; first += block_)
      add_block(first, std::min(block_, s.tokens - first), q, d_out, in_rows(dq));
    write(dk_, 1 / std::sqrt(static_cast<float>(s.head_dim)), in_rows(dk));
    write(dv_, 1, in_rows(dv));
  }

 private:
  // Of a block: the scores that stay in the second cache, and queries.
  static constexpr int64_t kBlockScores = 32768, kMostQueries = 128;

  static float dot(const bf16* a, const bf16* b, int64_t count) {
    Vec sum = hn::Zero(kFloats);
    for (int64_t j = 0; j < count; j += kLanes)
      sum = hn::MulAdd(load_floats(kFloats, a + j), load_floats(kFloats, b + j), sum);
    return hn::GetLane(hn::SumOfLanes(kFloats, sum));
  }

  void add_block(int64_t first, int64_t queries, Rows<const bf16> q, Rows<const bf16> d_out, Rows<bf16> dq) const {
    const int64_t width = shape_.head_dim, token_panels = tokens_.padded / kPanel;
    const float scale = 1 / std::sqrt(static_cast<float>(width));
    const bf16 *q_rows[kMostQueries], *d_out_rows[kMostQueries], *score_rows[kMostQueries];
    for (int64_t i = 0; i < queries; ++i) {
      q_rows[i] = q[first + i];
      d_out_rows[i] = d_out[first + i];
      score_rows[i] = gradients_.score_rows[i];
    }
    for (int64_t p = 0; p < token_panels; ++p) {
      multiply_panel_bf16(q_rows, queries, width, k_t_[p], scores_.data + p * kPanel, scores_.stride, false);
      multiply_panel_bf16(d_out_rows, queries, width, v_t_[p], products_.data + p * kPanel, products_.stride, false);
    }
    softmax_gradient_in_pairs(tokens_, queries, scale * kLog2E, log_sum_ + first, product_sum_ + first, scores_,
                              products_, gradients_);
    for (int64_t p = 0; p < padded_width_ / kPanel; ++p) {
      multiply_transposed_panel_bf16(gradients_.weight_pairs, gradients_.stride, shape_.tokens, queries,
                                     out_gradient_[p] + first * kPanel, kPanel, dv_.data + p * kPanel, dv_.stride,
                                     first > 0);
      multiply_transposed_panel_bf16(gradients_.score_pairs, gradients_.stride, shape_.tokens, queries,
                                     q_[p] + first * kPanel, kPanel, dk_.data + p * kPanel, dk_.stride, first > 0);
    }
    write_panels(
        queries, width, sums_, [&](int64_t) { return scale; }, Rows<bf16>{dq[first], dq.stride},
        [&](int64_t panel, float* to) {
          multiply_panel_bf16(score_rows, queries, tokens_.even, k_[panel], to, kPanel, false);
        });
  }

  void write(Rows<float> from, float factor, Rows<bf16> to) const {
    const Vec f = hn::Set(kFloats, factor);
    for (int64_t t = 0; t < shape_.tokens; ++t)
      for (int64_t j = 0; j < shape_.head_dim; j += kLanes)
        store_floats(kFloats, hn::Mul(f, hn::LoadU(kFloats, from[t] + j)), to[t] + j);
  }

  const AttentionShape& shape_;
  PairTokens tokens_;
  int64_t block_, padded_width_, pair_stride_;
  PairPanels k_t_, v_t_, q_, k_, out_gradient_;
  BlockGradients gradients_;
  Rows<float> scores_, products_, dk_, dv_;
  float *sums_, *log_sum_, *product_sum_;
};

inline void attend_backward_in_pairs(const AttentionShape& s, const AttentionSaved<bf16>& saved,
                                     const bf16* out_gradient, bf16* dq, bf16* dk, bf16* dv) {
  parallel_for(s.images * s.heads, 1 + 50000 / (s.tokens * s.tokens * s.head_dim), [&](int64_t begin, int64_t end) {
    const PairedHeadBackward backward(s);
    for (int64_t index = begin; index < end; ++index) backward(index, saved, out_gradient, dq, dk, dv);
  });
}

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // UNNOISE_KERNELS_ATTENTION_PAIRS_INL_H_
