// A network on a GPU against the same network on the processor; skipped where there is no GPU.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numbers>
#include <vector>

#include "unnoise/models/unet2d.h"

namespace unnoise {
namespace {

using D = DownBlockType;
using U = UpBlockType;

/// cuDNN's convolutions in whole float32: TF32, their default, keeps ten bits of the factors.
class WholeFloat32 {
 public:
  WholeFloat32() { at::globalContext().setAllowTF32CuDNN(false); }
  ~WholeFloat32() { at::globalContext().setAllowTF32CuDNN(before_); }
  WholeFloat32(const WholeFloat32&) = delete;
  WholeFloat32& operator=(const WholeFloat32&) = delete;

 private:
  const bool before_ = at::globalContext().allowTF32CuDNN();
};

/// Two levels, attention at the coarse one, labels and dropout.
UNet2DOptions plain() {
  UNet2DOptions o;
  o.sample_size = SampleSize{16, 16};
  o.block_out_channels = {32, 64};
  o.down_block_types = {D::down, D::attn_down};
  o.up_block_types = {U::attn_up, U::up};
  o.layers_per_block = 1;
  o.num_class_embeds = 10;
  o.dropout = 0.1;
  return o;
}

/// Fourier features of the time, FIR filters and a picture that is carried along.
UNet2DOptions ncsnpp() {
  UNet2DOptions o;
  o.sample_size = SampleSize{32, 32};
  o.block_out_channels = {32, 64, 64, 64};
  o.down_block_types = {D::skip_down, D::attn_skip_down, D::skip_down, D::skip_down};
  o.up_block_types = {U::skip_up, U::skip_up, U::attn_skip_up, U::skip_up};
  o.time_embedding_type = TimeEmbeddingType::fourier;
  o.mid_block_scale_factor = std::numbers::sqrt2;
  o.norm_num_groups = std::nullopt;
  return o;
}

/// A training pass on `device`: the output, then the gradient of each parameter that has one, all on the CPU.
std::vector<Tensor> pass(const UNet2DOptions& options, at::Device device, bool checkpointing) {
  Rng init(0), dropout(1), input(2);
  UNet2D unet(options, &init);
  unet.set_dropout_rng(&dropout);
  unet.set_gradient_checkpointing(checkpointing);
  unet.to(device);
  unet.train();
  const Tensor x = input.normal({2, 3, options.sample_size->height, options.sample_size->width}).to(device);
  const Tensor labels = unet.has_class_embedding() ? at::tensor({int64_t{1}, int64_t{7}}) : Tensor();
  const Tensor y = unet(x, at::tensor({int64_t{10}, int64_t{500}}), labels);
  EXPECT_EQ(y.device().type(), device.type());
  y.square().mean().backward();

  std::vector<Tensor> out{y.detach().cpu()};
  for (const Tensor& parameter : unet.parameters())
    if (parameter.grad().defined()) out.push_back(parameter.grad().cpu());
  return out;
}

double largest(const Tensor& x) { return x.abs().max().item<double>(); }

void expect_same_on_gpu(const UNet2DOptions& options, bool checkpointing) {
  const WholeFloat32 precision;
  const auto here = pass(options, at::kCPU, checkpointing), there = pass(options, at::kCUDA, checkpointing);
  ASSERT_EQ(here.size(), there.size());
  EXPECT_LT(largest(there[0] - here[0]), 1e-4 * largest(here[0]));
  double scale = 0;  // of all gradients: some, as that of the keys' bias, are zero but for rounding
  for (size_t i = 1; i < here.size(); ++i) scale = std::max(scale, largest(here[i]));
  for (size_t i = 1; i < here.size(); ++i) EXPECT_LT(largest(there[i] - here[i]), 1e-4 * scale) << "gradient " << i;
}

class UNet2DOnGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!at::globalContext().hasCUDA()) GTEST_SKIP() << "no GPU";
  }
};

TEST_F(UNet2DOnGpu, EqualsTheProcessor) {
  for (const bool checkpointing : {false, true}) {
    SCOPED_TRACE(checkpointing);
    expect_same_on_gpu(plain(), checkpointing);
    expect_same_on_gpu(ncsnpp(), checkpointing);
  }
}

}  // namespace
}  // namespace unnoise
