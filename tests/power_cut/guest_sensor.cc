#include "tests/power_cut/guest_sensor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <string_view>

#include "mqtt/packet_decoder.h"
#include "mqtt/packet_encoder.h"

namespace tidegate::testing {
namespace {

constexpr auto kVersion = mqtt::ProtocolVersion::v3_1_1;
constexpr std::uint64_t kPacketIds = 60'000;
constexpr std::size_t kPacketBytesMax = 1024;

std::uint16_t packet_id(std::uint64_t index) { return static_cast<std::uint16_t>(index % kPacketIds + 1); }

}  // namespace

std::string reading_text(std::uint64_t sensor, std::uint64_t index) {
  const std::uint64_t seed = sensor * 131 + index * 37;
  std::string text = std::to_string(sensor) + ":" + std::to_string(index) + ":";
  const std::uint64_t length = 15 + seed % 283;
  for (std::uint64_t i = 0; i < length; ++i) text += static_cast<char>('a' + (seed + i * i * 3 + i) % 26);
  return text;
}

bool GuestSensor::connect(std::uint16_t port) {
  disconnect();
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (fd >= 0) ::close(fd);
    return false;
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  fd_ = fd;
  next_ = acknowledged_;
  const std::string id = "sensor-" + std::to_string(number_);
  mqtt::ConnectPacket packet;
  packet.clean_start = true;
  packet.client_id = id;
  mqtt::encode(packet, out_);
  send();
  return true;
}

void GuestSensor::disconnect() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  accepted_ = false;
  out_.clear();
  in_.clear();
}

void GuestSensor::publish() {
  const std::string topic = "plant/sensor-" + std::to_string(number_) + "/text";
  for (; accepted_ && next_ < acknowledged_ + window_; ++next_) {
    const std::string payload = "{\"value\":\"" + reading_text(number_, next_) + "\"}";
    mqtt::PublishPacket packet;
    packet.topic = topic;
    packet.payload = payload;
    packet.qos = 1;
    packet.packet_id = packet_id(next_);
    mqtt::encode(packet, kVersion, out_);
  }
  send();
}

void GuestSensor::send() {
  if (fd_ < 0 || out_.empty()) return;
  const ssize_t count = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
  if (count > 0) out_.erase(0, static_cast<std::size_t>(count));
  if (count < 0 && errno != EAGAIN) disconnect();
}

void GuestSensor::receive() {
  std::array<char, 16 * 1024> buffer;
  const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
  if (count > 0) {
    in_.append(buffer.data(), static_cast<std::size_t>(count));
    take_packets();
  } else if (count == 0 || errno != EAGAIN) {
    disconnect();
  }
}

void GuestSensor::take_packets() {
  std::string_view rest = in_;
  for (;;) {
    const auto packet = mqtt::cut_packet(rest, kPacketBytesMax);
    if (!packet) throw std::runtime_error(packet.error().message);
    if (!*packet) break;
    rest.remove_prefix((*packet)->bytes);
    if ((*packet)->type == mqtt::PacketType::connack) accepted_ = true;
    if ((*packet)->type != mqtt::PacketType::puback) continue;
    const auto ack = mqtt::decode_ack(**packet, kVersion);
    if (!ack || acknowledged_ == next_ || ack->packet_id != packet_id(acknowledged_)) {
      throw std::runtime_error("sensor " + std::to_string(number_) + ": an acknowledgement that is not of message " +
                               std::to_string(acknowledged_));
    }
    ++acknowledged_;
  }
  in_.erase(0, in_.size() - rest.size());
}

}  // namespace tidegate::testing
