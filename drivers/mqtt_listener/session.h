#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "core/token_bucket.h"
#include "drivers/mqtt/inbox.h"
#include "drivers/mqtt_listener/options.h"
#include "drivers/mqtt_listener/session_journal.h"
#include "drivers/mqtt_listener/subscriber.h"
#include "mqtt/packet_decoder.h"

namespace tidegate::drivers {

class ListenerSession;

/// What of a client outlives its connection (section 4.1), by its client id.
struct ClientState {
  struct Taken {
    Ticket ticket = 0;
    std::uint64_t digest = 0;  // of the message
  };
  std::map<std::uint16_t, Taken> qos2_taken;  // by packet id: what is taken and not yet released by a PUBREL
  std::unique_ptr<Subscriber> subscriber;     // from the first subscription on that it may have
  UserDigest owner{};                         // the user who began it; no other one goes on with it
};

/// How long what a client leaves is kept, as its CONNECT asks: a week at most.
Duration asked_session_expiry(const mqtt::ConnectPacket& connect);

/// What a session asks of its listener, which outlives it.
class SessionHost {
 public:
  virtual ~SessionHost() = default;

  struct Admission {
    mqtt::ReasonCode reason = mqtt::ReasonCode::success;
    std::shared_ptr<ClientState> state;  // with success; empty when `resumed` is false
    bool resumed = false;
  };
  /// A client wants in; `client_id` is not empty. An older connection of that id ends before this returns.
  virtual Admission admit(ListenerSession& session, const mqtt::ConnectPacket& connect,
                          const std::string& client_id) = 0;
  virtual std::string make_client_id() = 0;
  virtual bool may_publish(const ListenerSession& session, std::string_view topic) = 0;

  struct Taken {
    Ticket ticket = 0;  // of this message, or of the last one before it where nothing of it is kept
    mqtt::ReasonCode reason = mqtt::ReasonCode::success;
  };
  /// Takes a message in; `duplicate` when it may be one that was taken already, as QoS 1 has it. A failure says that it
  /// never will be, and why.
  virtual Taken take(const ListenerSession& session, std::string_view topic, std::string_view payload,
                     bool duplicate) = 0;
  /// A message of QoS 2 was taken, which the client may send again until it releases its packet id.
  virtual void note_taken(const ListenerSession& /*session*/, const mqtt::PublishPacket& /*publish*/, Ticket) {}
  /// The packet id may stand for another message from here on: its PUBCOMP leaves.
  /// False when that cannot be kept: then the id must not be free, and the connection has to end.
  virtual bool note_released(const ListenerSession& /*session*/, std::uint16_t /*packet_id*/) { return true; }
  /// Whether one more message of QoS 2 may wait for its release.
  virtual bool has_room_for_qos2(const ListenerSession& /*session*/) const { return true; }
  /// The filter is well formed. Makes the session watch when the client may, and subscribes.
  virtual mqtt::ReasonCode subscribe(ListenerSession& session, const mqtt::SubscribeEntry& entry) = 0;
  /// So many filters of a SUBSCRIBE or an UNSUBSCRIBE were refused without a look, for there being too many.
  virtual void note_unread_filters(const ListenerSession& /*session*/, std::size_t /*count*/) {}
};

/// The protocol of one connection of the listener: bytes of the client in, bytes for it out, messages to the host.
/// Acknowledgements leave in the order of the messages (section 4.6), each when its ticket is released.
///
/// Passive: no socket, no timer, no thread; the core thread. What a client can make it hold is bounded by the limits.
class ListenerSession {
 public:
  /// More filters in a SUBSCRIBE or an UNSUBSCRIBE are not looked at, or one packet would keep all other clients
  /// waiting: each costs a look at all rights and clients, and a refusal a line that seldom gets into the log. A client
  /// can have fewer anyhow.
  static constexpr std::size_t kFiltersReadMax = 4 * Subscriber::kFiltersMax;

  ListenerSession(SessionHost& host, const ListenerLimits& limits, BootTime now);
  ListenerSession(const ListenerSession&) = delete;
  ListenerSession& operator=(const ListenerSession&) = delete;

  /// Works through the packets that `input` begins with; returns how many bytes that took. What is left is not all
  /// there yet, or wants_input() is false.
  std::size_t receive(std::string_view input, BootTime now);
  /// False while the client has to wait: too much of it is unacknowledged or unread, or it sends too fast.
  bool wants_input() const;
  /// Until when the client has to wait, if it had no token left; refills at `now`, which may be when it ends.
  std::optional<BootTime> slowed_until(BootTime now);
  /// All messages up to this ticket are safe.
  void release(Ticket ticket);

  /// From here on the client can subscribe to what the table has.
  Subscriber& watch(LatestValues& latest);
  /// What the client is subscribed with; null before that, and at the end.
  Subscriber* subscriber() const { return connected_ && !over_ ? state_->subscriber.get() : nullptr; }
  bool wants_to_send() const { return subscriber() != nullptr && subscriber()->wants_to_send(); }

  /// What is to be sent; the caller takes it away.
  std::string& out() { return out_; }
  const std::string& out() const { return out_; }
  /// The connection is to end when out() is sent; end_reason() says why, for the log.
  bool is_over() const { return over_; }
  const std::string& end_reason() const { return end_reason_; }
  /// Success unless the client broke the protocol or was told to go.
  mqtt::ReasonCode end_code() const { return end_code_; }
  /// Whether the client said goodbye, so that nobody has to be told.
  bool is_orderly() const { return orderly_; }

  /// Ends it from our side: taken over, shutting down.
  void end(mqtt::ReasonCode reason, std::string why);
  /// The connection is gone: gives out the will, if there is one that has to go. Once.
  struct WillMessage {
    std::string topic;
    std::string payload;
    Duration delay{};
  };
  std::optional<WillMessage> take_will();

  /// When to call expire(): no CONNECT, or no sign of life, until then.
  std::optional<BootTime> deadline() const;
  void expire(BootTime now);

  bool is_connected() const { return connected_; }
  const std::string& client_id() const { return client_id_; }
  const std::string& user_name() const { return user_name_; }
  mqtt::ProtocolVersion version() const { return version_; }
  std::size_t unacknowledged() const { return pending_.size(); }
  /// How long, after its end, what the client left is kept: a week at most.
  Duration session_expiry() const { return session_expiry_; }

 private:
  struct Pending {
    Ticket ticket = 0;
    std::uint16_t packet_id = 0;
    mqtt::PacketType type = mqtt::PacketType::puback;
    mqtt::ReasonCode reason = mqtt::ReasonCode::success;
  };

  bool is_v5() const { return version_ == mqtt::ProtocolVersion::v5; }
  void handle(const mqtt::RawPacket& packet);
  void handle_connect(const mqtt::RawPacket& packet);
  void keep_will(const mqtt::ConnectPacket& connect);
  void answer_connect(const mqtt::ConnectPacket& connect, const SessionHost::Admission& admission, bool id_assigned);
  bool send_connack(const mqtt::ConnectPacket& connect, const mqtt::ConnackPacket& answer);
  void handle_publish(const mqtt::RawPacket& packet);
  void handle_pubrel(const mqtt::RawPacket& packet);
  void handle_puback(const mqtt::RawPacket& packet);
  void handle_subscribe(const mqtt::RawPacket& packet);
  mqtt::ReasonCode subscribe(const mqtt::SubscribeEntry& entry);
  void handle_unsubscribe(const mqtt::RawPacket& packet);
  void handle_disconnect(const mqtt::RawPacket& packet);
  bool resolve_alias(mqtt::PublishPacket& publish);
  void accept(const mqtt::PublishPacket& publish);
  bool is_repeat(const mqtt::PublishPacket& publish);
  bool release_id(std::map<std::uint16_t, ClientState::Taken>::iterator taken);
  void acknowledge(const mqtt::PublishPacket& publish, Ticket ticket, mqtt::ReasonCode reason);
  std::size_t open_publishes() const;
  void fail(const mqtt::ProtocolError& error);

  SessionHost& host_;
  const ListenerLimits& limits_;
  std::string out_;
  bool connected_ = false;
  bool over_ = false;
  bool orderly_ = false;
  std::string end_reason_;
  mqtt::ReasonCode end_code_ = mqtt::ReasonCode::success;

  mqtt::ProtocolVersion version_ = mqtt::ProtocolVersion::v3_1_1;
  std::string client_id_;
  std::string user_name_;
  Duration session_expiry_{};
  Duration keep_alive_{};  // zero: none
  BootTime last_heard_;
  std::optional<WillMessage> will_;
  std::vector<std::string> aliases_;  // topics by alias - 1
  Subscriber::Peer peer_;

  std::shared_ptr<ClientState> state_;
  TokenBucket rate_;  // a token a PUBLISH
  std::deque<Pending> pending_;
  Ticket released_ = 0;              // the greatest
  std::size_t awaiting_pubrel_ = 0;  // QoS 2 of this connection whose PUBREC is sent
  Ticket last_ticket_ = 0;
};

}  // namespace tidegate::drivers
