#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "drivers/mqtt_listener/listener_core.h"

namespace tidegate::testing {

/// A sensor that publishes numbers to a listener without sockets and does what a client has to: it keeps what is not
/// acknowledged, over connections too, and sends it again in its order.
class ModelSensor {
 public:
  struct Sent {
    int qos = 1;
    bool acknowledged = false;       // PUBACK, PUBREC or PUBCOMP were seen
    bool open_at_power_cut = false;  // and were not when the power went
  };

  ModelSensor(std::string name, bool is_v5);

  void connect(drivers::ListenerCore& core, const drivers::ListenerLimits& limits, BootTime now);
  /// `core` is null where the process is gone.
  void lose_connection(drivers::ListenerCore* core);
  /// Nothing while too much is in flight.
  void publish(std::uint64_t number, int qos, BootTime now);
  /// Takes in what the listener has for it, once messages up to `safe` are.
  void hear(drivers::Ticket safe, BootTime now);
  void note_power_cut();

  bool is_idle() const { return flights_.empty(); }
  const std::string& name() const { return name_; }
  const std::map<std::uint64_t, Sent>& sent() const { return sent_; }

 private:
  struct Flight {
    std::uint16_t packet_id = 0;
    std::uint64_t number = 0;
    bool received = false;  // PUBREC was seen: the PUBREL is on its way
  };

  mqtt::ProtocolVersion version() const;
  void send(const Flight& flight, bool is_repeat, BootTime now);
  void take(const mqtt::RawPacket& packet, BootTime now);
  void receive(const std::string& bytes, BootTime now);
  Flight* find(std::uint16_t packet_id);
  std::uint16_t free_packet_id();

  std::string name_;
  bool is_v5_;
  std::unique_ptr<drivers::ListenerSession> session_;
  std::vector<Flight> flights_;
  std::string unheard_;  // by the listener: sent, and not taken yet
  std::uint16_t last_packet_id_ = 0;
  std::map<std::uint64_t, Sent> sent_;  // by number
};

}  // namespace tidegate::testing
