// A group whose members are threads of the test: they meet over real sockets all the same.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/nn/process_group.h"

namespace unnoise {

inline int64_t a_free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ::bind(descriptor, reinterpret_cast<sockaddr*>(&address), length);
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length);
  ::close(descriptor);
  return ntohs(address.sin_port);
}

/// Runs `work` in each member, and returns the messages of their errors by rank ("" = none).
inline std::vector<std::string> in_group(int64_t size, const std::function<void(ProcessGroup&)>& work,
                                         std::chrono::seconds patience = std::chrono::seconds(60)) {
  const int64_t port = a_free_port();
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> members;
  for (int64_t rank = 0; rank < size; ++rank)
    members.emplace_back([&, rank] {
      std::string& error = errors[static_cast<size_t>(rank)];
      try {
        ProcessGroup group({.rank = rank, .world_size = size, .master_port = port}, patience);
        try {
          work(group);
        } catch (const Error& e) {
          error = e.message();
          group.fail(error);
        }
      } catch (const Error& e) {
        error = "not met: " + e.message();
      }
    });
  for (auto& member : members) member.join();
  return errors;
}

}  // namespace unnoise
