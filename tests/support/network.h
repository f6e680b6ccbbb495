#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace tidegate::testing {

/// A TCP port of 127.0.0.1 that nobody listens on now, below the range of outgoing connections.
std::uint16_t free_port();

/// Bytes that have come in at connections of a server on 127.0.0.1:port and that it has not read.
std::uint64_t unread_bytes(std::uint16_t port);

/// A socket that listens at 127.0.0.1:port; throws std::runtime_error when that is taken.
int listen_on_loopback(std::uint16_t port);
/// A connection to 127.0.0.1:port; -1 when nobody listens there.
int connect_to_loopback(std::uint16_t port);
/// False when the other side has gone.
bool send_all(int socket, std::string_view bytes);

/// Changes bytes on their way, and not how many they are.
using ByteRewrite = std::function<void(std::string&)>;
/// For what a Kafka broker at 127.0.0.1:`broker` says: that it is reached at `proxy`. Its answers have to come whole.
ByteRewrite advertise_port(std::uint16_t broker, std::uint16_t proxy);

struct HttpReply {
  int status = 0;  // 0: no connection, or no reply within the time
  std::string body;
};

/// GET from 127.0.0.1, one connection a request.
HttpReply http_get(std::uint16_t port, const std::string& path,
                   std::chrono::milliseconds patience = std::chrono::seconds(5));
/// POST to 127.0.0.1, likewise.
HttpReply http_post(std::uint16_t port, const std::string& path, const std::string& body, const std::string& type);

}  // namespace tidegate::testing
