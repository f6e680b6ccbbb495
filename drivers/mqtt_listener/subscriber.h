#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/index_set.h"
#include "drivers/latest_values.h"
#include "mqtt/packet.h"

namespace tidegate::drivers {

/// What one client has subscribed to, and what of that it still has to be sent. It keeps no value: a bit a topic says
/// that the latest one was not sent yet, and a message is encoded from the table when there is room for it. So whoever
/// is slow misses values between, never the last one, and costs no more than whoever is fast.
///
/// A session's state, which outlives its connections: begin() and leave() say when there is one. The table outlives it.
/// Passive; the core thread.
class Subscriber {
 public:
  /// What the client of a connection takes.
  struct Peer {
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v3_1_1;
    std::size_t in_flight_max = kInFlightMax;  // messages of QoS 1 that it has not acknowledged
    std::size_t packet_bytes_max = ~std::size_t{0};
  };

  explicit Subscriber(LatestValues& latest) : latest_(latest), left_in_(latest.rounds()) {}

  /// A connection: what has changed since the last one is to be sent, and first what that one did not acknowledge.
  void begin(const Peer& peer);
  /// The connection has ended: from here on only filters and unacknowledged packet ids are kept.
  void leave();

  /// Takes the subscription or says why not; one with the same filter is replaced. The filter is checked already.
  mqtt::ReasonCode subscribe(const mqtt::SubscribeEntry& entry);
  /// False without such a subscription.
  bool unsubscribe(std::string_view filter);
  /// The client has the message.
  void acknowledge(std::uint16_t packet_id);
  /// These topics have a new document.
  void note_changed(const IndexSet& changed);

  /// Whether fill() has something to do.
  bool wants_to_send() const;
  /// Appends packets to `out` until `budget` is used up: bytes, and what it costs to match filters.
  void fill(std::string& out, std::size_t& budget);

  std::size_t subscriptions() const { return subscriptions_.size(); }
  /// What leave() leaves.
  std::size_t kept_bytes() const;

  static constexpr std::size_t kFiltersMax = 64;
  static constexpr std::size_t kFilterBytesMax = std::size_t{16} * 1024;
  static constexpr std::size_t kInFlightMax = 1000;

 private:
  struct Subscription {
    std::string filter;
    std::uint8_t qos = 0;
    bool retain_as_published = false;
    std::size_t retained_next = 0;  // of what the table held when it came: from here on is not looked at yet
    std::size_t retained_end = 0;
  };
  struct InFlight {
    std::size_t index = 0;
    std::uint16_t packet_id = 0;
    bool to_resend = false;  // of an earlier connection
  };
  struct Message {
    std::size_t index = 0;
    std::uint8_t qos = 0;
    bool retain = false;
    bool duplicate = false;
    std::uint16_t packet_id = 0;
  };

  bool window_is_full() const { return in_flight_.size() - to_resend_ >= peer_.in_flight_max; }
  void resend_next(std::string& out, std::size_t& budget);
  bool look_at_retained(std::string& out, std::size_t& budget);
  bool send_changed(std::string& out, std::size_t& budget);
  void send(std::size_t index, bool retain, std::string& out, std::size_t& budget);
  bool write(const Message& message, std::string& out, std::size_t& budget);
  void forget_matches();
  std::uint8_t match(std::size_t index, std::size_t& budget);
  std::uint16_t next_packet_id();
  std::size_t filter_bytes() const;

  LatestValues& latest_;
  Peer peer_;
  std::vector<Subscription> subscriptions_;
  std::size_t retained_open_ = 0;  // subscriptions with something retained left
  IndexSet changed_;
  std::size_t changed_next_ = 0;       // goes around, so that each topic has its turn
  std::vector<std::uint8_t> matches_;  // by topic: which of kKnown ... hold
  bool has_matches_ = false;           // one of them is not 0
  IndexSet unmatched_;                 // topics that no subscription matches
  std::vector<InFlight> in_flight_;    // in the order of sending
  std::size_t to_resend_ = 0;
  std::uint16_t last_packet_id_ = 0;
  std::uint64_t left_in_ = 0;  // the round
  std::string topic_;          // these two are scratch
  std::string document_;
};

}  // namespace tidegate::drivers
