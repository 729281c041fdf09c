#include "unnoise/kernels/group_norm.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "unnoise/kernels/group_norm.cpp"
#include <hwy/foreach_target.h>  // must come before the inner loops

#include "unnoise/kernels/group_norm-inl.h"
#include "unnoise/kernels/parallel.h"
#include "unnoise/kernels/scratch.h"

#ifndef UNNOISE_KERNELS_GROUP_NORM_LOOPS_
#define UNNOISE_KERNELS_GROUP_NORM_LOOPS_
namespace unnoise::kernels {

/// The loops of group_norm-inl.h for one SIMD target; those through SiLU stand at [1].
template <class T>
struct GroupNormLoops {
  void (*moments)(const T* x, int64_t pixels, int64_t channels, float* mean, float* squares);
  void (*merge_moments)(int64_t channels, double before, double here, const float* block_mean,
                        const float* block_squares, double* mean, double* squares);
  void (*merge_sums)(int64_t count, const float* block, double* sums);
  void (*normalise[2])(const T* x, int64_t pixels, int64_t channels, const float* mean, const float* scale,
                       const float* bias, T* y);
  void (*gradient_sums[2])(const T* dy, const T* x, int64_t pixels, int64_t channels, const float* mean,
                           const float* scale, const float* bias, float* sums, T* dz, T* y);
  void (*input_gradient)(const T* dz, const T* x, int64_t pixels, int64_t channels, const float* mean,
                         const float* scale, const float* constant, const float* slope, T* dx);
};

}  // namespace unnoise::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace unnoise::kernels::HWY_NAMESPACE {

template <class T>
GroupNormLoops<T> loops() {
  return {moments<T>,
          merge_moments,
          merge_sums,
          {normalise<false, T>, normalise<true, T>},
          {gradient_sums<false, T>, gradient_sums<true, T>},
          input_gradient<T>};
}
GroupNormLoops<float> float_loops() { return loops<float>(); }
GroupNormLoops<bf16> bf16_loops() { return loops<bf16>(); }

}  // namespace unnoise::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unnoise::kernels {
namespace {

HWY_EXPORT(float_loops);
HWY_EXPORT(bf16_loops);

template <class T>
GroupNormLoops<T> best_loops() {
  if constexpr (std::is_same_v<T, float>)
    return HWY_DYNAMIC_DISPATCH(float_loops)();
  else
    return HWY_DYNAMIC_DISPATCH(bf16_loops)();
}

/// Pixels are summed in blocks whose bounds depend on the shape alone, and blocks are merged in order: the sums are the
/// same for every number of threads. Float32 inside a block, double across blocks.
struct Blocks {
  explicit Blocks(int64_t pixels)
      : pixels(pixels), size(std::max<int64_t>(64, (pixels + 255) / 256)), count((pixels + size - 1) / size) {}
  int64_t length(int64_t block) const { return std::min(size, pixels - block * size); }
  int64_t pixels, size, count;
};

/// Of one image while it is worked on.
struct Workspace {
  double* totals;   // [2,channels]
  float* partials;  // [blocks,2,channels]
  float* tables;    // [4,channels]: what a pass looks up for each channel
};

/// The elements that are worth a thread.
constexpr int64_t kGrain = 16384;

/// For every image: first(image, w); reduce(image, block, w) on its blocks; middle(image, w); apply(image, block, w) on
/// its blocks, the last first because that is the one still in the cache. Images are spread over the threads, or the
/// blocks of all images where there are too few images to keep the threads busy.
template <class First, class Reduce, class Middle, class Apply>
void two_passes(const GroupNormShape& s, const First& first, const Reduce& reduce, const Middle& middle,
                const Apply& apply) {
  const Blocks blocks(s.pixels);
  const int64_t floats = (2 * blocks.count + 4) * s.channels;
  const int64_t doubles = 2 * s.channels + (floats + 1) / 2;
  const auto workspace = [&](double* from) {
    auto* partials = reinterpret_cast<float*>(from + 2 * s.channels);
    return Workspace{from, partials, partials + 2 * blocks.count * s.channels};
  };
  const int64_t image_size = s.pixels * s.channels, threads = num_threads();
  static thread_local Scratch scratch;
  if (s.images >= 4 * threads || s.images % threads == 0 || image_size < 2 * kGrain) {
    parallel_for(s.images, std::max<int64_t>(1, kGrain / image_size), [&](int64_t begin, int64_t end) {
      const Workspace w = workspace(scratch.get<double>(doubles));
      for (int64_t image = begin; image < end; ++image) {
        first(image, w);
        for (int64_t b = 0; b < blocks.count; ++b) reduce(image, b, w);
        middle(image, w);
        for (int64_t b = blocks.count; b-- > 0;) apply(image, b, w);
      }
    });
    return;
  }
  double* const all = scratch.get<double>(doubles * s.images);
  const int64_t grain = std::max<int64_t>(1, kGrain / (blocks.size * s.channels));
  for (int64_t image = 0; image < s.images; ++image) first(image, workspace(all + image * doubles));
  parallel_for(s.images * blocks.count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      reduce(i / blocks.count, i % blocks.count, workspace(all + i / blocks.count * doubles));
  });
  for (int64_t image = 0; image < s.images; ++image) middle(image, workspace(all + image * doubles));
  parallel_for(s.images * blocks.count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = end; i-- > begin;)
      apply(i / blocks.count, i % blocks.count, workspace(all + i / blocks.count * doubles));
  });
}

/// mean and rstd of a group from the moments of its channels, each over the same number of pixels.
void group_statistics(const double* mean, const double* squares, int64_t channels, int64_t pixels, double eps,
                      float* group_mean, float* group_rstd) {
  double centre = 0, sum = 0;
  for (int64_t c = 0; c < channels; ++c) centre += mean[c];
  centre /= static_cast<double>(channels);
  for (int64_t c = 0; c < channels; ++c)
    sum += squares[c] + static_cast<double>(pixels) * (mean[c] - centre) * (mean[c] - centre);
  *group_mean = static_cast<float>(centre);
  *group_rstd = static_cast<float>(1 / std::sqrt(sum / static_cast<double>(channels * pixels) + eps));
}

/// Tables 0 and 1: mean and rstd * weight of every channel.
void fill_tables(const GroupNormShape& s, const float* weight, const float* mean, const float* rstd, float* tables) {
  const int64_t size = s.channels / s.groups;
  for (int64_t g = 0, c = 0; g < s.groups; ++g)
    for (const int64_t end = c + size; c < end; ++c) {
      tables[c] = mean[g];
      tables[s.channels + c] = rstd[g] * weight[c];
    }
}

}  // namespace

template <class T>
void group_norm(const GroupNormShape& s, const T* x, const float* weight, const float* bias, double eps, bool silu,
                T* y, float* mean, float* rstd) {
  if (s.images * s.pixels * s.channels == 0) return;
  const auto loops = best_loops<T>();
  const Blocks blocks(s.pixels);
  const int64_t channels = s.channels, size = channels / s.groups;
  const auto offset = [&](int64_t image, int64_t block) { return (image * s.pixels + block * blocks.size) * channels; };
  two_passes(
      s, [](int64_t, const Workspace&) {},
      [&](int64_t image, int64_t b, const Workspace& w) {
        float* const partial = w.partials + b * 2 * channels;
        loops.moments(x + offset(image, b), blocks.length(b), channels, partial, partial + channels);
      },
      [&](int64_t image, const Workspace& w) {
        std::fill_n(w.totals, 2 * channels, 0.0);
        for (int64_t b = 0; b < blocks.count; ++b) {
          const float* const partial = w.partials + b * 2 * channels;
          loops.merge_moments(channels, static_cast<double>(b * blocks.size), static_cast<double>(blocks.length(b)),
                              partial, partial + channels, w.totals, w.totals + channels);
        }
        float *const means = mean + image * s.groups, *const rstds = rstd + image * s.groups;
        for (int64_t g = 0; g < s.groups; ++g)
          group_statistics(w.totals + g * size, w.totals + channels + g * size, size, s.pixels, eps, means + g,
                           rstds + g);
        fill_tables(s, weight, means, rstds, w.tables);
      },
      [&](int64_t image, int64_t b, const Workspace& w) {
        loops.normalise[silu](x + offset(image, b), blocks.length(b), channels, w.tables, w.tables + channels, bias,
                              y + offset(image, b));
      });
}

template <class T>
void group_norm_again(const GroupNormShape& s, const GroupNormSaved<T>& saved, T* y) {
  const auto loops = best_loops<T>();
  const Blocks blocks(s.pixels);
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, blocks.size * s.channels));
  parallel_for(s.images * blocks.count, grain, [&](int64_t begin, int64_t end) {
    static thread_local Scratch scratch;
    float* const tables = scratch.get<float>(2 * s.channels);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / blocks.count, block = i % blocks.count;
      if (i == begin || block == 0)
        fill_tables(s, saved.weight, saved.mean + image * s.groups, saved.rstd + image * s.groups, tables);
      const int64_t offset = (image * s.pixels + block * blocks.size) * s.channels;
      loops.normalise[saved.silu](saved.x + offset, blocks.length(block), s.channels, tables, tables + s.channels,
                                  saved.bias, y + offset);
    }
  });
}

template <class T>
void group_norm_backward(const GroupNormShape& s, const GroupNormSaved<T>& saved, const T* dy, T* dx, float* dweight,
                         float* dbias, T* y) {
  if (s.images * s.pixels * s.channels == 0) {
    if (dweight) std::fill_n(dweight, s.channels, 0.0F), std::fill_n(dbias, s.channels, 0.0F);
    return;
  }
  const auto loops = best_loops<T>();
  const Blocks blocks(s.pixels);
  const int64_t channels = s.channels, size = channels / s.groups;
  static thread_local Scratch scratch;
  float* const image_sums = dweight ? scratch.get<float>(s.images * 2 * channels) : nullptr;  // dbias, dweight
  const bool keep_dz = dx && saved.silu;  // in dx between the passes, which is cheaper than a second exponential
  const auto offset = [&](int64_t image, int64_t block) { return (image * s.pixels + block * blocks.size) * channels; };
  two_passes(
      s,
      [&](int64_t image, const Workspace& w) {
        fill_tables(s, saved.weight, saved.mean + image * s.groups, saved.rstd + image * s.groups, w.tables);
      },
      [&](int64_t image, int64_t b, const Workspace& w) {
        loops.gradient_sums[saved.silu](dy + offset(image, b), saved.x + offset(image, b), blocks.length(b), channels,
                                        w.tables, w.tables + channels, saved.bias, w.partials + b * 2 * channels,
                                        keep_dz ? dx + offset(image, b) : nullptr, y ? y + offset(image, b) : nullptr);
      },
      [&](int64_t image, const Workspace& w) {
        double *const sums = w.totals, *const products = w.totals + channels;
        std::fill_n(sums, 2 * channels, 0.0);
        for (int64_t b = 0; b < blocks.count; ++b) loops.merge_sums(2 * channels, w.partials + b * 2 * channels, sums);
        for (int64_t g = 0; g < s.groups; ++g) {
          const double rstd = saved.rstd[image * s.groups + g];
          double sum = 0, product = 0;  // of the gradient of (x - mean) rstd, and of its product with that
          for (int64_t c = g * size; c < (g + 1) * size; ++c) {
            products[c] *= rstd;
            sum += saved.weight[c] * sums[c];
            product += saved.weight[c] * products[c];
          }
          const double share = rstd / static_cast<double>(size * s.pixels);
          std::fill_n(w.tables + 2 * channels + g * size, size, static_cast<float>(sum * share));
          std::fill_n(w.tables + 3 * channels + g * size, size, static_cast<float>(product * share * rstd));
        }
        if (image_sums) std::copy_n(sums, 2 * channels, image_sums + image * 2 * channels);
      },
      [&](int64_t image, int64_t b, const Workspace& w) {
        if (!dx) return;
        loops.input_gradient((keep_dz ? dx : dy) + offset(image, b), saved.x + offset(image, b), blocks.length(b),
                             channels, w.tables, w.tables + channels, w.tables + 2 * channels, w.tables + 3 * channels,
                             dx + offset(image, b));
      });
  if (!dweight) return;
  static thread_local Scratch totals;
  double* const total = totals.get<double>(2 * channels);
  std::fill_n(total, 2 * channels, 0.0);
  for (int64_t image = 0; image < s.images; ++image)
    loops.merge_sums(2 * channels, image_sums + image * 2 * channels, total);
  std::copy_n(total, channels, dbias);
  std::copy_n(total + channels, channels, dweight);
}

template void group_norm(const GroupNormShape&, const float*, const float*, const float*, double, bool, float*, float*,
                         float*);
template void group_norm(const GroupNormShape&, const bf16*, const float*, const float*, double, bool, bf16*, float*,
                         float*);
template void group_norm_again(const GroupNormShape&, const GroupNormSaved<float>&, float*);
template void group_norm_again(const GroupNormShape&, const GroupNormSaved<bf16>&, bf16*);
template void group_norm_backward(const GroupNormShape&, const GroupNormSaved<float>&, const float*, float*, float*,
                                  float*, float*);
template void group_norm_backward(const GroupNormShape&, const GroupNormSaved<bf16>&, const bf16*, bf16*, float*,
                                  float*, bf16*);

}  // namespace unnoise::kernels
#endif
