#include "unnoise/nn/process_group.h"

#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <random>
#include <thread>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using namespace std::chrono_literals;

constexpr const char* kReason = "reason";   // why the first process that failed did
constexpr const char* kMainTurns = "main";  // how often rank 0 has come to wait_for_main()
constexpr const char* kToken = "token";
constexpr auto kSilence = 10s;   // before a process says for whom it waits
constexpr auto kToRead = 2s;     // why rank 0 stopped, from the store that ends with it
constexpr auto kWitnesses = 3s;  // those that wait in vain stop doing so at about the same time
constexpr const char* kGoOn =
    "Look at what it printed, and whether the system ended it (out of memory). The last "
    "checkpoint is whole: --resume-from-checkpoint latest goes on with the same number of "
    "processes.";

std::string address_key(int64_t rank) { return fmt::format("address/{}", rank); }
std::string waiting_key(int64_t rank) { return fmt::format("waiting/{}", rank); }

/// So that a stranger who finds the port is not taken for a process of the group.
std::string random_token() {
  std::random_device random;
  std::string token;
  for (int i = 0; i < 4; ++i) token += fmt::format("{:08x}", random());
  return token;
}

std::span<const std::byte> bytes_of(std::span<const float> values) { return std::as_bytes(values); }

}  // namespace

ProcessGroup::ProcessGroup(const ProcessPlace& place, std::chrono::seconds patience, const Observer& observer)
    : rank_(place.rank), size_(place.world_size), patience_(patience) {
  if (size_ < 1 || rank_ < 0 || rank_ >= size_)
    throw usage_error(fmt::format("process {} of {}: expected 0 to {}", rank_, size_, size_ - 1));
  if (size_ > 1) meet(place, observer);
}

void ProcessGroup::meet(const ProcessPlace& place, const Observer& observer) {
  const auto until = Clock::now() + patience_;
  const bool serves = is_main() && !place.launcher_listens;
  if (serves && connect_to(place.master_addr, place.master_port, Clock::now()))  // throws for a name of no machine
    throw environment_error(fmt::format("port {} of {} is taken", place.master_port, place.master_addr),
                            "Another program listens there, perhaps another training: give another as MASTER_PORT.");
  if (serves) store_ = std::make_unique<ProcessStore>(place, patience_);
  const Socket master = connect_to(place.master_addr, place.master_port, until);
  if (!master)
    throw environment_error(fmt::format("process {} of {}: nobody listens at {} port {} after {} s", rank_, size_,
                                        place.master_addr, place.master_port, patience_.count()),
                            "Start rank 0 on the machine that MASTER_ADDR names, and let its port through.");
  if (!serves) store_ = std::make_unique<ProcessStore>(place, patience_);

  try {
    form_ring(master, place.master_addr, until, observer);
  } catch (const c10::Error& e) {
    throw environment_error(fmt::format("process {} of {}: rank 0 has ended before all had met: {}", rank_, size_,
                                        e.what_without_backtrace()));
  }
}

void ProcessGroup::form_ring(const Socket& master, const std::string& master_addr, Clock::time_point until,
                             const Observer& observer) {
  const RingListener listener(master, master_addr);
  if (is_main()) store_->set(kToken, random_token());  // before its address, which says that all is ready
  store_->set(address_key(rank_), listener.address());
  await_addresses(until, observer);
  const std::string token = *store_->find(kToken);
  next_ = join_next(*store_->find(address_key(after(rank_))), token, until);
  if (!next_) fail_gone(after(rank_));
  previous_ = listener.accept(token, until);
  if (!previous_) fail_gone(before(rank_));
  await_all();  // the store ends with rank 0, and others may still look for addresses in it
}

/// Nobody leaves before all have come.
void ProcessGroup::await_all() {
  std::vector<std::byte> all(static_cast<size_t>(size_));
  const auto block = [&](int64_t i) { return std::span(&all[static_cast<size_t>(i)], 1); };
  pass_round(rank_, block, block);
}

void ProcessGroup::await_addresses(Clock::time_point until, const Observer& observer) {
  auto say_at = Clock::now() + kSilence;
  for (auto pause = 5ms;; pause = std::min(2 * pause, 500ms)) {
    std::vector<int64_t> missing;
    for (int64_t rank = 0; rank < size_; ++rank)
      if (!store_->find(address_key(rank))) missing.push_back(rank);
    if (missing.empty()) return;
    if (Clock::now() >= until)
      throw environment_error(fmt::format("process {} of {}: after {} s there is still no process of rank {}", rank_,
                                          size_, patience_.count(), fmt::join(missing, ", ")),
                              "Start as many processes as WORLD_SIZE says, each with a RANK of its own.");
    if (Clock::now() >= say_at) {
      observer.info(fmt::format("waiting for the process of rank {}", fmt::join(missing, ", ")));
      say_at = until;
    }
    std::this_thread::sleep_for(pause);
  }
}

void ProcessGroup::exchange(std::span<const std::byte> out, std::span<std::byte> in) {
  for (;;) switch (unnoise::exchange(next_, out, previous_, in, patience_)) {
      case Exchange::done:
        return;
      case Exchange::next_is_gone:
        fail_gone(after(rank_));
      case Exchange::previous_is_gone:
        fail_gone(before(rank_));
      case Exchange::timed_out:
        if (!waits_for_main_ || !main_is_busy()) fail_missing();
    }
}

template <class Block, class Received>
void ProcessGroup::pass_round(int64_t first, Block block, Received received) {
  int64_t mine = first;
  for (int64_t step = 1; step < size_; ++step) {
    exchange(block(mine), received(before(mine)));
    mine = before(mine);
  }
}

/// Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce": each process sends and receives 2 (n - 1) / n of the
/// values. Block b is added up in the order of the ring from rank b on, and its one sum is then handed to all.
void ProcessGroup::sum(std::span<float> values) {
  if (size_ == 1) return;
  const auto block = [&](int64_t i) {
    const size_t n = values.size(), parts = static_cast<size_t>(size_), at = static_cast<size_t>(i);
    const size_t begin = n * at / parts;
    return values.subspan(begin, n * (at + 1) / parts - begin);
  };
  received_.resize(values.size() / static_cast<size_t>(size_) + 1);
  int64_t mine = rank_;
  for (int64_t step = 1; step < size_; ++step, mine = before(mine)) {
    const auto target = block(before(mine));
    const std::span<float> arrived(received_.data(), target.size());
    exchange(bytes_of(block(mine)), std::as_writable_bytes(arrived));
    for (size_t i = 0; i < target.size(); ++i) target[i] += arrived[i];
  }
  pass_round(
      mine, [&](int64_t i) { return bytes_of(block(i)); }, [&](int64_t i) { return std::as_writable_bytes(block(i)); });
}

double ProcessGroup::sum(double value) {
  std::vector<double> all(static_cast<size_t>(size_));
  all[static_cast<size_t>(rank_)] = value;
  const auto block = [&](int64_t i) { return std::span(&all[static_cast<size_t>(i)], 1); };
  pass_round(
      rank_, [&](int64_t i) { return std::as_bytes(block(i)); },
      [&](int64_t i) { return std::as_writable_bytes(block(i)); });
  double total = 0;
  for (const double one : all) total += one;
  return total;
}

std::vector<Tensor> ProcessGroup::gather(const Tensor& mine) {
  std::vector<Tensor> all;
  for (int64_t rank = 0; rank < size_; ++rank)
    all.push_back(rank == rank_ ? mine.contiguous() : at::empty_like(mine, {}, at::MemoryFormat::Contiguous));
  const auto block = [&](int64_t i) {
    Tensor& tensor = all[static_cast<size_t>(i)];
    return std::span(static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes());
  };
  pass_round(rank_, block, block);
  return all;
}

void ProcessGroup::broadcast(const Tensor& tensor) {
  if (size_ == 1) return;
  const c10::NoGradGuard no_grad;
  const Tensor here = tensor.cpu().contiguous();
  const std::span bytes(static_cast<std::byte*>(here.mutable_data_ptr()), here.nbytes());
  if (!is_main()) exchange({}, bytes);
  if (after(rank_) != 0) exchange(bytes, {});
  if (!is_main()) tensor.copy_(here);
}

/// Rank 0 says that it has come, so that afterwards patience counts again.
void ProcessGroup::wait_for_main() {
  if (size_ == 1) return;
  ++main_turns_;
  if (is_main()) store_->set(kMainTurns, std::to_string(main_turns_));
  waits_for_main_ = !is_main();
  await_all();
  waits_for_main_ = false;
}

bool ProcessGroup::main_is_busy() {
  try {
    return std::stoll(store_->find(kMainTurns).value_or("0")) < main_turns_;
  } catch (const c10::Error&) {  // where rank 0 keeps the store: it is not busy, it hangs
    return false;
  }
}

std::optional<std::string> ProcessGroup::reason_left() {
  try {
    return store_->find(kReason);
  } catch (const c10::Error&) {  // whoever kept the store is gone
    return std::nullopt;
  }
}

void ProcessGroup::fail(std::string_view why) noexcept {
  if (!store_) return;
  try {
    store_->set_first(kReason, fmt::format("process {} of {} stopped: {}", rank_, size_, why));
  } catch (const std::exception&) {  // it cannot be told; the closed connection will
  }
  next_ = Socket();  // the others notice, and look up the reason
  previous_ = Socket();
  if (is_main()) std::this_thread::sleep_for(kToRead);
}

/// The process at the other end of a connection, or another one because of whose end it stopped.
void ProcessGroup::fail_gone(int64_t rank) {
  if (const auto reason = reason_left()) throw environment_error(*reason);
  throw environment_error(fmt::format("process {} of {} has ended in the middle of the training", rank, size_), kGoOn);
}

/// Everyone who waits in vain says so; those who do not are the ones to wait for.
void ProcessGroup::fail_missing() {
  std::vector<int64_t> missing;
  try {
    store_->set(waiting_key(rank_), "");
    std::this_thread::sleep_for(kWitnesses);
    if (const auto reason = store_->find(kReason)) throw environment_error(*reason);
    for (int64_t rank = 0; rank < size_; ++rank)
      if (!store_->find(waiting_key(rank))) missing.push_back(rank);
  } catch (const c10::Error&) {
    missing = {0};  // it keeps the store
  }
  if (missing.empty()) missing = {before(rank_)};
  throw environment_error(
      fmt::format("process {} of {} has not answered for {} s", fmt::join(missing, ", "), size_, patience_.count()),
      "It hangs, its machine is out of reach, or it is very slow (--process-timeout waits longer).");
}

}  // namespace unnoise
