#pragma once

#include <cstdint>
#include <string>

namespace tidegate::testing {

/// What the sensor `sensor` publishes as its message number `index`: a text that begins with both numbers, of 20 to
/// some 300 bytes that all follow from them, so that a receiver sees whether one is not as it was sent.
std::string reading_text(std::uint64_t sensor, std::uint64_t index);

/// A sensor that publishes its messages 0, 1, 2 ... with QoS 1 to "plant/sensor-N/text", knows up to where all are
/// acknowledged, and begins there again on a new connection. Blocks only to connect. One thread.
class GuestSensor {
 public:
  /// Those before `acknowledged` were acknowledged in an earlier run.
  GuestSensor(std::uint64_t number, std::uint64_t window, std::uint64_t acknowledged)
      : number_(number), window_(window), acknowledged_(acknowledged) {}
  GuestSensor(const GuestSensor&) = delete;
  GuestSensor& operator=(const GuestSensor&) = delete;
  ~GuestSensor() { disconnect(); }

  /// False when nobody listens on that port.
  bool connect(std::uint16_t port);
  void disconnect();
  bool is_connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  bool has_unsent() const { return !out_.empty(); }

  /// Messages 0 to that number, that not included, were acknowledged.
  std::uint64_t acknowledged() const { return acknowledged_; }

  /// Publishes while fewer than the window are on their way, and sends what the socket takes.
  void publish();
  /// Takes acknowledgements; ends the connection when the other side did. Throws std::runtime_error when one is not for
  /// the oldest message, because the listener acknowledges in order.
  void receive();

 private:
  void send();
  void take_packets();

  const std::uint64_t number_;
  const std::uint64_t window_;
  std::uint64_t acknowledged_;
  int fd_ = -1;
  bool accepted_ = false;
  std::uint64_t next_ = 0;
  std::string out_;
  std::string in_;
};

}  // namespace tidegate::testing
