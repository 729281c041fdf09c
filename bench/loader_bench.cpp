// From a picture file to the network's input on one core: decode, resize the shorter side, crop. bench/peers/loader.py
// does the same work on the same files with Pillow, torchvision's steps and the datasets library.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/data/transforms.h"
#include "unnoise/io/image_read.h"

namespace {

using namespace unnoise;

constexpr const char* kFiles[] = {"cat.jpg", "brick.jpg", "gravel.png", "rocket.webp"};
constexpr int64_t kResolution = 64;

std::string bytes_of(const char* name) { return read_file(fs::path(UNNOISE_TEST_DATA) / name); }

void pictures(benchmark::State& state, int64_t count) {
  state.counters["pictures/s"] = benchmark::Counter(static_cast<double>(count), benchmark::Counter::kIsRate);
}

void load_picture(benchmark::State& state) {
  const char* name = kFiles[state.range(0)];
  const std::string bytes = bytes_of(name);
  const TransformOptions options{.resolution = kResolution, .center_crop = true};
  std::vector<float> out(3 * kResolution * kResolution);
  for (auto _ : state) {
    const ResizedPicture picture = resize_for_training(decode_image(bytes, name), options);
    write_view(picture, choose_view(picture, options, 0), kResolution, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  state.SetLabel(name);
  pictures(state, state.iterations());
}

void decode_picture(benchmark::State& state) {
  const char* name = kFiles[state.range(0)];
  const std::string bytes = bytes_of(name);
  for (auto _ : state) benchmark::DoNotOptimize(decode_image(bytes, name).pixels.data());
  state.SetLabel(name);
  pictures(state, state.iterations());
}

/// A picture of 512 x 512 pixels, as many channels as asked for.
void resize_picture(benchmark::State& state) {
  Image image = blank_image(512, 512, state.range(0));
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 2654435761U >> 24);
  for (auto _ : state) benchmark::DoNotOptimize(resize_bilinear(image, state.range(1), state.range(1)).pixels.data());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(image.pixels.size()));
  pictures(state, state.iterations());
}

BENCHMARK(load_picture)->DenseRange(0, 3)->Unit(benchmark::kMicrosecond);
BENCHMARK(decode_picture)->DenseRange(0, 3)->Unit(benchmark::kMicrosecond);
BENCHMARK(resize_picture)->ArgsProduct({{1, 3, 4}, {64, 256}})->Unit(benchmark::kMicrosecond);

}  // namespace
