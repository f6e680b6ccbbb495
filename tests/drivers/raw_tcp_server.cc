#include "tests/drivers/raw_tcp_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <stdexcept>

namespace tidegate::drivers {

RawTcpServer::RawTcpServer(Handler handler) : handler_(std::move(handler)) {
  listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), generic, length) != 0 || ::listen(listener_.get(), 16) != 0 ||
      ::getsockname(listener_.get(), generic, &length) != 0) {
    throw std::runtime_error("no port for the raw server");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

RawTcpServer::~RawTcpServer() {
  interrupt_.raise();
  thread_.join();
}

void RawTcpServer::answer_with(Handler handler) {
  const std::lock_guard lock(mutex_);
  handler_ = std::move(handler);
}

int RawTcpServer::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}

int RawTcpServer::closed_connections() const {
  const std::lock_guard lock(mutex_);
  return closed_connections_;
}

int RawTcpServer::reset_connections() const {
  const std::lock_guard lock(mutex_);
  return reset_connections_;
}

void RawTcpServer::run() {
  while (wait_for(listener_.get(), POLLIN, interrupt_, std::chrono::seconds(60)) != WaitResult::interrupted) {
    Descriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client.is_open()) continue;
    {
      const std::lock_guard lock(mutex_);
      ++connections_;
    }
    serve(client.get());
    client.reset();
    const std::lock_guard lock(mutex_);
    ++closed_connections_;
  }
}

void RawTcpServer::serve(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (;;) {
    Bytes request(12);
    std::size_t have = 0;
    while (have < request.size()) {
      if (wait_for(fd, POLLIN, interrupt_, std::chrono::seconds(60)) != WaitResult::ready) return;
      const auto size = ::recv(fd, request.data() + have, request.size() - have, 0);
      if (size < 0 && errno == ECONNRESET) {
        const std::lock_guard lock(mutex_);
        ++reset_connections_;
      }
      if (size <= 0) return;
      have += static_cast<std::size_t>(size);
    }
    Handler handler;
    {
      const std::lock_guard lock(mutex_);
      handler = handler_;
    }
    const Reply reply = handler(request);
    for (const auto& chunk : reply.chunks) {
      if (wait_for(-1, 0, interrupt_, reply.pause) == WaitResult::interrupted) return;
      if (::send(fd, chunk.data(), chunk.size(), MSG_NOSIGNAL) < 0) return;
    }
    if (reply.close) return;
  }
}

}  // namespace tidegate::drivers
