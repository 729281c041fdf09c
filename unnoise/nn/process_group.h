// The processes that train one model together, and what they do in step: add up, hand round, wait for each other.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/observer.h"
#include "unnoise/core/process_place.h"
#include "unnoise/nn/process_ring.h"
#include "unnoise/nn/process_store.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Every process makes the same calls in the same order. Each call throws Error::environment that names the process
/// when one has ended or, for `patience`, not taken part. A group of one does nothing, at no cost.
class ProcessGroup {
 public:
  ProcessGroup() = default;  ///< of one
  /// Meets the others; blocks until all are there. Error::environment that names the missing after `patience`.
  ProcessGroup(const ProcessPlace& place, std::chrono::seconds patience, const Observer& observer = {});

  int64_t rank() const { return rank_; }
  int64_t size() const { return size_; }
  bool is_main() const { return rank_ == 0; }

  /// Each value becomes the sum over all processes: the same bits on each, and in each repetition.
  void sum(std::span<float> values);
  double sum(double value);
  /// What each process gives, by rank: tensors on the processor, of one shape and type.
  std::vector<Tensor> gather(const Tensor& mine);
  /// Everyone's tensor becomes rank 0's. On any device.
  void broadcast(const Tensor& tensor);
  /// `work` on rank 0 and, once that is done, on all others.
  template <class Work>
  auto main_first(Work work) {
    if (!is_main()) wait_for_main();
    auto result = work();
    if (is_main()) wait_for_main();
    return result;
  }
  /// `work` on rank 0 alone, for which the others wait however long it takes.
  template <class Work>
  void on_main(Work work) {
    if (is_main()) work();
    wait_for_main();
  }

  /// Leaves word why this process ends, for the others to repeat. The first reason stands.
  void fail(std::string_view why) noexcept;

 private:
  void meet(const ProcessPlace& place, const Observer& observer);
  void form_ring(const Socket& master, const std::string& master_addr, Clock::time_point until,
                 const Observer& observer);
  void await_addresses(Clock::time_point until, const Observer& observer);
  void await_all();
  /// Passes blocks round the ring: in step s this process sends `block(first - s)` and receives the one before it.
  template <class Block, class Received>
  void pass_round(int64_t first, Block block, Received received);
  void exchange(std::span<const std::byte> out, std::span<std::byte> in);
  void wait_for_main();
  bool main_is_busy();
  [[noreturn]] void fail_gone(int64_t rank);
  [[noreturn]] void fail_missing();
  std::optional<std::string> reason_left();
  int64_t before(int64_t rank) const { return (rank + size_ - 1) % size_; }
  int64_t after(int64_t rank) const { return (rank + 1) % size_; }

  int64_t rank_ = 0;
  int64_t size_ = 1;
  std::chrono::seconds patience_{0};
  std::unique_ptr<ProcessStore> store_;
  Socket next_, previous_;
  int64_t main_turns_ = 0;       ///< how often the others have waited for rank 0
  bool waits_for_main_ = false;  ///< now
  std::vector<float> received_;  ///< of sum(), kept for the next one
};

}  // namespace unnoise
