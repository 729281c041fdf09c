// Drives unnoise/data for test_data.py: data_driver REQUEST.json, where "command" is one of
//   list     {sets: [{path, split}]}: for each its pictures, labels and class names, or its error, as JSON
//   batches  {path, loader, numbers, out}: the batches of these numbers as safetensors "images.N" and "labels.N"
//   pictures {path, split, out}: every picture's RGB pixels [H,W,3] as safetensors "N", its file's bytes as "file.N"
//   measure  {path, loader, step_ms}: pictures a second cold and cached, CPU time a picture, the share of time a steady
//   consumer waits
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/core/json.h"
#include "unnoise/data/dataset.h"
#include "unnoise/data/loader.h"
#include "unnoise/io/image_convert.h"
#include "unnoise/io/safetensors.h"

namespace {

using namespace unnoise;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

LoaderOptions loader_options(const Json& json) {
  LoaderOptions o;
  o.resolution = json.value("resolution", o.resolution);
  o.mode = json.value("mode", "rgb") == "grey" ? ImageMode::grey : ImageMode::rgb;
  o.center_crop = json.value("center_crop", o.center_crop);
  o.random_flip = json.value("random_flip", o.random_flip);
  o.preserve_input_precision = json.value("preserve_input_precision", o.preserve_input_precision);
  o.batch_size = json.value("batch_size", o.batch_size);
  o.seed = json.value("seed", o.seed);
  o.num_workers = json.value("num_workers", o.num_workers);
  o.shuffle = json.value("shuffle", o.shuffle);
  return o;
}

Json list(const Json& set) {
  Json out = {{"files", Json::array()}, {"labels", Json::array()}, {"columns", Json::array()}};
  try {
    const auto data = open_dataset({.path_or_name = set["path"], .split = set.value("split", "train")});
    for (int64_t i = 0; i < data->size(); ++i) {
      out["files"].push_back(data->name(i));
      out["labels"].push_back(data->label(i) ? Json(*data->label(i)) : Json(nullptr));
      out["columns"].push_back(data->columns(i));
    }
    out["names"] = data->label_names();
  } catch (const Error& e) {
    return {{"error", e.what()}};
  }
  return out;
}

Json list_all(const Json& request) {
  Json results = Json::array();
  for (const auto& set : request["sets"]) results.push_back(list(set));
  return results;
}

Json batches(const std::shared_ptr<const Dataset>& data, const Json& request) {
  Loader loader(data, loader_options(request["loader"]));
  StateDict tensors;
  for (const int64_t number : request["numbers"].get<std::vector<int64_t>>()) {
    loader.seek(number);
    const Batch batch = loader.next();
    tensors.emplace_back(fmt::format("images.{}", number), batch.images);
    if (batch.labels.defined()) tensors.emplace_back(fmt::format("labels.{}", number), batch.labels);
  }
  save_safetensors(request["out"].get<std::string>(), tensors);
  return {{"batches_per_epoch", loader.batches_per_epoch()}};
}

Tensor bytes_tensor(const void* data, at::IntArrayRef shape) {
  return at::from_blob(const_cast<void*>(data), shape, at::kByte).clone();
}

Json pictures(const std::shared_ptr<const Dataset>& data, const Json& request) {
  StateDict tensors;
  for (int64_t i = 0; i < data->size(); ++i) {
    const Image image = convert(data->read(i), ImageMode::rgb);
    tensors.emplace_back(std::to_string(i), bytes_tensor(image.pixels.data(), {image.height, image.width, 3}));
    if (const auto file = data->file(i))
      tensors.emplace_back("file." + std::to_string(i),
                           bytes_tensor(file->bytes.data(), {static_cast<int64_t>(file->bytes.size())}));
  }
  save_safetensors(request["out"].get<std::string>(), tensors);
  return {{"pictures", data->size()}};
}

Json measure(const std::shared_ptr<const Dataset>& data, const Json& request) {
  const LoaderOptions options = loader_options(request["loader"]);
  Json result = {{"pictures", data->size()}};
  {
    Loader loader(data, options);
    const auto pictures = static_cast<double>(data->size());
    for (const std::string epoch : {"cold", "cached"}) {
      const auto begin = Clock::now();
      const std::clock_t cpu_begin = std::clock();
      for (int64_t i = 0; i < loader.batches_per_epoch(); ++i) loader.next();
      result[epoch + "_per_second"] = pictures / seconds_since(begin);
      result[epoch + "_cpu_ms"] = 1e3 * static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC / pictures;
    }
  }
  Loader loader(data, options);
  loader.next();
  const double first_wait = loader.seconds_waited();
  const auto begin = Clock::now();
  for (int64_t i = 1; i < loader.batches_per_epoch(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(request.value("step_ms", 100)));
    loader.next();
  }
  result["first_wait_seconds"] = first_wait;
  result["waiting_share"] = (loader.seconds_waited() - first_wait) / seconds_since(begin);
  return result;
}

}  // namespace

int main(int, char** argv) {
  try {
    const Json request = read_json(argv[1]);
    const std::string command = request["command"];
    Json result;
    if (command == "list") {
      result = list_all(request);
    } else {
      const auto data = open_dataset({.path_or_name = request["path"], .split = request.value("split", "train")});
      result = command == "batches"    ? batches(data, request)
               : command == "pictures" ? pictures(data, request)
                                       : measure(data, request);
    }
    fmt::print("{}\n", dump_json_line(result));
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 3;
  }
}
