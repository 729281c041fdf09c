// Each process of a group linked with the next, the last with the first: the sockets, and bytes that travel over them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace unnoise {

/// A descriptor that is closed at the end of its life.
class Socket {
 public:
  explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept : descriptor_(other.release()) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  int get() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }

 private:
  int release() noexcept;
  int descriptor_;
};

using Clock = std::chrono::steady_clock;

/// Connects to a port of a machine, trying again while nobody listens there. An invalid socket when `until` has come
/// first; Error::environment for a name that stands for no machine.
Socket connect_to(const std::string& host, int64_t port, Clock::time_point until);

/// Where the process before this one in the ring connects to.
class RingListener {
 public:
  /// Listens on the address by which this machine reaches `master` (a connected socket), or on all of them where that
  /// is an inner one although `master_name` is not.
  RingListener(const Socket& master, const std::string& master_name);

  /// "host port" for the others.
  const std::string& address() const { return address_; }
  /// The first connection that knows `token`; others are hung up on. Invalid when `until` has come first.
  Socket accept(const std::string& token, Clock::time_point until) const;

 private:
  Socket socket_;
  std::string address_;
};

/// Connects to a RingListener's address and shows the token. Invalid when `until` has come first.
Socket join_next(const std::string& address, const std::string& token, Clock::time_point until);

/// How an exchange ended.
enum class Exchange { done, next_is_gone, previous_is_gone, timed_out };

/// Sends `out` to the next process and fills `in` from the previous one, both at the same time, so that neither waits
/// for the other. `patience` is how long nothing may move. Both spans shrink to what is left, so that the same call
/// goes on after timed_out.
Exchange exchange(const Socket& next, std::span<const std::byte>& out, const Socket& previous, std::span<std::byte>& in,
                  std::chrono::seconds patience);

}  // namespace unnoise
