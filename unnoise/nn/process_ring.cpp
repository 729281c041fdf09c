#include "unnoise/nn/process_ring.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kSlice{500};

std::string complaint() { return std::strerror(errno); }

void set_option(const Socket& socket, int level, int name, int value) {
  ::setsockopt(socket.get(), level, name, &value, sizeof value);
}

/// Small messages leave at once, and a machine that is switched off is noticed after about two minutes.
void set_up(const Socket& socket) {
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 9);
  ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
}

int milliseconds_until(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left + 1, 0, 1'000'000));
}

/// Whether the descriptor becomes ready for `events` in time.
bool wait_for(const Socket& socket, short events, Clock::time_point until) {
  pollfd entry{socket.get(), events, 0};
  for (;;) {
    const int ready = ::poll(&entry, 1, milliseconds_until(until));
    if (ready > 0) return true;
    if (ready == 0 && Clock::now() >= until) return false;
    if (ready < 0 && errno != EINTR) return false;
  }
}

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Addresses addresses_of(const std::string& host, int64_t port) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found);
  if (code != 0)
    throw environment_error(fmt::format("\"{}\" stands for no machine: {}", host, ::gai_strerror(code)),
                            "Give MASTER_ADDR as a name or address that every machine of the training knows.");
  return {found, &::freeaddrinfo};
}

/// One try.
Socket connect_once(const addrinfo& to, Clock::time_point until) {
  Socket socket(::socket(to.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return socket;
  set_up(socket);
  if (::connect(socket.get(), to.ai_addr, to.ai_addrlen) == 0) return socket;
  if (errno != EINPROGRESS || !wait_for(socket, POLLOUT, std::min(until, Clock::now() + 5s))) return Socket();
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error == 0 ? std::move(socket) : Socket();
}

bool send_all(const Socket& to, const std::string& text, Clock::time_point until) {
  size_t sent = 0;
  while (sent < text.size()) {
    if (!wait_for(to, POLLOUT, until)) return false;
    const ssize_t n = ::send(to.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
    sent += static_cast<size_t>(std::max<ssize_t>(n, 0));
  }
  return true;
}

bool receive_all(const Socket& from, std::string& text, Clock::time_point until) {
  size_t got = 0;
  while (got < text.size()) {
    if (!wait_for(from, POLLIN, until)) return false;
    const ssize_t n = ::recv(from.get(), text.data() + got, text.size() - got, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return false;
    got += static_cast<size_t>(std::max<ssize_t>(n, 0));
  }
  return true;
}

union AnyAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

bool is_inner(const AnyAddress& a) {
  if (a.any.sa_family == AF_INET) return (ntohl(a.v4.sin_addr.s_addr) >> 24) == 127;
  if (IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr)) return a.v6.sin6_addr.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr);
}

AnyAddress address_here(const Socket& socket) {
  AnyAddress address{};
  socklen_t length = sizeof address;
  ::getsockname(socket.get(), &address.any, &length);
  return address;
}

std::string host_text(const AnyAddress& a) {
  char text[INET6_ADDRSTRLEN] = "";
  ::getnameinfo(&a.any, sizeof a, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  return text;
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

Socket::~Socket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int Socket::release() noexcept { return std::exchange(descriptor_, -1); }

Socket connect_to(const std::string& host, int64_t port, Clock::time_point until) {
  const Addresses addresses = addresses_of(host, port);
  for (auto pause = 10ms;; pause = std::min(2 * pause, 1000ms)) {
    for (const addrinfo* to = addresses.get(); to != nullptr; to = to->ai_next)
      if (Socket socket = connect_once(*to, until)) return socket;
    if (Clock::now() + pause >= until) return Socket();
    std::this_thread::sleep_for(pause);
  }
}

RingListener::RingListener(const Socket& master, const std::string& master_name) {
  AnyAddress here = address_here(master);
  const bool v4 = here.any.sa_family == AF_INET;
  std::string host = host_text(here);
  const bool named_so = master_name == "localhost" || master_name == "::1" || master_name.starts_with("127.");
  if (is_inner(here) && !named_so) {  // a machine that knows itself by an inner address: the others use its name
    host = master_name;
    if (v4) here.v4.sin_addr.s_addr = INADDR_ANY;
    if (!v4) here.v6.sin6_addr = in6addr_any;
  }
  (v4 ? here.v4.sin_port : here.v6.sin6_port) = 0;  // any free one
  socket_ = Socket(::socket(here.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const socklen_t length = v4 ? sizeof here.v4 : sizeof here.v6;
  if (!socket_ || ::bind(socket_.get(), &here.any, length) != 0 || ::listen(socket_.get(), 16) != 0)
    throw environment_error(fmt::format("cannot listen on {} for the other processes: {}", host, complaint()));
  set_up(socket_);
  const AnyAddress bound = address_here(socket_);
  address_ = fmt::format("{} {}", host, ntohs(v4 ? bound.v4.sin_port : bound.v6.sin6_port));
}

Socket RingListener::accept(const std::string& token, Clock::time_point until) const {
  while (wait_for(socket_, POLLIN, until)) {
    Socket guest(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!guest) continue;
    set_up(guest);
    std::string shown(token.size(), '\0');
    const auto soon = std::min(until, Clock::now() + 5s);
    if (receive_all(guest, shown, soon) && shown == token) return guest;
  }
  return Socket();
}

Socket join_next(const std::string& address, const std::string& token, Clock::time_point until) {
  const size_t space = address.rfind(' ');
  Socket next = connect_to(address.substr(0, space), std::stoll(address.substr(space + 1)), until);
  if (next && !send_all(next, token, until)) return Socket();
  return next;
}

Exchange exchange(const Socket& next, std::span<const std::byte>& out, const Socket& previous, std::span<std::byte>& in,
                  std::chrono::seconds patience) {
  auto quiet = 0ms;  // in slices, so that a process which was stopped for a while does not count that time
  while (!out.empty() || !in.empty()) {
    pollfd entries[2] = {{out.empty() ? -1 : next.get(), POLLOUT, 0}, {in.empty() ? -1 : previous.get(), POLLIN, 0}};
    const int ready = ::poll(entries, 2, static_cast<int>(kSlice.count()));
    if (ready == 0) {
      quiet += kSlice;
      if (quiet >= patience) return Exchange::timed_out;
      continue;
    }
    quiet = 0ms;
    if (ready < 0) {
      if (errno == EINTR) continue;
      throw environment_error(fmt::format("cannot wait for the other processes: {}", complaint()));
    }
    if (entries[1].revents != 0) {
      const ssize_t n = ::recv(previous.get(), in.data(), in.size(), 0);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return Exchange::previous_is_gone;
      in = in.subspan(static_cast<size_t>(std::max<ssize_t>(n, 0)));
    }
    if (entries[0].revents != 0) {
      const ssize_t n = ::send(next.get(), out.data(), out.size(), MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN && errno != EINTR) return Exchange::next_is_gone;
      out = out.subspan(static_cast<size_t>(std::max<ssize_t>(n, 0)));
    }
  }
  return Exchange::done;
}

}  // namespace unnoise
