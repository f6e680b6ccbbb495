#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/descriptor.h"

namespace tidegate::testing {

/// A port of a loopback address that answers nobody who connects: others stand in its queue, which is full.
class SilentPort {
 public:
  SilentPort(const std::string& address, std::uint16_t port) : listener_(make_socket()) {
    constexpr int kOn = 1;
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_port = htons(port);
    ::inet_pton(AF_INET, address.c_str(), &place.sin_addr);
    const auto* const at = reinterpret_cast<const sockaddr*>(&place);
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn);
    if (::bind(listener_.get(), at, sizeof place) != 0 || ::listen(listener_.get(), 0) != 0) {
      throw std::runtime_error("cannot listen at " + address + ":" + std::to_string(port));
    }
    for (int i = 0; i < kCallers; ++i) {
      callers_.emplace_back(make_socket());
      (void)::connect(callers_.back().get(), at, sizeof place);
    }
  }

 private:
  static constexpr int kCallers = 4;  // a queue of none has room for one

  static int make_socket() { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

  Descriptor listener_;
  std::vector<Descriptor> callers_;
};

}  // namespace tidegate::testing
