#include "tests/support/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <random>
#include <stdexcept>

namespace tidegate::testing {
namespace {

constexpr std::uint16_t kFirstPort = 20'000;
constexpr std::uint16_t kLastPort = 32'000;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

class Socket {
 public:
  Socket() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { ::close(fd_); }
  int fd() const { return fd_; }

 private:
  int fd_;
};

void limit_waiting(int fd, std::chrono::milliseconds patience) {
  timeval limit{};
  limit.tv_sec = static_cast<decltype(limit.tv_sec)>(patience.count() / 1000);
  limit.tv_usec = static_cast<decltype(limit.tv_usec)>(patience.count() % 1000 * 1000);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

std::string receive_all(int fd) {
  std::string all;
  std::array<char, 16384> piece{};
  for (;;) {
    const auto got = ::recv(fd, piece.data(), piece.size(), 0);
    if (got <= 0) return all;
    all.append(piece.data(), static_cast<std::size_t>(got));
  }
}

std::string without_chunks(std::string_view chunked) {
  std::string body;
  for (std::size_t size = 1; size > 0;) {
    const auto line = chunked.find("\r\n");
    if (line == std::string_view::npos) return body;
    size = 0;
    std::from_chars(chunked.data(), chunked.data() + line, size, 16);
    chunked.remove_prefix(line + 2);
    body += chunked.substr(0, size);
    chunked.remove_prefix(std::min(chunked.size(), size + 2));
  }
  return body;
}

HttpReply parse(const std::string& reply) {
  HttpReply parsed;
  const auto space = reply.find(' ');
  const auto body = reply.find("\r\n\r\n");
  if (!reply.starts_with("HTTP/1.") || space == std::string::npos || body == std::string::npos) return parsed;
  std::from_chars(reply.data() + space + 1, reply.data() + reply.size(), parsed.status);
  parsed.body = reply.substr(body + 4);
  if (reply.find("\r\nTransfer-Encoding: chunked\r\n") < body) parsed.body = without_chunks(parsed.body);
  return parsed;
}

}  // namespace

std::uint16_t free_port() {
  std::random_device random;
  for (int attempt = 0; attempt < 200; ++attempt) {
    const auto port = static_cast<std::uint16_t>(kFirstPort + random() % (kLastPort - kFirstPort));
    const Socket socket;
    const sockaddr_in address = loopback(port);
    if (::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return port;
  }
  throw std::runtime_error("no free port");
}

// Lines of proc(5): number, local and remote address as hex ADDRESS:PORT, state, hex tx_queue:rx_queue.
std::uint64_t unread_bytes(std::uint16_t port) {
  std::ifstream connections("/proc/net/tcp");
  std::uint64_t unread = 0;
  for (std::string line; std::getline(connections, line);) {
    unsigned local_port = 0;
    unsigned state = 0;
    unsigned long received = 0;
    constexpr unsigned kEstablished = 1;
    const int found =
        std::sscanf(line.c_str(), " %*d: %*8x:%4x %*8x:%*4x %2x %*8x:%8lx", &local_port, &state, &received);
    if (found == 3 && local_port == port && state == kEstablished) unread += received;
  }
  return unread;
}

int listen_on_loopback(std::uint16_t port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(listener, 128) == 0) {
    return listener;
  }
  ::close(listener);
  throw std::runtime_error("port " + std::to_string(port) + " is taken");
}

int connect_to_loopback(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (done <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return true;
}

ByteRewrite advertise_port(std::uint16_t broker, std::uint16_t proxy) {
  const auto address = [](std::uint16_t port) {
    return std::string("127.0.0.1\0\0", 11) + static_cast<char>(port >> 8) + static_cast<char>(port & 0xff);
  };
  return [from = address(broker), to = address(proxy)](std::string& bytes) {
    for (auto at = bytes.find(from); at != std::string::npos; at = bytes.find(from, at + to.size())) {
      bytes.replace(at, from.size(), to);
    }
  };
}

namespace {

HttpReply exchange(std::uint16_t port, const std::string& request, std::chrono::milliseconds patience) {
  const Socket socket;
  limit_waiting(socket.fd(), patience);
  const sockaddr_in address = loopback(port);
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  if (::send(socket.fd(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    return {};
  return parse(receive_all(socket.fd()));
}

}  // namespace

HttpReply http_get(std::uint16_t port, const std::string& path, std::chrono::milliseconds patience) {
  return exchange(port, "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", patience);
}

HttpReply http_post(std::uint16_t port, const std::string& path, const std::string& body, const std::string& type) {
  constexpr std::chrono::seconds kPatience{5};
  return exchange(port,
                  "POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: " + type +
                      "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body,
                  kPatience);
}

}  // namespace tidegate::testing
