#include "unnoise/data/loader.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <stop_token>
#include <thread>
#include <utility>

#include "unnoise/core/error.h"
#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

constexpr int64_t kRowsPerTask = 8;  // so that one batch is shared by the workers, and locks are rare
constexpr int64_t kMostBatchesAhead = 8;
constexpr int64_t kMostBytesAhead = int64_t{256} << 20;

using Order = std::vector<int64_t>;

/// A batch while it is being filled. The rows are handed out and counted under the loader's mutex; each row of the
/// tensors is written by one worker.
struct Pending {
  Batch batch;
  int64_t epoch = 0;
  int64_t first_position = 0;  // in the epoch
  int64_t count = 0;
  std::shared_ptr<const Order> order;

  int64_t rows_taken = 0;
  int64_t rows_done = 0;
  std::exception_ptr error;

  bool has_work() const { return rows_taken < count && !error; }
  bool is_ready() const { return rows_done == count || error; }
};

int64_t worker_count(int64_t wanted) {
  if (wanted < 0) throw usage_error(fmt::format("num_workers: expected 0 or more, found {}", wanted));
  if (wanted > 0) return wanted;
  return std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, 4);
}

}  // namespace

TransformOptions LoaderOptions::transform() const {
  return {resolution, mode, center_crop, random_flip, preserve_input_precision};
}

class Loader::Impl {
 public:
  Impl(std::shared_ptr<PictureStore> store, const LoaderOptions& options, const Observer& observer)
      : store_(std::move(store)),
        options_(options),
        observer_(observer),
        labelled_(store_->data().label(0).has_value()) {
    if (options_.batch_size < 1)
      throw usage_error(fmt::format("batch size: expected at least 1, found {}", options_.batch_size));
    const int64_t workers = worker_count(options_.num_workers);
    if (options_.shares < 1 || options_.share < 0 || options_.share >= options_.shares)
      throw usage_error(
          fmt::format("share {} of {}: expected 0 to {}", options_.share, options_.shares, options_.shares - 1));
    const int64_t most = (options_.batch_size + options_.shares - 1) / options_.shares;
    const int64_t batch_bytes = most * values_per_picture() * 4;
    batches_ahead_ = std::clamp(kMostBytesAhead / batch_bytes, int64_t{2}, kMostBatchesAhead);
    fill_window();
    for (int64_t i = 0; i < workers; ++i) workers_.emplace_back([this](std::stop_token stop) { work(stop); });
  }

  int64_t batches_per_epoch() const { return (size() + options_.batch_size - 1) / options_.batch_size; }

  void seek(int64_t batch_number) {
    if (batch_number < 0) throw usage_error(fmt::format("batch number: expected 0 or more, found {}", batch_number));
    std::lock_guard lock(mutex_);
    if (batch_number == next_to_return_) return;
    window_.clear();  // a worker in the middle of one keeps it alive and drops it
    next_to_return_ = next_to_prepare_ = batch_number;
    fill_window();
    work_waits_.notify_all();
  }

  Batch next() {
    std::unique_lock lock(mutex_);
    const auto front = window_.front();
    if (!front->is_ready()) {
      const auto begin = std::chrono::steady_clock::now();
      batch_ready_.wait(lock, [&] { return front->is_ready(); });
      waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    if (!front->error) {
      window_.pop_front();
      ++next_to_return_;
      fill_window();
      work_waits_.notify_all();
    }
    lock.unlock();
    for (const auto& line : store_->take_warnings()) observer_.warn(line);
    if (front->error) std::rethrow_exception(front->error);
    return std::move(front->batch);
  }

  double seconds_waited() const {
    std::lock_guard lock(mutex_);
    return waited_;
  }

 private:
  int64_t size() const { return store_->data().size(); }
  int64_t values_per_picture() const {
    const auto& transform = store_->transform();
    return image_channels(transform.mode) * transform.resolution * transform.resolution;
  }

  std::shared_ptr<const Order> order_of(int64_t epoch) {
    if (order_ && order_epoch_ == epoch) return order_;
    auto order = std::make_shared<Order>(static_cast<size_t>(size()));
    if (options_.shuffle) {
      const Tensor drawn = Rng(mix(options_.seed, static_cast<uint64_t>(epoch))).permutation(size());
      std::copy_n(drawn.const_data_ptr<int64_t>(), size(), order->begin());
    } else {
      for (int64_t i = 0; i < size(); ++i) (*order)[static_cast<size_t>(i)] = i;
    }
    order_epoch_ = epoch;
    return order_ = std::move(order);
  }

  /// Lays out the batches that may be prepared now.
  void fill_window() {
    while (static_cast<int64_t>(window_.size()) < batches_ahead_) {
      auto pending = std::make_shared<Pending>();
      const int64_t number = next_to_prepare_++;
      pending->epoch = number / batches_per_epoch();
      const int64_t first = number % batches_per_epoch() * options_.batch_size;
      const int64_t count = std::min(options_.batch_size, size() - first);
      const auto part = [&](int64_t share) { return count * share / options_.shares; };
      pending->first_position = first + part(options_.share);
      pending->count = part(options_.share + 1) - part(options_.share);
      pending->order = order_of(pending->epoch);
      const auto& transform = store_->transform();
      pending->batch = {
          at::empty({pending->count, image_channels(transform.mode), transform.resolution, transform.resolution},
                    at::kFloat),
          labelled_ ? at::empty({pending->count}, at::kLong) : Tensor(), number};
      window_.push_back(std::move(pending));
    }
  }

  std::shared_ptr<Pending> pending_with_work() const {
    for (const auto& pending : window_)
      if (pending->has_work()) return pending;
    return nullptr;
  }

  void work(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (true) {
      std::shared_ptr<Pending> pending;
      const bool found = work_waits_.wait(lock, stop, [&] { return (pending = pending_with_work()) != nullptr; });
      if (!found || stop.stop_requested()) return;
      const int64_t begin = pending->rows_taken, end = std::min(begin + kRowsPerTask, pending->count);
      pending->rows_taken = end;
      lock.unlock();
      std::exception_ptr error;
      try {
        for (int64_t row = begin; row < end && !stop.stop_requested(); ++row) fill_row(*pending, row);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      pending->rows_done += end - begin;
      if (error && !pending->error) pending->error = error;
      if (pending->is_ready()) batch_ready_.notify_all();
    }
  }

  void fill_row(const Pending& pending, int64_t row) const {
    const int64_t position = pending.first_position + row;
    const auto [picture, index] = store_->get((*pending.order)[static_cast<size_t>(position)]);
    const auto& transform = store_->transform();
    const uint64_t epoch_key = mix(options_.seed, static_cast<uint64_t>(pending.epoch));
    const View view = choose_view(*picture, transform, mix(epoch_key, static_cast<uint64_t>(position) + 1));
    write_view(*picture, view, transform.resolution,
               pending.batch.images.mutable_data_ptr<float>() + row * values_per_picture());
    if (labelled_) pending.batch.labels.mutable_data_ptr<int64_t>()[row] = store_->data().label(index).value();
  }

  const std::shared_ptr<PictureStore> store_;
  const LoaderOptions options_;
  const Observer observer_;
  const bool labelled_;
  int64_t batches_ahead_ = 2;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable_any work_waits_;
  std::condition_variable batch_ready_;
  std::deque<std::shared_ptr<Pending>> window_;  // consecutive batches, the next to be returned first
  int64_t next_to_return_ = 0;
  int64_t next_to_prepare_ = 0;
  std::shared_ptr<const Order> order_;
  int64_t order_epoch_ = -1;
  double waited_ = 0;

  std::vector<std::jthread> workers_;  // last: stopped and joined before the rest goes
};

Loader::Loader(std::shared_ptr<const Dataset> data, const LoaderOptions& options, const Observer& observer)
    : Loader(std::make_shared<PictureStore>(std::move(data), options.transform(), options.cache_bytes, options.strict),
             options, observer) {}
Loader::Loader(std::shared_ptr<PictureStore> store, const LoaderOptions& options, const Observer& observer)
    : impl_(std::make_unique<Impl>(std::move(store), options, observer)) {}
Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

int64_t Loader::batches_per_epoch() const { return impl_->batches_per_epoch(); }
void Loader::seek(int64_t batch_number) { impl_->seek(batch_number); }
Batch Loader::next() { return impl_->next(); }
double Loader::seconds_waited() const { return impl_->seconds_waited(); }

}  // namespace unnoise
