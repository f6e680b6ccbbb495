#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/time.h"
#include "mqtt/client.h"
#include "mqtt/connection_events.h"
#include "mqtt/in_flight.h"
#include "mqtt/packet_decoder.h"
#include "mqtt/publish_queue.h"

namespace tidegate::mqtt {

/// The protocol of one connection to a broker, MQTT 3.1.1 or 5, from the CONNECT to its end: bytes of the broker in,
/// bytes for it out. Passive: no socket, no timer, no thread.
///
/// What a broker can make it hold is bounded: one packet, and that by BrokerOptions::packet_bytes_max; the ids of QoS 2
/// that it does not release, 65,535 of them; and answers that it does not read, by whoever reads from it then no more.
/// Publishes wait here until there is room on the way for them; how many is the owner's to bound.
class ClientProtocol {
 public:
  /// The CONNECT is in out(). All but `will` and `now` outlives this.
  ClientProtocol(const BrokerOptions& broker, const std::vector<Subscription>& subscriptions, ConnectionEvents& events,
                 const std::optional<ConnectionWill>& will, BootTime now);
  ClientProtocol(const ClientProtocol&) = delete;
  ClientProtocol& operator=(const ClientProtocol&) = delete;

  /// Works through what the broker has sent. An event may come of it.
  void receive(std::string_view input, BootTime now);
  /// A message waits for whoever takes it, and all behind it too: more is not to be read.
  bool is_parked() const { return parked_; }
  /// Brings that message again, and what came behind it. Whether it was taken.
  bool resume(BootTime now);
  /// on_published() gives `number` back, where there is one: when it is acknowledged, with QoS 0 when it is sent.
  void publish(std::optional<InFlight::Number> number, Publication publication) {
    publishes_.add(number, std::move(publication));
  }
  /// What may go now. The caller takes it away, and says when all of that is sent.
  std::string& out();
  void sent(BootTime now);
  std::size_t unsent_bytes() const { return out_.size(); }
  /// Puts a goodbye into out(); the broker then publishes no will. False: it has not taken us in.
  bool say_goodbye();

  bool is_connected() const { return connected_; }
  /// The connection is to end, for this reason.
  const std::optional<LinkState>& end() const { return end_; }
  /// When to call tick(), at the latest.
  BootTime deadline() const;
  /// Asks for a sign of life, or ends what gives none. `taken`: while something stands before what is put into out(),
  /// here or on the way, how much the broker's side has taken of what was sent so far.
  void tick(BootTime now, std::optional<std::uint64_t> taken);

 private:
  void send_connect(const std::optional<ConnectionWill>& will);
  void send_subscribe();
  std::size_t work_through(std::string_view input);
  bool begin_to_skip(std::string_view input);
  std::size_t skip(std::size_t available);
  void handle(const RawPacket& packet);
  void handle_connack(const RawPacket& packet);
  bool take_limits(const Properties& said);
  void handle_publish(const RawPacket& packet);
  void handle_puback(const RawPacket& packet);
  void handle_suback(const RawPacket& packet);
  void handle_pubrel(const RawPacket& packet);
  void handle_disconnect(const RawPacket& packet);
  void acknowledge(std::uint8_t qos, std::uint16_t packet_id);
  void fail(const ProtocolError& error);
  void end_as(LinkProblem problem, std::string detail);
  void look_at_jam(BootTime now, std::uint64_t taken);
  BootTime silence_ends() const;
  BootTime ping_due() const { return std::min(last_sent_, heard_) + ping_every_; }
  BootTime answer_due() const;
  bool gives_up_subscribing(BootTime now);
  ProtocolVersion version() const { return broker_.protocol; }
  bool is_v5() const { return version() == ProtocolVersion::v5; }

  const BrokerOptions& broker_;
  const std::vector<Subscription>& subscriptions_;
  ConnectionEvents& events_;
  const Duration keep_alive_;  // as the broker is told: half as much again is how long it may be silent
  Duration ping_every_;        // that, or less where the broker wants it
  std::string out_;
  std::string held_;  // of the broker's, the beginning of a packet
  std::optional<LinkState> end_;
  bool connected_ = false;
  bool subscribed_ = false;
  bool parked_ = false;

  BootTime subscribed_at_;             // the SUBSCRIBE left
  BootTime unanswered_since_;          // moved on while nothing is read
  bool is_answer_asked_for_ = false;   // by a sign of life, when it was due
  bool has_passed_answer_by_ = false;  // the broker, with one that it was asked for later

  PublishQueue publishes_;
  std::unordered_set<std::uint16_t> qos2_taken_;

  std::size_t skip_left_ = 0;
  PublishHead skipped_;  // without its topic

  BootTime began_;
  BootTime heard_;     // the broker, whatever it said
  BootTime answered_;  // by more than a sign of life
  BootTime last_sent_;
  std::optional<BootTime> ping_sent_;

  /// Something stands before what would be sent.
  struct Jam {
    BootTime looked;
    std::uint64_t taken = 0;
    BootTime moved;  // when that grew
  };
  std::optional<Jam> jam_;
};

}  // namespace tidegate::mqtt
