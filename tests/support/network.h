#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace tidegate::testing {

/// A TCP port of 127.0.0.1 that nobody listens on now, below the range of outgoing connections.
std::uint16_t free_port();

/// Bytes that have come in at connections of a server on 127.0.0.1:port and that it has not read.
std::uint64_t unread_bytes(std::uint16_t port);

struct HttpReply {
  int status = 0;  // 0: no connection, or no reply within the time
  std::string body;
};

/// GET from 127.0.0.1, one connection a request.
HttpReply http_get(std::uint16_t port, const std::string& path,
                   std::chrono::milliseconds patience = std::chrono::seconds(5));

}  // namespace tidegate::testing
