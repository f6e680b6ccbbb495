#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "drivers/mqtt/inbox.h"
#include "drivers/mqtt/options.h"
#include "mqtt/client.h"
#include "mqtt/packet_decoder.h"
#include "mqtt/subscribe_answer.h"

namespace tidegate::drivers {

/// What a session asks of its driver, which outlives it.
class SubscriberHost {
 public:
  virtual ~SubscriberHost() = default;
  /// Takes a message in; the ticket of it, or of the last one before it where nothing of it is kept.
  virtual Ticket take(const mqtt::PublishPacket& publish) = 0;
  /// The same for a message that is larger than may be.
  virtual Ticket refuse_too_large(std::string_view topic, std::uint64_t bytes) = 0;
};

/// The protocol of one connection to a broker, from the CONNECT to its end: bytes of the broker in, bytes for it out,
/// messages to the host. Acknowledgements leave in the order of the messages (section 4.6), when they are released.
///
/// Passive: no socket, no timer, no thread; the core thread. What a broker can make it hold is bounded: messages that
/// wait by the window (a broker that sends more is read no further; one of version 5 is told beforehand, as the receive
/// maximum), and a message over a quarter of the queue is let pass by.
class SubscriberSession {
 public:
  /// The CONNECT is in out(). All but `now` outlives this.
  SubscriberSession(SubscriberHost& host, const MqttDriverOptions& options,
                    const std::vector<mqtt::Subscription>& subscriptions, BootTime now);
  SubscriberSession(const SubscriberSession&) = delete;
  SubscriberSession& operator=(const SubscriberSession&) = delete;

  /// Works through the packets that `input` begins with; returns how many bytes that took. What is left is not all
  /// there yet, or wants_input() is false; it is given again with what comes next.
  std::size_t receive(std::string_view input, BootTime now);
  /// False while the broker has to wait.
  bool wants_input() const;
  /// Nothing was read for some time, and is from now on: what was late meanwhile was not the broker's fault.
  void read_again(BootTime now);
  /// All messages up to this ticket are safe.
  void release(Ticket ticket);

  /// Puts a message of QoS 0 into out(). False where it cannot go: nobody has taken us in, the broker takes none of its
  /// size, or too much waits to be sent.
  bool publish_at_most_once(std::string_view topic, std::string_view payload);

  /// What is to be sent; the caller takes it away.
  std::string& out() { return out_; }
  /// The connection is to end when out() is sent.
  bool is_over() const { return over_; }
  /// How the link stands; nothing while that is open.
  const std::optional<mqtt::LinkState>& link() const { return link_; }
  /// The broker has answered the subscription; nothing of a connection is settled before.
  bool is_subscribed() const { return subscribed_; }
  /// When the broker has taken us in; nothing before.
  std::optional<BootTime> connected_at() const { return connected_at_; }
  std::size_t unacknowledged() const { return pending_.size(); }

  /// When to call tick(), at the latest.
  BootTime deadline() const;
  /// Sends a sign of life, or ends what gives none. `reading`: what the broker says is read, so that silence is its.
  void tick(BootTime now, bool reading);
  /// Says goodbye; the broker keeps the session and what is not acknowledged.
  void say_goodbye();

 private:
  struct Pending {
    Ticket ticket = 0;
    std::uint16_t packet_id = 0;
    mqtt::PacketType type = mqtt::PacketType::puback;
  };

  bool is_v5() const { return options_.broker.protocol == mqtt::ProtocolVersion::v5; }
  void send_connect();
  void send_subscribe(bool may_share);
  void note_subscribed();
  BootTime subscribe_deadline() const;
  BootTime answer_due() const { return *connected_at_ + options_.broker.connect_timeout; }
  bool gives_up_subscribing(BootTime now, bool reading);
  BootTime packet_deadline() const;
  bool gives_up_packet(BootTime now, bool reading);
  std::size_t work_through(std::string_view input, BootTime now);
  void handle(const mqtt::RawPacket& packet, BootTime now);
  void handle_connack(const mqtt::RawPacket& packet, BootTime now);
  void handle_publish(const mqtt::RawPacket& packet);
  void handle_suback(const mqtt::RawPacket& packet);
  void handle_pubrel(const mqtt::RawPacket& packet);
  void handle_disconnect(const mqtt::RawPacket& packet);
  bool begin_to_skip(std::string_view input);
  std::size_t skip(std::size_t available);
  void acknowledge(Ticket ticket, std::uint16_t packet_id, std::uint8_t qos);
  void fail(const mqtt::ProtocolError& error);
  void end(mqtt::ReasonCode reason, mqtt::LinkState link);

  SubscriberHost& host_;
  const MqttDriverOptions& options_;
  const std::vector<mqtt::Subscription>& subscriptions_;
  std::string out_;
  bool over_ = false;
  std::optional<mqtt::LinkState> link_;
  std::optional<BootTime> connected_at_;

  bool subscribed_ = false;
  BootTime unanswered_since_;                     // moved on while nothing is read
  bool is_answer_asked_for_ = false;              // by a sign of life, when it was due
  bool has_passed_answer_by_ = false;             // the broker, with one that it was asked for later
  std::vector<const mqtt::Subscription*> asked_;  // in the order of the SUBSCRIBE
  mqtt::SubscribeAnswer answer_;                  // what is known of it before the broker says something

  const BootTime began_;
  BootTime heard_;          // the last of the broker but signs of life; moved on while nothing is read
  std::size_t unread_ = 0;  // of what was given last, given again with the next
  BootTime begun_since_;    // when the packet that is not all there began; moved on while nothing is read
  std::size_t begun_ = 0;   // what of it has come
  Duration keep_alive_;     // as configured: half of it is how long an answer may take
  Duration ping_every_;     // no less often than the broker wants
  std::uint32_t broker_packet_bytes_max_ = 0xffff'ffff;
  BootTime last_ping_;
  std::optional<BootTime> ping_sent_;  // and not answered; moved on with every sign of life

  std::deque<Pending> pending_;
  std::map<std::uint16_t, Ticket> qos2_taken_;  // by packet id: not released by a PUBREL yet
  Ticket released_ = 0;                         // the greatest
  std::optional<mqtt::PublishHead> skipped_;    // without its topic
  std::size_t skip_left_ = 0;
  bool has_ended_packet_ = false;  // since receive() was called
  Ticket skip_ticket_ = 0;
};

}  // namespace tidegate::drivers
