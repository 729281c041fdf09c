// Every convolution and matrix product against plain loops in double, on every SIMD target, with one to four threads.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "targets.h"
#include "unnoise/kernels/conv3x3.h"
#include "unnoise/kernels/conv_amx.h"
#include "unnoise/kernels/conv_bf16.h"
#include "unnoise/kernels/conv_direct.h"
#include "unnoise/kernels/few_rows.h"
#include "unnoise/kernels/gemm.h"
#include "unnoise/kernels/gemm_bf16.h"
#include "unnoise/kernels/scratch.h"

namespace unnoise::kernels {
namespace {

using Floats = std::vector<float>;

Floats normal(int64_t count, std::mt19937& random) {
  std::normal_distribution<float> distribution;
  Floats values(static_cast<size_t>(count));
  for (float& v : values) v = distribution(random);
  return values;
}

/// Room for packed weights, on a cache line.
class Packed {
 public:
  explicit Packed(int64_t size) : data_(scratch_.get<float>(size)) {}
  float* data() { return data_; }

 private:
  Scratch scratch_;
  float* data_;
};

/// |a - b| / |b|, both 2-norms.
double relative_error(const Floats& a, const std::vector<double>& b) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return norm > 0 ? std::sqrt(error / norm) : std::sqrt(error);
}

/// The plain twin: a convolution and its gradients by their definitions.
struct Reference {
  std::vector<double> y, dx, dw;

  Reference(const ConvShape& s, const Floats& x, const Floats& w, const Floats& dy)
      : y(dy.size()), dx(x.size()), dw(w.size()) {
    for (int64_t b = 0; b < s.batch; ++b)
      for (int64_t i = 0; i < s.out_height; ++i)
        for (int64_t j = 0; j < s.out_width; ++j)
          for (int64_t r = 0; r < s.kernel; ++r)
            for (int64_t q = 0; q < s.kernel; ++q) {
              const int64_t row = i * s.stride + r - s.padding, column = j * s.stride + q - s.padding;
              if (row < 0 || column < 0 || row >= s.height || column >= s.width) continue;
              add(s, x, w, dy, ((b * s.height + row) * s.width + column) * s.in_channels,
                  ((b * s.out_height + i) * s.out_width + j) * s.out_channels, r * s.kernel + q);
            }
  }

 private:
  void add(const ConvShape& s, const Floats& x, const Floats& w, const Floats& dy, int64_t x_at, int64_t y_at,
           int64_t tap) {
    for (int64_t k = 0; k < s.out_channels; ++k)
      for (int64_t c = 0; c < s.in_channels; ++c) {
        const auto wi = static_cast<size_t>((k * s.in_channels + c) * s.kernel * s.kernel + tap);
        const auto xi = static_cast<size_t>(x_at + c), yi = static_cast<size_t>(y_at + k);
        y[yi] += static_cast<double>(x[xi]) * w[wi];
        dx[xi] += static_cast<double>(dy[yi]) * w[wi];
        dw[wi] += static_cast<double>(dy[yi]) * x[xi];
      }
  }
};

struct Case {
  ConvShape shape;
  Floats x, w, dy;
  Reference expected;

  Case(const ConvShape& s, std::mt19937& random)
      : shape(s),
        x(normal(s.batch * s.height * s.width * s.in_channels, random)),
        w(normal(s.out_channels * s.in_channels * s.kernel * s.kernel, random)),
        dy(normal(s.batch * s.out_height * s.out_width * s.out_channels, random)),
        expected(s, x, w, dy) {}
};

int64_t draw(std::mt19937& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

ConvShape random_3x3(std::mt19937& random) {
  const int64_t height = draw(random, 2, 21), width = draw(random, 2, 21);
  return {draw(random, 1, 3), height, width, 16 * draw(random, 1, 4), 16 * draw(random, 1, 4), 3, 1, 1, height, width};
}

Conv3x3Shape as_3x3(const ConvShape& s) { return {s.batch, s.height, s.width, s.in_channels, s.out_channels}; }

// Winograd's transforms add and subtract multiples of up to 8 of the inputs: 1.6e-6 for unit variance and 256 channels
// (the direct sum: 8e-7). A wrong transform is off by 0.1 and more.
constexpr double kWinograd = 4e-6;
constexpr double kDirect = 2e-6;

TEST(Conv3x3, AgreesWithItsDefinition) {
  std::mt19937 random(1);
  for (int n = 0; n < 12; ++n) {
    const Case c(random_3x3(random), random);
    const auto& s = c.shape;
    SCOPED_TRACE(testing::Message() << s.batch << "x" << s.height << "x" << s.width << ", " << s.in_channels << " to "
                                    << s.out_channels);
    const Threads threads(1 + n % 4);
    for_each_target([&] {
      Floats y(c.dy.size()), dx(c.x.size()), dw(c.w.size());
      conv3x3(as_3x3(s), c.x.data(), c.w.data(), {}, y.data());
      conv3x3_input_gradient(as_3x3(s), c.dy.data(), c.w.data(), dx.data());
      conv3x3_weight_gradient(as_3x3(s), c.x.data(), c.dy.data(), dw.data());
      EXPECT_LT(relative_error(y, c.expected.y), kWinograd);
      EXPECT_LT(relative_error(dx, c.expected.dx), kWinograd);
      EXPECT_LT(relative_error(dw, c.expected.dw), kWinograd);
    });
  }
}

TEST(Conv3x3, AddsBiasImageBiasAndResidual) {
  std::mt19937 random(2);
  const Case c({2, 6, 7, 16, 48, 3, 1, 1, 6, 7}, random);
  const Floats bias = normal(48, random), image_bias = normal(2 * 48, random), residual = normal(2 * 42 * 48, random);
  auto expected = c.expected.y;
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] += bias[i % 48] + image_bias[i / (42 * 48) * 48 + i % 48] + residual[i];
  for_each_target([&] {
    Floats y(c.dy.size());
    conv3x3(as_3x3(c.shape), c.x.data(), c.w.data(),
            ConvAddends<float>{bias.data(), image_bias.data(), residual.data()}, y.data());
    EXPECT_LT(relative_error(y, expected), kWinograd);
  });
}

// 55 tiles a block: more blocks than one, as in training.
TEST(Conv3x3, DoesNotDependOnThreadsOrBatch) {
  std::mt19937 random(3);
  const int64_t batch = 40, size = 16, channels = 128, image = size * size * channels;
  const Conv3x3Shape s{batch, size, size, channels, channels, true};
  const Floats x = normal(batch * image, random), dy = normal(batch * image, random);
  const Floats w = normal(channels * channels * 9, random);
  Floats y[2], dw[2];
  for (int run = 0; run < 2; ++run) {
    const Threads threads(run == 0 ? 1 : 3);
    y[run].resize(x.size());
    dw[run].resize(w.size());
    conv3x3(s, x.data(), w.data(), ConvAddends<float>{}, y[run].data());
    conv3x3_weight_gradient(s, x.data(), dy.data(), dw[run].data());
  }
  EXPECT_EQ(y[0], y[1]);
  EXPECT_EQ(dw[0], dw[1]);
  Floats alone(static_cast<size_t>(image));
  conv3x3({1, size, size, channels, channels, true}, x.data() + 7 * image, w.data(), ConvAddends<float>{},
          alone.data());
  EXPECT_EQ(alone, Floats(y[0].begin() + 7 * image, y[0].begin() + 8 * image));
}

std::vector<bf16> rounded(const Floats& values) {
  std::vector<bf16> out;
  for (const float v : values) out.push_back(to_bf16(v));
  return out;
}
Floats widened(const std::vector<bf16>& values) {
  Floats out;
  for (const bf16 v : values) out.push_back(to_float(v));
  return out;
}

// Maps rounded to bfloat16 lose 2^-9 of a value (rms 1.1e-3 for uniform mantissas), on the way in, between the
// transforms and the products, and on the way out: 2.4e-3 in all for unit variance. With float32 products only the ends
// remain.
TEST(Conv3x3, AgreesWithItsDefinitionInBfloat16) {
  std::mt19937 random(8);
  enum Products { floats, vectors_of_pairs, matrix_units };
  for (const Products products : {matrix_units, vectors_of_pairs, floats}) {
    const bool has_units = products == matrix_units && amx::is_available();
    const bool native = has_units || (products != floats && has_bf16_products());
    amx::disable(products != matrix_units);
    disable_bf16_products(products == floats);
    for (int n = 0; n < 8; ++n) {
      auto shape = random_3x3(random);
      if (n % 2 == 0) shape.in_channels = shape.out_channels = 64;  // enough for products of bfloat16
      const Case c(shape, random);
      const auto& s = c.shape;
      const auto x = rounded(c.x), dy = rounded(c.dy);
      const Reference expected(s, widened(x), c.w, widened(dy));
      SCOPED_TRACE(testing::Message() << s.batch << "x" << s.height << "x" << s.width << ", " << s.in_channels << " to "
                                      << s.out_channels << ", products " << products);
      const double rounding = native ? 5e-3 : kWinograd, ends = 2e-3;
      const Threads threads(1 + n % 4);
      for_each_target([&] {
        std::vector<bf16> y(dy.size()), dx(x.size());
        Floats dw(c.w.size());
        conv3x3(as_3x3(s), x.data(), c.w.data(), ConvAddends<bf16>{}, y.data());
        conv3x3_input_gradient(as_3x3(s), dy.data(), c.w.data(), dx.data());
        conv3x3_weight_gradient(as_3x3(s), x.data(), dy.data(), dw.data());
        EXPECT_LT(relative_error(widened(y), expected.y), rounding + ends);
        if (const int64_t size = conv3x3_packed_size(as_3x3(s))) {
          EXPECT_TRUE(native);
          std::vector<bf16> packed(static_cast<size_t>(size) + 32);
          bf16* const aligned = packed.data() + (-reinterpret_cast<uintptr_t>(packed.data()) & 63) / sizeof(bf16);
          pack_conv3x3(as_3x3(s), c.w.data(), aligned);
          conv3x3_packed(as_3x3(s), x.data(), aligned, {}, y.data());
          EXPECT_LT(relative_error(widened(y), expected.y), rounding + ends) << "packed";
        }
        EXPECT_LT(relative_error(widened(dx), expected.dx), rounding + ends);
        EXPECT_LT(relative_error(dw, expected.dw), rounding);
      });
    }
  }
  amx::disable(false);
  disable_bf16_products(false);
}

// Products of what was rounded to bfloat16, summed in float32: only the weights' rounding and the output's remain.
TEST(Amx, MultipliesRowsAsAKernelOfOneDoes) {
  if (!amx::is_available()) GTEST_SKIP() << "no matrix units";
  std::mt19937 random(9);
  for (int n = 0; n < 10; ++n) {
    const int64_t height = draw(random, 1, 9), width = draw(random, 1, n < 5 ? 9 : 300);
    const Case c(
        {draw(random, 1, 3), height, width, 16 * draw(random, 1, 5), 16 * draw(random, 1, 5), 1, 1, 0, height, width},
        random);
    const auto& s = c.shape;
    SCOPED_TRACE(testing::Message() << s.batch << "x" << height << "x" << width << ", " << s.in_channels << " to "
                                    << s.out_channels);
    const auto x = rounded(c.x), dy = rounded(c.dy);
    const Reference expected(s, widened(x), c.w, widened(dy));
    const Floats bias = normal(s.out_channels, random);
    const Threads threads(1 + n % 4);
    const amx::Shape shape{s.batch, height, width, s.in_channels, s.out_channels, 1};
    const ConvWeights w{c.w.data(), s.in_channels, 1};
    std::vector<bf16> y(dy.size()), again(dy.size()), dx(x.size());
    Floats dw(c.w.size());
    amx::convolve(shape, x.data(), w, {.bias = bias.data()}, y.data());
    amx::convolve({s.batch, height, width, s.out_channels, s.in_channels, 1}, dy.data(), {c.w.data(), 1, s.in_channels},
                  {}, dx.data());
    amx::weight_gradient(shape, x.data(), dy.data(), dw.data());
    auto with_bias = expected.y;
    for (size_t i = 0; i < with_bias.size(); ++i) with_bias[i] += bias[i % bias.size()];
    EXPECT_LT(relative_error(widened(y), with_bias), 4e-3);
    EXPECT_LT(relative_error(widened(dx), expected.dx), 4e-3);
    EXPECT_LT(relative_error(dw, expected.dw), kDirect);
    Packed packed(amx::packed_size(shape) / 2);
    auto* const to = reinterpret_cast<bf16*>(packed.data());
    amx::pack(shape, w, to);
    amx::convolve(shape, x.data(), {.data = nullptr, .out = 0, .in = 0, .packed = to}, {.bias = bias.data()},
                  again.data());
    EXPECT_EQ(widened(again), widened(y));
  }
}

// The same roundings, on vectors and on matrix units: any step, and the gradients of 1x1.
TEST(ConvBf16, AgreesWithItsDefinition) {
  std::mt19937 random(10);
  for (const bool on_units : {false, true}) {
    amx::disable(!on_units);
    for (int n = 0; n < 12; ++n) {
      const int64_t height = draw(random, 1, 9), width = draw(random, 1, n < 6 ? 9 : 300);
      ConvShape s{draw(random, 1, 3), height, width, 16 * draw(random, 1, 5), 16 * draw(random, 1, 5), n % 2 ? 1 : 3};
      s.stride = draw(random, 1, 2);
      s.padding = n % 2 ? 0 : draw(random, 0, 1);
      const int64_t end_padding = n % 2 ? 0 : 1;
      s.out_height = std::max<int64_t>(0, s.height + s.padding + end_padding - s.kernel) / s.stride + 1;
      s.out_width = std::max<int64_t>(0, s.width + s.padding + end_padding - s.kernel) / s.stride + 1;
      if (!takes_conv_bf16(s)) continue;
      SCOPED_TRACE(testing::Message() << s.batch << "x" << height << "x" << width << ", " << s.in_channels << " to "
                                      << s.out_channels << ", kernel " << s.kernel << ", step " << s.stride);
      const Case c(s, random);
      const auto x = rounded(c.x), dy = rounded(c.dy), residual = rounded(normal(std::ssize(c.dy), random));
      const Reference expected(s, widened(x), c.w, widened(dy));
      const Floats bias = normal(s.out_channels, random), image_bias = normal(s.batch * s.out_channels, random);
      auto sums = expected.y;
      for (size_t i = 0; i < sums.size(); ++i) {
        const size_t channel = i % bias.size(), image = i / (sums.size() / static_cast<size_t>(s.batch));
        sums[i] += bias[channel] + image_bias[image * bias.size() + channel] + to_float(residual[i]);
      }
      const ConvAddends<bf16> addends{bias.data(), image_bias.data(), residual.data()};
      const Threads threads(1 + n % 4);
      for_each_target([&] {
        std::vector<bf16> y(dy.size()), again(dy.size()), dx(x.size());
        Floats dw(c.w.size());
        conv_bf16(s, x.data(), c.w.data(), nullptr, addends, y.data());
        EXPECT_LT(relative_error(widened(y), sums), 4e-3);
        Packed packed(conv_bf16_packed_size(s) / 2);
        auto* const to = reinterpret_cast<bf16*>(packed.data());
        pack_conv_bf16(s, c.w.data(), to);
        conv_bf16(s, x.data(), nullptr, to, addends, again.data());
        EXPECT_EQ(widened(again), widened(y));
        if (!takes_conv_bf16_gradients(s)) return;
        conv_bf16_input_gradient(s, dy.data(), c.w.data(), dx.data());
        conv_bf16_weight_gradient(s, x.data(), dy.data(), dw.data());
        EXPECT_LT(relative_error(widened(dx), expected.dx), 4e-3);
        EXPECT_LT(relative_error(dw, expected.dw), kDirect);
      });
    }
  }
  amx::disable(false);
}

TEST(ConvBf16, HasNoGradientWithoutPixels) {
  const ConvShape s = rows_shape(0, 48, 16);
  if (!takes_conv_bf16_gradients(s)) GTEST_SKIP() << "no products of bfloat16";
  Floats dw(48 * 16, 7.0F);
  conv_bf16_weight_gradient(s, nullptr, nullptr, dw.data());
  EXPECT_EQ(dw, Floats(48 * 16, 0.0F));
}

TEST(FewRows, AgreesWithItsDefinition) {
  std::mt19937 random(11);
  for (int n = 0; n < 12; ++n) {
    const int64_t rows = draw(random, 1, 7), in = draw(random, 1, 150), out = draw(random, 1, 90);
    const Floats x = normal(rows * in, random), w = normal(out * in, random), bias = normal(out, random);
    std::vector<double> expected(static_cast<size_t>(rows * out));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t o = 0; o < out; ++o) {
        double& sum = expected[static_cast<size_t>(r * out + o)];
        sum = bias[static_cast<size_t>(o)];
        for (int64_t i = 0; i < in; ++i)
          sum += static_cast<double>(x[static_cast<size_t>(r * in + i)]) * w[static_cast<size_t>(o * in + i)];
      }
    const Threads threads(1 + n % 4);
    for_each_target([&] {
      Floats y(expected.size());
      multiply_few_rows(rows, in, out, x.data(), w.data(), bias.data(), y.data());
      EXPECT_LT(relative_error(y, expected), kDirect);
    });
  }
}

ConvShape random_direct(std::mt19937& random) {
  ConvShape s{draw(random, 1, 3), draw(random, 3, 12), draw(random, 3, 12), draw(random, 1, 50), draw(random, 1, 70)};
  s.kernel = 1 + 2 * draw(random, 0, 2);
  s.stride = draw(random, 1, 3);
  s.padding = s.kernel / 2;
  s.out_height = (s.height + 2 * s.padding - s.kernel) / s.stride + 1;
  s.out_width = (s.width + 2 * s.padding - s.kernel) / s.stride + 1;
  return s;
}

TEST(ConvDirect, AgreesWithItsDefinition) {
  std::mt19937 random(4);
  for (int n = 0; n < 30; ++n) {
    const Case c(random_direct(random), random);
    const auto& s = c.shape;
    SCOPED_TRACE(testing::Message() << s.batch << "x" << s.height << "x" << s.width << ", " << s.in_channels << " to "
                                    << s.out_channels << ", kernel " << s.kernel << ", stride " << s.stride);
    const Threads threads(1 + n % 4);
    for_each_target([&] {
      Floats y(c.dy.size()), dx(c.x.size()), dw(c.w.size());
      conv_direct(s, c.x.data(), c.w.data(), nullptr, y.data());
      conv_direct_input_gradient(s, c.dy.data(), c.w.data(), dx.data());
      conv_direct_weight_gradient(s, c.x.data(), c.dy.data(), dw.data());
      EXPECT_LT(relative_error(y, c.expected.y), kDirect);
      Packed packed(conv_direct_packed_size(s));
      pack_conv_direct(s, c.w.data(), packed.data());
      Floats again(c.dy.size());
      conv_direct_packed(s, c.x.data(), packed.data(), nullptr, again.data());
      EXPECT_EQ(again, y);
      EXPECT_LT(relative_error(dx, c.expected.dx), kDirect);
      EXPECT_LT(relative_error(dw, c.expected.dw), kDirect);
    });
  }
}

// diffusers' Downsample2D with padding 0: zeros below and right only.
TEST(ConvDirect, PadsBelowAndRightOnly) {
  std::mt19937 random(5);
  const Case c({1, 8, 8, 20, 24, 3, 2, 0, 4, 4}, random);
  Floats y(c.dy.size()), dx(c.x.size());
  conv_direct(c.shape, c.x.data(), c.w.data(), nullptr, y.data());
  conv_direct_input_gradient(c.shape, c.dy.data(), c.w.data(), dx.data());
  EXPECT_LT(relative_error(y, c.expected.y), kDirect);
  EXPECT_LT(relative_error(dx, c.expected.dx), kDirect);
}

TEST(Gemm, AgreesWithItsDefinition) {
  std::mt19937 random(6);
  for (int n = 0; n < 30; ++n) {
    const int64_t m = draw(random, 1, 130), columns = draw(random, 1, 100), k = draw(random, 1, n % 5 == 0 ? 1200 : 90);
    const Floats a = normal(m * k, random), b = normal(k * columns, random), bias = normal(columns, random);
    const bool a_transposed = n % 2 == 1, b_transposed = n % 3 == 1, add = n % 4 == 3;
    const Matrix a_view = a_transposed ? Matrix{a.data(), 1, m} : Matrix{a.data(), k, 1};
    const Matrix b_view = b_transposed ? Matrix{b.data(), 1, k} : Matrix{b.data(), columns, 1};
    const Floats before = normal(m * columns, random);
    std::vector<double> expected(before.size());
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        double& sum = expected[static_cast<size_t>(i * columns + j)];
        sum = bias[static_cast<size_t>(j)] + (add ? before[static_cast<size_t>(i * columns + j)] : 0.0);
        for (int64_t q = 0; q < k; ++q)
          sum += static_cast<double>(a_view.data[i * a_view.row + q * a_view.column]) *
                 b_view.data[q * b_view.row + j * b_view.column];
      }
    SCOPED_TRACE(testing::Message() << m << "x" << columns << "x" << k);
    const Threads threads(1 + n % 4);
    for_each_target([&] {
      Floats c = before;
      gemm(m, columns, k, a_view, b_view, c.data(), columns, {.add = add, .bias = bias.data()});
      EXPECT_LT(relative_error(c, expected), kDirect);
    });
  }
}

TEST(PixelSums, SumsEachImage) {
  std::mt19937 random(7);
  const Floats dy = normal(3 * 35 * 17, random);
  std::vector<double> expected(3 * 17);
  for (size_t i = 0; i < dy.size(); ++i) expected[i / (35 * 17) * 17 + i % 17] += dy[i];
  Floats sums(expected.size());
  pixel_sums(3, 35, 17, dy.data(), sums.data());
  EXPECT_LT(relative_error(sums, expected), kDirect);
}

}  // namespace
}  // namespace unnoise::kernels
