#include "unnoise/hub/transfer_progress.h"

#include <fmt/format.h>

#include <algorithm>

namespace unnoise {
namespace {

constexpr double kMega = 1e6, kKilo = 1e3;
constexpr std::chrono::milliseconds kPause{100};

}  // namespace

TransferProgress::TransferProgress(const Observer& observer, std::string_view stage, uint64_t total)
    : observer_(observer), stage_(stage), total_(total) {}

void TransferProgress::add(const std::string& file, uint64_t bytes) {
  done_ += bytes;
  travelled_ += bytes;
  report(file, done_ >= total_);
}

void TransferProgress::already(uint64_t bytes) { done_ += bytes; }

void TransferProgress::take_back(uint64_t bytes) { done_ -= std::min(done_, bytes); }

void TransferProgress::report(const std::string& file, bool at_once) {
  const auto now = Clock::now();
  if (total_ == 0 || (!at_once && now - reported_ < kPause)) return;
  reported_ = now;
  const bool large = static_cast<double>(total_) >= 10 * kMega;
  const double unit = large ? kMega : kKilo;
  const double seconds = std::chrono::duration<double>(now - started_).count();
  const double rate = seconds > 0 ? static_cast<double>(travelled_) / seconds : 0;  // bytes a second
  const auto in_units = [&](uint64_t bytes) { return static_cast<int64_t>(static_cast<double>(bytes) / unit + 0.5); };
  observer_.progress({.stage = stage_,
                      .done = in_units(std::min(done_, total_)),
                      .total = std::max<int64_t>(in_units(total_), 1),
                      .detail = fmt::format("{}  {}  {:.1f} MB/s", large ? "MB" : "kB", file, rate / kMega),
                      .per_second = 0,
                      .seconds_left = rate > 0 ? static_cast<double>(total_ - std::min(done_, total_)) / rate : -1});
}

}  // namespace unnoise
