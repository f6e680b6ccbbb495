#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mqtt/client.h"
#include "mqtt/connection_events.h"
#include "mqtt/in_flight.h"
#include "mqtt/packet.h"

namespace tidegate::mqtt {

/// What a broker of MQTT 5 takes, as its CONNACK says (section 3.2.2.3); one of 3.1.1 says nothing of it.
struct BrokerLimits {
  std::size_t unacknowledged_max = 65'535;
  std::size_t packet_bytes_max = std::numeric_limits<std::size_t>::max();
  std::size_t topic_aliases_max = 0;
};

/// The publishes of one connection: those that wait for room on the way, and those that wait to be acknowledged. Keeps
/// to what the broker takes, and says the few topics that there are by alias where it lets us. Passive.
class PublishQueue {
 public:
  /// `events` outlives this.
  PublishQueue(ProtocolVersion version, ConnectionEvents& events) : version_(version), events_(events) {}

  void set_limits(const BrokerLimits& limits);
  void add(std::optional<InFlight::Number> number, Publication publication);
  void drop_waiting() { waiting_.clear(); }
  /// Appends to `out` what may go, until that has `bytes_ahead`.
  void send(std::string& out, std::size_t bytes_ahead);
  /// What send() has given is sent.
  void note_sent();
  /// One that nothing waits for is let pass by: some brokers say it twice.
  void take(const AckPacket& puback);

 private:
  struct Waiting {
    std::optional<InFlight::Number> number;
    Publication publication;
  };
  struct TopicAlias {
    std::uint16_t number = 0;
    bool is_known = false;  // to the broker: it has acknowledged a publish with both
  };
  struct Open {
    InFlight::Number number = 0;
    TopicAlias* alias = nullptr;  // of its topic, of aliases_
  };

  void send(const Waiting& next, std::string& out);
  TopicAlias* alias_of(const std::string& topic);
  void refuse(std::optional<InFlight::Number> number, const PublishRefusal& refusal);
  std::uint16_t next_packet_id();

  const ProtocolVersion version_;
  ConnectionEvents& events_;
  BrokerLimits limits_;
  std::deque<Waiting> waiting_;
  std::unordered_map<std::uint16_t, Open> open_;         // by packet id
  std::vector<InFlight::Number> unsent_;                 // of QoS 0, in out() or taken away
  std::uint16_t packet_id_ = 0;                          // the newest
  std::unordered_map<std::string, TopicAlias> aliases_;  // by topic; none goes
};

}  // namespace tidegate::mqtt
