#include "unnoise/nn/process_store.h"

#include <fmt/format.h>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr std::chrono::seconds kAnswer{30};  // a store whose process hangs shall not hold up who reports that

}  // namespace

class ProcessStore::Impl {
 public:
  explicit Impl(const ProcessPlace& place, std::chrono::seconds patience) {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(place.master_port);
    options.isServer = place.rank == 0 && !place.launcher_listens;
    options.waitWorkers = false;  // the group waits itself, and can say for whom
    options.timeout = patience;
    const auto tcp = c10::make_intrusive<c10d::TCPStore>(place.master_addr, options);
    tcp->setTimeout(kAnswer);
    store_ = c10::make_intrusive<c10d::PrefixStore>(fmt::format("unnoise/{}", place.attempt), tcp);
  }

  c10d::Store& operator*() { return *store_; }

 private:
  c10::intrusive_ptr<c10d::Store> store_;
};

ProcessStore::ProcessStore(const ProcessPlace& place, std::chrono::seconds patience) {
  try {
    impl_ = std::make_unique<Impl>(place, patience);
  } catch (const c10::Error& e) {
    const bool serves = place.rank == 0 && !place.launcher_listens;
    throw environment_error(
        fmt::format("cannot {} {} port {} for the processes to meet: {}", serves ? "listen on" : "speak to",
                    place.master_addr, place.master_port, e.what_without_backtrace()),
        serves ? "Another program may use that port: give another as MASTER_PORT." : "");
  }
}
ProcessStore::~ProcessStore() = default;

void ProcessStore::set(const std::string& key, const std::string& value) { (**impl_).set(key, value); }

void ProcessStore::set_first(const std::string& key, const std::string& value) {
  (**impl_).compareSet(key, std::string(), value);
}

std::optional<std::string> ProcessStore::find(const std::string& key) {
  if (!(**impl_).check({key})) return std::nullopt;
  return (**impl_).get_to_str(key);
}

}  // namespace unnoise
