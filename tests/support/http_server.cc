#include "tests/support/http_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "tests/support/network.h"

namespace tidegate::testing {
namespace {

// Whether the other side has closed within the time.
bool is_closed_within(int socket, int milliseconds) {
  pollfd watched{socket, POLLIN, 0};
  if (::poll(&watched, 1, milliseconds) == 0) return false;
  char byte = 0;
  return ::recv(socket, &byte, 1, 0) <= 0;
}

HttpRequestSeen parse_head(const std::string& head) {
  HttpRequestSeen request;
  const std::size_t first = head.find(' ');
  const std::size_t second = head.find(' ', first + 1);
  request.method = head.substr(0, first);
  request.target = head.substr(first + 1, second - first - 1);
  for (std::size_t at = head.find("\r\n"); at != std::string::npos && at + 2 < head.size();) {
    const std::size_t end = std::min(head.find("\r\n", at + 2), head.size());
    const std::string line = head.substr(at + 2, end - at - 2);
    const std::size_t colon = line.find(':');
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::size_t value = colon == std::string::npos ? colon : line.find_first_not_of(' ', colon + 1);
    request.headers[name] = value == std::string::npos ? std::string() : line.substr(value);
    at = end == head.size() ? std::string::npos : end;
  }
  return request;
}

// The next request of the connection; `rest` is what was read too far.
std::optional<HttpRequestSeen> read_request(int socket, std::string& rest) {
  const auto read_more = [&] {
    char buffer[65536];
    const ssize_t got = ::recv(socket, buffer, sizeof buffer, 0);
    if (got > 0) rest.append(buffer, static_cast<std::size_t>(got));
    return got > 0;
  };
  std::size_t end = rest.find("\r\n\r\n");
  for (; end == std::string::npos; end = rest.find("\r\n\r\n")) {
    if (!read_more()) return std::nullopt;
  }
  HttpRequestSeen request = parse_head(rest.substr(0, end));
  const std::string length = request.header("content-length");
  const std::size_t whole = end + 4 + (length.empty() ? 0 : std::stoul(length));
  while (rest.size() < whole) {
    if (!read_more()) return std::nullopt;
  }
  request.body = rest.substr(end + 4, whole - end - 4);
  rest.erase(0, whole);
  return request;
}

}  // namespace

HttpScriptedReply http_reply(int status, const std::string& body, const std::string& headers) {
  return {"HTTP/1.1 " + std::to_string(status) + " As scripted\r\n" + headers +
              (status == 204 ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") + "\r\n" + body,
          HttpScriptedReply::Then::keep_open};
}

ScriptedHttpServer::ScriptedHttpServer(Answer answer) : answer_(std::move(answer)), port_(free_port()) { start(); }

void ScriptedHttpServer::start() {
  listener_ = listen_on_loopback(port_);
  is_stopping_ = false;
  acceptor_ = std::thread([this] { accept_all(); });
}

void ScriptedHttpServer::stop() {
  if (!acceptor_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  ::close(listener_);
}

std::uint64_t ScriptedHttpServer::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}

std::uint64_t ScriptedHttpServer::most_open() const {
  const std::lock_guard lock(mutex_);
  return most_open_;
}

void ScriptedHttpServer::accept_all() {
  for (;;) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (is_stopping_ || socket < 0) {
      if (socket >= 0) ::close(socket);
      return;
    }
    sockets_.push_back(socket);
    threads_.emplace_back([this, socket, number = ++connections_] { serve(socket, number); });
  }
}

void ScriptedHttpServer::serve(int socket, std::uint64_t number) {
  std::string rest;
  while (auto request = read_request(socket, rest)) {
    request->connection = number;
    {
      const std::lock_guard lock(mutex_);
      most_open_ = std::max(most_open_, ++open_);
    }
    HttpScriptedReply reply;
    {
      const std::lock_guard lock(answering_);
      reply = answer_(*request);
    }
    {
      const std::lock_guard lock(mutex_);
      --open_;
    }
    give(socket, reply);
    if (reply.then != HttpScriptedReply::Then::keep_open) break;
  }
  const std::lock_guard lock(mutex_);
  sockets_.erase(std::find(sockets_.begin(), sockets_.end(), socket));
  ::close(socket);
}

void ScriptedHttpServer::give(int socket, const HttpScriptedReply& reply) {
  constexpr int kDripMilliseconds = 100;
  constexpr int kForever = -1;
  constexpr std::size_t kRepeated = 1024;
  switch (reply.then) {
    case HttpScriptedReply::Then::keep_open:
    case HttpScriptedReply::Then::close:
      send_all(socket, reply.bytes);
      return;
    case HttpScriptedReply::Then::say_nothing:
      send_all(socket, reply.bytes);
      is_closed_within(socket, kForever);
      return;
    case HttpScriptedReply::Then::drip:
      for (std::size_t at = 0; send_all(socket, reply.bytes.substr(at % reply.bytes.size(), 1)); ++at) {
        if (is_closed_within(socket, kDripMilliseconds)) return;
      }
      return;
    case HttpScriptedReply::Then::repeat_bytes:
      if (!send_all(socket, reply.bytes)) return;
      while (send_all(socket, reply.bytes.substr(reply.bytes.size() - std::min(kRepeated, reply.bytes.size())))) {
      }
      return;
  }
}

}  // namespace tidegate::testing
