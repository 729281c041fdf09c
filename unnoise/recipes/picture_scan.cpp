#include "unnoise/recipes/picture_scan.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

bool is_see_through(const DecodedImage& image) {
  const auto below = [](uint8_t alpha) { return alpha < 255; };
  if (image.mode == "P") return std::any_of(image.palette_alpha.begin(), image.palette_alpha.end(), below);
  if (image.mode != "LA" && image.mode != "RGBA") return false;
  const auto channels = static_cast<size_t>(mode_channels(image.mode));
  for (size_t at = channels - 1; at < image.pixels.size(); at += channels)
    if (below(image.pixels[at])) return true;
  return false;
}

std::string_view as_text(const std::vector<uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

PictureFacts look_at(const Dataset& data, int64_t i, ScanDepth depth) {
  PictureFacts facts;
  facts.looked_at = true;
  try {
    const auto file = data.file(i);
    if (file) {
      facts.bytes = static_cast<int64_t>(file->bytes.size());
      if (const auto format = picture_format(file->bytes)) facts.format = format_name(*format);
      facts.content = std::hash<std::string_view>()(file->bytes);
    }
    const DecodedImage image = file ? decode_image(file->bytes, data.name(i)) : data.read(i);
    if (!file) {
      facts.bytes = static_cast<int64_t>(image.pixels.size());
      facts.content = std::hash<std::string_view>()(as_text(image.pixels));
    }
    facts.width = image.width;
    facts.height = image.height;
    facts.mode = image.mode;
    facts.see_through = is_see_through(image);
    if (depth == ScanDepth::with_hashes) {
      facts.look = look_hash(image);
      facts.thumbnail = thumbnail_of(image);
    }
  } catch (const Error& e) {
    facts.problem = e.message();
  }
  return facts;
}

}  // namespace

std::vector<PictureFacts> scan_pictures(const std::vector<SplitDataset>& splits, const std::vector<PictureRef>& which,
                                        ScanDepth depth, const Observer& observer, const std::stop_token& stop) {
  std::vector<PictureFacts> facts(which.size());
  std::atomic<size_t> next = 0, done = 0;
  std::mutex mutex;
  std::exception_ptr error;  // out of memory, a bug: not of one picture
  const auto look_at_some = [&](bool reports) {
    try {
      for (size_t k = next++; k < which.size() && !stop.stop_requested(); k = next++) {
        facts[k] = look_at(*splits[which[k].split].data, which[k].index, depth);
        const size_t count = ++done;
        if (reports && count % 16 == 0)
          observer.progress({.stage = "look at pictures",
                             .done = static_cast<int64_t>(count),
                             .total = static_cast<int64_t>(which.size()),
                             .detail = {}});
      }
    } catch (...) {
      std::lock_guard lock(mutex);
      error = std::current_exception();
      next = which.size();
    }
  };
  {
    const size_t helpers = std::min<size_t>(std::thread::hardware_concurrency(), which.size() / 16);
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < helpers; ++i) threads.emplace_back(look_at_some, false);
    look_at_some(true);
  }
  if (error) std::rethrow_exception(error);
  const auto total = static_cast<int64_t>(which.size());
  observer.progress({.stage = "look at pictures", .done = static_cast<int64_t>(done), .total = total, .detail = {}});
  return facts;
}

}  // namespace unnoise
