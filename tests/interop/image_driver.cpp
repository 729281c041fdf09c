// Runs a list of picture jobs for tests/interop/test_images.py: argv[1] is {"jobs": [{"op": ..., "in": ..., "out":
// ...}]}. Pictures and tensors go in and out as raw bytes; what they are goes to stdout, one JSON object a job.
#include <ATen/ops/empty.h>

#include <chrono>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/core/json.h"
#include "unnoise/data/resize.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/io/image_read.h"
#include "unnoise/io/image_write.h"

namespace {

using namespace unnoise;

ImageMode mode_of(const Json& job) { return job.at("mode") == "L" ? ImageMode::grey : ImageMode::rgb; }

std::string_view bytes_of(const std::vector<uint8_t>& pixels) {
  return {reinterpret_cast<const char*>(pixels.data()), pixels.size()};
}

Json put(const Json& job, const Image& image) {
  write_file_atomic(job.at("out").get<std::string>(), bytes_of(image.pixels));
  return {{"shape", {image.height, image.width, image.channels}}};
}

Json put(const Json& job, const Tensor& x) {
  const Tensor dense = x.contiguous();
  write_file_atomic(job.at("out").get<std::string>(),
                    {static_cast<const char*>(dense.const_data_ptr()), static_cast<size_t>(dense.nbytes())});
  return {{"shape", Shape(dense.sizes().begin(), dense.sizes().end())}};
}

/// Raw pixels of shape [height, width, channels].
Image image_from(const Json& path, const Json& shape) {
  const std::string bytes = read_file(path.get<std::string>());
  Image image = blank_image(shape.at(1), shape.at(0), shape.at(2));
  std::memcpy(image.pixels.data(), bytes.data(), std::min(bytes.size(), image.pixels.size()));
  return image;
}

Tensor tensor_from(const Json& job) {
  const std::string bytes = read_file(job.at("in").get<std::string>());
  Tensor x = at::empty(job.at("shape").get<Shape>(), at::kFloat);
  std::memcpy(x.mutable_data_ptr(), bytes.data(), std::min<size_t>(bytes.size(), x.nbytes()));
  return x;
}

std::vector<Image> frames_from(const Json& job) {
  std::vector<Image> frames;
  for (const auto& frame : job.at("frames")) frames.push_back(image_from(frame.at("in"), frame.at("shape")));
  return frames;
}

/// Pictures a second of one resize, after a first one to warm up.
Json timed_resize(const Json& job) {
  const Image image = image_from(job.at("in"), job.at("shape"));
  const int64_t width = job.at("size").at(0), height = job.at("size").at(1), count = job.at("count");
  resize_bilinear(image, width, height);
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < count; ++i) resize_bilinear(image, width, height);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {{"per_second", static_cast<double>(count) / seconds.count()}};
}

Json done(const Json& job) {
  const std::string op = job.at("op");
  if (op == "decode") {
    const auto image = read_image(job.at("in").get<std::string>(),
                                  job.value("upright", false) ? Orientation::upright : Orientation::as_stored);
    write_file_atomic(job.at("out").get<std::string>(), bytes_of(image.pixels));
    return {{"mode", image.mode},
            {"size", {image.width, image.height}},
            {"palette", image.palette},
            {"palette_alpha", image.palette_alpha}};
  }
  if (op == "convert") return put(job, convert(read_image(job.at("in").get<std::string>()), mode_of(job)));
  if (op == "preserve") return put(job, preserving_tensor(read_image(job.at("in").get<std::string>()), mode_of(job)));
  if (op == "resize")
    return put(job,
               resize_bilinear(image_from(job.at("in"), job.at("shape")), job.at("size").at(0), job.at("size").at(1)));
  if (op == "resize_tensor")
    return put(job, resize_bilinear(tensor_from(job), job.at("size").at(0), job.at("size").at(1)));
  if (op == "time_resize") return timed_resize(job);
  if (op == "grid") return put(job, image_grid(tensor_from(job), job.at("columns"), job.at("padding")));
  const std::string out = job.at("out");
  if (op == "png")
    write_png(out, image_from(job.at("in"), job.at("shape")), job.at("text").get<PngText>());
  else if (op == "gif")
    write_gif(out, frames_from(job), job.at("ms"), job.at("last_ms"));
  else if (op == "apng")
    write_apng(out, frames_from(job), job.at("ms"), job.at("last_ms"));
  else
    throw usage_error("unknown op " + op);
  return Json::object();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const Json request = read_json(argv[1]);
  for (const auto& job : request.at("jobs")) {
    Json result;
    try {
      result = done(job);
    } catch (const Error& error) {
      result = {{"error", error.message()}, {"kind", static_cast<int>(error.kind())}};
    }
    std::cout << dump_json_line(result) << "\n";
  }
}
