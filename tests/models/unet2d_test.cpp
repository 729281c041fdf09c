#include "unnoise/models/unet2d.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cmath>
#include <numbers>

#include "tests/nn/scopes.h"
#include "tests/nn/slices.h"
#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using D = DownBlockType;
using U = UpBlockType;

Tensor drawn(const Shape& shape) { return Rng(0).normal(shape); }
Tensor whole(std::vector<int64_t> values) { return at::tensor(values); }

/// Two levels of 32 and 64 channels, one layer each, attention at the coarse one.
UNet2DOptions small() {
  UNet2DOptions o;
  o.sample_size = SampleSize{16, 16};
  o.block_out_channels = {32, 64};
  o.down_block_types = {D::down, D::attn_down};
  o.up_block_types = {U::attn_up, U::up};
  o.layers_per_block = 1;
  return o;
}

struct Row {
  const char* name;
  UNet2DOptions options;
  Tensor timesteps, labels;
  int64_t parameters;
  double sum_weights, sum_output, first, last;  // the sums are of absolute values
};

/// What diffusers computes for networks drawn from seed 0 and an input drawn from seed 0.
std::vector<Row> rows() {
  const Tensor ten = at::tensor(int64_t{10});
  std::vector<Row> all;
  const auto add = [&](const char* name, std::function<void(UNet2DOptions&)> change, Tensor timesteps, Tensor labels,
                       int64_t parameters, std::array<double, 4> values) {
    UNet2DOptions o = small();
    change(o);
    all.push_back({name, o, timesteps, labels, parameters, values[0], values[1], values[2], values[3]});
  };
  using O = UNet2DOptions;
  add("base", [](O&) {}, ten, {}, 702499, {21132.3578, 418.55960, -0.03721, -0.20010});
  add("timesteps", [](O&) {}, whole({10, 500}), {}, 702499, {21132.3578, 419.29734, -0.03721, -0.20630});
  add("scale_shift", [](O& o) { o.resnet_time_scale_shift = ResnetTimeScaleShift::scale_shift; }, ten, {}, 756035,
      {23435.5852, 385.08077, -0.11505, -0.11268});
  add("labels", [](O& o) { o.num_class_embeds = 10; }, ten, whole({1, 7}), 703779,
      {22156.5980, 394.33729, -0.09384, -0.04319});
  add("labels as timesteps", [](O& o) { o.class_embed_type = ClassEmbedType::timestep; }, ten, whole({1, 7}), 723235,
      {22229.4904, 405.10755, -0.03347, 0.14220});
  add("labels as vectors", [](O& o) { o.class_embed_type = ClassEmbedType::identity; }, ten, drawn({2, 128}), 702499,
      {21132.3578, 421.21320, 0.00731, -0.24308});
  add("frequencies", [](O& o) { o.freq_shift = 1, o.flip_sin_to_cos = false; }, ten, {}, 702499,
      {21132.3578, 419.27897, -0.03213, -0.20557});
  add("learned time", [](O& o) { o.time_embedding_type = TimeEmbeddingType::learned, o.num_train_timesteps = 100; },
      ten, {}, 705699, {23630.7598, 388.87860, -0.14540, 0.15622});
  add("resnets resample", [](O& o) { o.downsample_type = o.upsample_type = ResampleType::resnet; }, ten, {}, 747939,
      {22391.9430, 375.94706, -0.07377, -0.19119});
  add("no middle", [](O& o) { o.mid_block_type = std::nullopt; }, ten, {}, 520995,
      {15958.3958, 388.45330, 0.09950, -0.04766});
  add("no attention in the middle", [](O& o) { o.add_attention = false, o.center_input_sample = true; }, ten, {},
      685731, {20018.6109, 399.90852, -0.00285, -0.38230});
  add("ResnetDownsample",
      [](O& o) {
        o.down_block_types = {D::resnet_downsample, D::resnet_downsample};
        o.up_block_types = {U::resnet_upsample, U::resnet_upsample};
      },
      ten, {}, 711139, {19598.0489, 421.11084, -0.18004, 0.38335});
  add("one head", [](O& o) { o.attention_head_dim = std::nullopt; }, ten, {}, 702499,
      {21132.3578, 418.57150, -0.03550, -0.18834});
  add("padding 0",
      [](O& o) { o.attention_head_dim = 16, o.mid_block_scale_factor = std::numbers::sqrt2, o.downsample_padding = 0; },
      ten, {}, 702499, {21132.3578, 409.72287, -0.04951, -0.20725});
  add("gelu",
      [](O& o) { o.act_fn = Activation::gelu, o.norm_num_groups = 8, o.norm_eps = 1e-6, o.attn_norm_num_groups = 4; },
      ten, {}, 702499, {21132.3578, 442.65422, -0.08189, -0.23898});
  add("NCSN++",
      [](O& o) {
        o.sample_size = SampleSize{32, 32};
        o.block_out_channels = {32, 64, 64, 64};
        o.down_block_types = {D::skip_down, D::attn_skip_down, D::skip_down, D::skip_down};
        o.up_block_types = {U::skip_up, U::skip_up, U::attn_skip_up, U::skip_up};
        o.time_embedding_type = TimeEmbeddingType::fourier;
        o.norm_eps = 1e-6, o.mid_block_scale_factor = std::numbers::sqrt2, o.norm_num_groups = std::nullopt;
      },
      whole({10, 10}), {}, 1781548, {47546.3675, 262.68119, 0.01773, 0.00794});
  return all;
}

TEST(UNet2D, EqualsDiffusersForSeed0) {
  for (const Row& row : rows()) {
    SCOPED_TRACE(row.name);
    Rng rng(0);
    const UNet2D unet(row.options, &rng);
    EXPECT_EQ(unet.num_parameters(), row.parameters);
    double sum = 0;
    for (const Tensor& p : unet.parameters()) sum += p.detach().to(at::kDouble).abs().sum().item<double>();
    EXPECT_NEAR(sum, row.sum_weights, 1e-2);  // printed from a float32 sum

    c10::NoGradGuard no_grad;
    const Tensor y =
        unet(drawn({2, 3, row.options.sample_size->height, row.options.sample_size->width}), row.timesteps, row.labels);
    const Tensor flat = y.reshape({-1});
    EXPECT_NEAR(flat.to(at::kDouble).abs().sum().item<double>(), row.sum_output, 1e-4 * row.sum_output);
    EXPECT_NEAR(flat[0].item<double>(), row.first, 2e-5);  // five printed digits and float32 rounding
    EXPECT_NEAR(flat[-1].item<double>(), row.last, 2e-5);
  }
}

TEST(UNet2D, PresetsHaveThePublishedSizes) {
  const auto parameters = [](const UNet2DOptions& o) { return UNet2D(o, nullptr).num_parameters(); };
  EXPECT_EQ(parameters(unet2d_preset("butterflies")), 18536323);
  EXPECT_EQ(parameters(unet2d_preset("mnist")), 1707009);
  EXPECT_EQ(parameters(unet2d_preset("script")), 113673219);
  EXPECT_EQ(parameters(unet2d_preset("script", 64, 1)), 113673219 - 2 * 9 * 128 * 2 - 2);  // conv_in and conv_out
  EXPECT_EQ(unet2d_preset("mnist", 32).sample_size, (SampleSize{32, 32}));
  try {
    unet2d_preset("butterfly");
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.hint(), testing::HasSubstr("butterflies"));
  }
}

TEST(UNet2D, LoadsWhatAnotherSaved) {
  Rng rng(0);
  const UNet2D first(small(), &rng);
  UNet2D second(small(), nullptr);
  second.load_state(first.state(), "a test");
  c10::NoGradGuard no_grad;
  const Tensor x = drawn({1, 3, 8, 12}), t = at::tensor(0.5);
  EXPECT_TRUE(at::equal(first(x, t), second(x, t)));
}

TEST(UNet2D, FourierFrequenciesAreSavedButNotTrained) {
  UNet2DOptions o = small();
  o.time_embedding_type = TimeEmbeddingType::fourier;
  Rng rng(0);
  UNet2D unet(o, &rng);
  unet.requires_grad(true);
  unet(drawn({1, 3, 8, 8}), at::tensor(10)).sum().backward();
  for (const auto& [name, weight] : unet.named_parameters())
    EXPECT_EQ(weight.grad().defined(), name != "time_proj.weight") << name;
}

/// The message and hint of the usage error that `call` throws.
template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    return e.what();
  }
  return "nothing was thrown";
}

TEST(UNet2D, RefusesInputThatDoesNotFit) {
  using testing::HasSubstr;
  Rng rng(0);
  const UNet2D plain(small(), &rng);
  UNet2DOptions with_classes = small();
  with_classes.num_class_embeds = 10;
  const UNet2D classes(with_classes, &rng);
  const Tensor x = drawn({2, 3, 8, 8}), t = at::tensor(10);

  EXPECT_THAT(refusal([&] {
                plain(drawn({2, 1, 8, 8}), t);
              }),
              HasSubstr("expected an input of [batch,3,height,width], found [2,1,8,8]"));
  EXPECT_THAT(refusal([&] { plain(drawn({2, 3, 9, 8}), t); }), HasSubstr("multiples of 2"));
  EXPECT_THAT(refusal([&] {
                plain(x, whole({1, 2, 3}));
              }),
              HasSubstr("expected one timestep, or 2 for the batch, found [3]"));
  EXPECT_THAT(refusal([&] { plain(x, t, whole({1, 2})); }), HasSubstr("no class embedding"));
  EXPECT_THAT(refusal([&] { classes(x, t); }), HasSubstr("class_labels are missing"));
  EXPECT_THAT(refusal([&] { classes(x, t, whole({1, 10})); }), HasSubstr("class_labels: expected 0 to 9, found 10"));
  EXPECT_THAT(refusal([&] { classes(x, t, drawn({2})); }), HasSubstr("class_labels: expected whole numbers"));
  EXPECT_THAT(refusal([&] { classes(x, t, whole({1, 2, 3})); }), HasSubstr("class_labels: expected [2], found [3]"));
}

/// Loss of one training step with dropout; gradients are left in the network.
double train_once(UNet2D& unet, Rng& dropout, at::ScalarType dtype) {
  unet.train();
  unet.set_dropout_rng(&dropout);
  const Tensor x = drawn({4, 3, 16, 16}).to(dtype);
  const Tensor loss = at::mse_loss(unet(x, whole({1, 10, 100, 999})), x.neg());
  loss.backward();
  return loss.item<double>();
}

/// `tolerance` is for each tensor's gradient, relative to its largest value; `in_all` for the whole gradient's length.
void expect_checkpointing_changes_nothing(at::ScalarType dtype, double tolerance, double in_all) {
  UNet2DOptions o = small();
  o.dropout = 0.2;
  o.norm_num_groups = 8;
  Rng seed(0), again(0), dropout(9), same_dropout(9);
  UNet2D plain(o, &seed), recomputing(o, &again);
  recomputing.set_gradient_checkpointing(true);
  plain.to(dtype);
  recomputing.to(dtype);
  EXPECT_EQ(train_once(plain, dropout, dtype), train_once(recomputing, same_dropout, dtype));
  const auto expected = plain.named_parameters(), actual = recomputing.named_parameters();
  double difference = 0, length = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const Tensor ours = actual[i].second.grad().to(at::kDouble), theirs = expected[i].second.grad().to(at::kDouble);
    difference += ours.sub(theirs).square().sum().item<double>();
    length += theirs.square().sum().item<double>();
    if (expected[i].first.ends_with("to_k.bias")) continue;  // no gradient but rounding: a softmax does not see it
    EXPECT_LT(relative_difference(ours, theirs), tolerance) << expected[i].first;
  }
  EXPECT_LT(std::sqrt(difference / length), in_all);
  EXPECT_TRUE(at::equal(dropout.state(), same_dropout.state()));
}

// The gradients of the time embedding and of maps that several layers read are summed in another order, and nothing else
// differs: in float64 they agree to its last digits. In float32 those roundings reach 5e-6 of the largest value of a
// tensor that is small beside what it is the sum of; PyTorch's plain gradients of this network are 2.5e-6 from those of
// float64.
TEST(UNet2D, CheckpointingChangesNeitherLossNorGradients) {
  const ChosenKernels plain(Kernels::plain);
  expect_checkpointing_changes_nothing(at::kDouble, 1e-12, 1e-13);
  expect_checkpointing_changes_nothing(at::kFloat, 5e-6, 1e-6);
}

// The same roundings, each of which draws those of F(4,3) anew: its are ten times a direct sum's.
TEST(UNet2D, CheckpointingChangesNeitherLossNorGradientsOfTheKernels) {
  const ChosenKernels fast(Kernels::fast);
  expect_checkpointing_changes_nothing(at::kFloat, 2e-5, 1e-5);
}

TEST(UNet2D, IsDeterministicWhenAskedTo) {
  UNet2DOptions o = small();
  o.block_out_channels = {64, 128};  // deep enough that a convolution could sum in more than one order
  Rng seed(0);
  UNet2D unet(o, &seed);
  unet.requires_grad(false);
  const c10::NoGradGuard no_grad;
  const Tensor x = drawn({5, 3, 32, 32}), t = at::tensor({3, 30, 300, 500, 999});
  const int threads = at::get_num_threads();
  set_deterministic(true);
  const Tensor together = unet(x, t);
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    EXPECT_TRUE(at::equal(unet(x, t), together)) << count;
    EXPECT_TRUE(at::equal(unet(x.slice(0, 2, 3), t.slice(0, 2, 3)), together.slice(0, 2, 3))) << count;
  }
  at::set_num_threads(threads);
  set_deterministic(false);
}

TEST(UNet2D, APlanOfTimestepsChangesNoBit) {
  const c10::NoGradGuard no_grad;
  for (const Row& row : rows()) {
    Rng seed(0);
    const UNet2D unet(row.options, &seed);
    const Tensor x = drawn({1, 3, row.options.sample_size->height, row.options.sample_size->width});
    const TimePlan plan = unet.plan(whole({1, 10, 31, 77, 98, 7, 55}));
    EXPECT_EQ(plan.find(at::tensor(10)).has_value(), !unet.has_class_embedding()) << row.name;
    if (!plan.find(at::tensor(10))) continue;
    for (const int64_t t : {31, 55, 3})  // the last is not in the plan
      EXPECT_TRUE(at::equal(unet(x, at::tensor(t), {}, {}, plan), unet(x, at::tensor(t)))) << row.name << " at " << t;
    // Many rows are summed in another order than one.
    const Tensor batch = drawn({9, 3, x.size(2), x.size(3)}), t = at::tensor(98);
    const Tensor expected = unet(batch, t);
    EXPECT_LT((unet(batch, t, {}, {}, plan) - expected).abs().max().item<double>(),
              1e-5 * expected.abs().max().item<double>())
        << row.name;
    const Tensor each = at::tensor({1, 10, 31, 77, 98, 7, 55, 1, 1});
    EXPECT_TRUE(at::equal(unet(batch, each, {}, {}, plan), unet(batch, each))) << row.name;
  }
}

TEST(UNet2D, APlanOfTimestepsIsOfOneNetworkWithoutGradients) {
  Rng seed(0);
  const UNet2D unet(small(), &seed), other(small(), &seed);
  EXPECT_FALSE(unet.plan(whole({1})).find(at::tensor(1))) << "gradients are recorded";
  const c10::NoGradGuard no_grad;
  const TimePlan plan = unet.plan(whole({1}));
  EXPECT_THROW(other(drawn({1, 3, 16, 16}), at::tensor(1), {}, {}, plan), Error);
  EXPECT_THROW(unet.plan(at::arange(8)), Error);
  const ChosenKernels plain(Kernels::plain);
  EXPECT_FALSE(unet.plan(whole({1})).find(at::tensor(1)));
}

/// Bytes that a forward pass keeps for the backward pass.
int64_t bytes_kept(const UNet2D& unet) {
  const auto in_use = [] {
    const auto info = mallinfo2();
    return static_cast<int64_t>(info.uordblks + info.hblkhd);
  };
  const Tensor x = drawn({2, 3, 32, 32}), t = at::tensor(10);
  const int64_t before = in_use();
  const Tensor y = unet(x, t);
  return in_use() - before;
}

TEST(UNet2D, CheckpointingKeepsLess) {
  Rng seed(0);
  UNet2D unet(small(), &seed);
  bytes_kept(unet);  // warm the allocators
  const int64_t plain = bytes_kept(unet);
  unet.set_gradient_checkpointing(true);
  EXPECT_LT(bytes_kept(unet), plain / 2);
}

}  // namespace
}  // namespace unnoise
