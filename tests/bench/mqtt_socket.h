#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "mqtt/packet_decoder.h"
#include "mqtt/packet_encoder.h"

namespace tidegate::bench {

constexpr auto kMqttVersion = mqtt::ProtocolVersion::v3_1_1;

/// A connection of a load generator: packets are written and read in as large pieces as the socket takes, so that the
/// generator is not what is measured. Throws std::runtime_error when the other side is not there or goes.
class MqttSocket {
 public:
  static constexpr std::size_t kUnsentMax = 64 * 1024;

  /// Connects to 127.0.0.1 and puts a CONNECT into out().
  MqttSocket(int port, std::string_view client_id) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd_ < 0 || ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      const int why = errno;
      if (fd_ >= 0) ::close(fd_);
      throw std::runtime_error("no connection to port " + std::to_string(port) + ": " + std::strerror(why));
    }
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
    mqtt::ConnectPacket connect;
    connect.clean_start = true;
    connect.client_id = client_id;
    mqtt::encode(connect, out_);
  }
  MqttSocket(const MqttSocket&) = delete;
  MqttSocket& operator=(const MqttSocket&) = delete;
  ~MqttSocket() { ::close(fd_); }

  int fd() const { return fd_; }
  /// What waits to be sent; to be appended to while it is below kUnsentMax.
  std::string& out() { return out_; }

  void send() {
    if (out_.empty()) return;
    const ssize_t count = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (count > 0) out_.erase(0, static_cast<std::size_t>(count));
    if (count < 0 && errno != EAGAIN) throw std::runtime_error("the other side ended the connection");
  }

  /// Calls `take(const mqtt::RawPacket&)` for each packet that is there.
  template <class Take>
  void receive(Take take) {
    std::array<char, 64 * 1024> buffer;
    const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count == 0 || (count < 0 && errno != EAGAIN)) throw std::runtime_error("the other side ended the connection");
    if (count > 0) in_.append(buffer.data(), static_cast<std::size_t>(count));
    std::string_view rest = in_;
    for (;;) {
      const auto packet = mqtt::cut_packet(rest, 1024);
      if (!packet || !*packet) break;
      rest.remove_prefix((*packet)->bytes);
      take(**packet);
    }
    in_.erase(0, in_.size() - rest.size());
  }

 private:
  int fd_;
  std::string out_;
  std::string in_;
};

}  // namespace tidegate::bench
