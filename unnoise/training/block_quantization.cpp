#include "unnoise/training/block_quantization.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/bucketize.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

namespace unnoise {
namespace {

/// All values of a dense tensor in memory order, without a copy.
Tensor flat(const Tensor& x) { return x.as_strided({x.numel()}, {1}); }

int64_t block_count(int64_t values) { return (values + kQuantizationBlock - 1) / kQuantizationBlock; }

/// [blocks, 256], the last filled up with zeros.
Tensor in_blocks(const Tensor& x) {
  const int64_t missing = block_count(x.numel()) * kQuantizationBlock - x.numel();
  return at::constant_pad_nd(flat(x), {0, missing}).view({-1, kQuantizationBlock});
}

Tensor map_tensor(bool is_signed, const Tensor& like) {
  const auto map = dynamic_map(is_signed);
  return at::tensor(at::ArrayRef<float>(map), like.options().dtype(at::kFloat));
}

}  // namespace

std::array<float, 256> dynamic_map(bool is_signed) {
  constexpr int kDecades = 7;
  std::array<float, 256> map{};
  size_t n = 0;
  map[n++] = 0;
  map[n++] = 1;
  for (int decade = 0; decade < kDecades; ++decade) {
    const int count = 1 << (is_signed ? decade : decade + 1);
    const double top = std::pow(10.0, decade + 1 - kDecades);
    for (int i = 0; i < count; ++i) {
      const auto mean = static_cast<float>(top * (0.1 + 0.9 * (i + 0.5) / count));
      map[n++] = mean;
      if (is_signed) map[n++] = -mean;
    }
  }
  std::sort(map.begin(), map.end());
  return map;
}

Quantized quantized_zeros(const Tensor& like, bool is_signed) {
  const auto map = dynamic_map(is_signed);
  const auto zero = std::find(map.begin(), map.end(), 0.0F) - map.begin();
  return {.codes = at::full_like(like, zero, like.options().dtype(at::kByte)),
          .scale = at::zeros({block_count(like.numel())}, like.options().dtype(at::kFloat))};
}

void quantize(const Tensor& x, bool is_signed, const Quantized& to) {
  const Tensor blocks = in_blocks(x);
  const Tensor scale = blocks.abs().amax(1, /*keepdim=*/true);
  const Tensor map = map_tensor(is_signed, x);
  const Tensor borders = (map.narrow(0, 0, 255) + map.narrow(0, 1, 255)) / 2;
  if (!is_signed) borders[0].zero_();  // what is above 0 is at least the smallest value above 0
  const Tensor relative = (blocks / scale.clamp_min(1e-38)).view({-1}).narrow(0, 0, x.numel());
  flat(to.codes).copy_(at::bucketize(relative, borders, /*out_int32=*/true));
  to.scale.copy_(scale.view({-1}));
}

Tensor dequantized(const Quantized& q, bool is_signed) {
  const Tensor values = map_tensor(is_signed, q.codes).index_select(0, flat(q.codes).to(at::kInt));
  const Tensor scale = q.scale.repeat_interleave(kQuantizationBlock).narrow(0, 0, q.codes.numel());
  const Tensor out = at::empty_like(q.codes, q.codes.options().dtype(at::kFloat));
  flat(out).copy_(values * scale);
  return out;
}

}  // namespace unnoise
