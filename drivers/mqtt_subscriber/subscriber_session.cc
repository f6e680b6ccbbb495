#include "drivers/mqtt_subscriber/subscriber_session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "mqtt/connect_failure.h"
#include "mqtt/packet_encoder.h"
#include "mqtt/topic_filter.h"

namespace tidegate::drivers {
namespace {

using mqtt::LinkProblem;
using mqtt::PacketType;
using mqtt::PropertyId;
using mqtt::ProtocolVersion;
using mqtt::ReasonCode;

constexpr std::uint16_t kSubscribeId = 1;
// As a session of 3.1.1 that is no clean one: the broker keeps it until somebody ends it.
constexpr std::uint32_t kSessionNeverExpires = 0xffff'ffff;
// What is said of ourselves, to a broker that does not read it.
constexpr std::size_t kUnsentMax = std::size_t{512} * 1024;
// Packets that are no messages.
constexpr std::size_t kPacketBytesLeast = std::size_t{64} * 1024;
// A packet that has begun has so much time, or as much as silence where that is more, and more for what of it has come:
// a broker that sends a byte now and then is alive, and brings nothing. 256 KiB get through at 830 bytes a second.
constexpr Duration kUnfinishedMax = std::chrono::seconds(60);
constexpr std::size_t kSlowestBytesPerSecond = 1024;

// For a broker that sends messages, and answers neither a subscription nor a sign of life.
constexpr Duration kUnansweredMost = std::chrono::minutes(30);

std::uint16_t whole_seconds(Duration duration) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(duration).count();
  return static_cast<std::uint16_t>(std::clamp<std::int64_t>(seconds, 1, 65'535));
}

// Signs of life, which come however little gets on.
bool is_only_pingresp(std::string_view input) {
  for (std::size_t i = 0; i < input.size(); ++i) {
    if (input[i] != (i % 2 == 0 ? '\xd0' : '\0')) return false;
  }
  return true;
}

}  // namespace

SubscriberSession::SubscriberSession(SubscriberHost& host, const MqttDriverOptions& options,
                                     const std::vector<mqtt::Subscription>& subscriptions, BootTime now)
    : host_(host),
      options_(options),
      subscriptions_(subscriptions),
      began_(now),
      heard_(now),
      begun_since_(now),
      keep_alive_(std::chrono::seconds(whole_seconds(options.broker.keep_alive))),
      ping_every_(keep_alive_),
      last_ping_(now) {
  send_connect();
}

void SubscriberSession::send_connect() {
  const mqtt::BrokerOptions& broker = options_.broker;
  mqtt::ConnectPacket connect;
  connect.version = options_.broker.protocol;
  connect.client_id = broker.client_id;
  connect.keep_alive_seconds = whole_seconds(broker.keep_alive);
  if (!broker.username.empty()) connect.user_name = broker.username;
  if (!broker.password.empty()) connect.password = broker.password;
  connect.properties.set(PropertyId::session_expiry_interval, kSessionNeverExpires);
  connect.properties.set(PropertyId::receive_maximum, options_.inflight_max);
  mqtt::encode(connect, out_);
}

// A broker that shares nothing would end the connection for a shared one (section 3.2.2.3.13).
void SubscriberSession::send_subscribe(bool may_share) {
  mqtt::SubscribePacket subscribe;
  subscribe.packet_id = kSubscribeId;
  for (const mqtt::Subscription& subscription : subscriptions_) {
    if (!may_share && mqtt::is_shared(subscription.filter)) {
      answer_.unshared.push_back(subscription.filter);
      continue;
    }
    asked_.push_back(&subscription);
    mqtt::SubscribeEntry& entry = subscribe.entries.emplace_back();
    entry.filter = subscription.filter;
    entry.qos = static_cast<std::uint8_t>(subscription.qos);
  }
  if (asked_.empty()) return note_subscribed();
  mqtt::encode(subscribe, options_.broker.protocol, out_);
}

std::size_t SubscriberSession::receive(std::string_view input, BootTime now) {
  const bool is_news = input.size() > unread_;
  if (is_news && (skip_left_ > 0 || !is_only_pingresp(input))) heard_ = now;
  if (ping_sent_ && is_news) ping_sent_ = now;  // its answer may stand behind many messages
  has_ended_packet_ = false;
  const std::size_t used = work_through(input, now);
  unread_ = input.size() - used;
  if (has_ended_packet_ || begun_ == 0) begun_since_ = now;
  begun_ = skip_left_ > 0 ? skipped_->bytes - skip_left_ : unread_;
  return used;
}

std::size_t SubscriberSession::work_through(std::string_view input, BootTime now) {
  const std::size_t bytes_max = std::max(static_cast<std::size_t>(options_.queue_bytes / 4), kPacketBytesLeast);
  std::size_t used = 0;
  while (wants_input()) {
    used += skip(input.size() - used);
    if (skip_left_ > 0) break;
    const std::string_view rest = input.substr(used);
    const auto packet = mqtt::cut_packet(rest, bytes_max);
    if (!packet && packet.error().reason == ReasonCode::packet_too_large && begin_to_skip(rest)) {
      if (skip_left_ == 0) break;
      continue;
    }
    if (!packet) fail(packet.error());
    if (!packet || !*packet) break;
    used += (*packet)->bytes;
    has_ended_packet_ = true;
    handle(**packet, now);
  }
  return used;
}

bool SubscriberSession::wants_input() const {
  // A broker of version 5 knows the window too, but mosquitto 2.0.11 sends all that it has queued once there is room
  // for one. To end the connection for that would help nobody: it would be the same again with the next.
  return !over_ && out_.size() < kUnsentMax && pending_.size() < options_.inflight_max;
}

// False when it is no message, or a wrong one. With nothing to skip afterwards more of it has to come.
bool SubscriberSession::begin_to_skip(std::string_view input) {
  if (!connected_at_ || static_cast<PacketType>(static_cast<std::uint8_t>(input[0]) >> 4U) != PacketType::publish) {
    return false;
  }
  const auto head = mqtt::peek_publish(input);
  if (!head) return false;
  if (!*head) return true;
  skip_left_ = (*head)->bytes;
  skip_ticket_ = host_.refuse_too_large((*head)->topic, (*head)->bytes);
  skipped_ = **head;
  skipped_->topic = {};
  return true;
}

std::size_t SubscriberSession::skip(std::size_t available) {
  const std::size_t count = std::min(available, skip_left_);
  skip_left_ -= count;
  if (skip_left_ == 0 && skipped_) {
    has_ended_packet_ = true;
    acknowledge(skip_ticket_, skipped_->packet_id, skipped_->qos);
    skipped_.reset();
  }
  return count;
}

void SubscriberSession::handle(const mqtt::RawPacket& packet, BootTime now) {
  if (!connected_at_ && packet.type != PacketType::connack) {
    return fail({ReasonCode::protocol_error, "a packet before the CONNACK"});
  }
  switch (packet.type) {
    case PacketType::connack:
      return handle_connack(packet, now);
    case PacketType::publish:
      return handle_publish(packet);
    case PacketType::suback:
      return handle_suback(packet);
    case PacketType::pubrel:
      return handle_pubrel(packet);
    case PacketType::pingresp:
      ping_sent_.reset();
      has_passed_answer_by_ = !subscribed_ && now >= answer_due();
      if (const auto empty = mqtt::decode_empty(packet); !empty) fail(empty.error());
      return;
    case PacketType::disconnect:
      if (is_v5()) return handle_disconnect(packet);
      [[fallthrough]];
    default:
      return fail({ReasonCode::protocol_error, "a packet that no broker sends here"});
  }
}

void SubscriberSession::handle_connack(const mqtt::RawPacket& packet, BootTime now) {
  if (connected_at_) return fail({ReasonCode::protocol_error, "a second CONNACK"});
  const auto connack = mqtt::decode_answer(packet, options_.broker.protocol);
  if (!connack) return fail(connack.error());
  if (connack->reason != ReasonCode::success) {
    over_ = true;
    link_ = mqtt::explain(*connack, options_.broker);
    return;
  }
  connected_at_ = now;
  heard_ = unanswered_since_ = now;
  const std::uint32_t seconds = connack->properties.number(PropertyId::server_keep_alive, 0);
  if (seconds > 0) ping_every_ = std::min(keep_alive_, Duration(std::chrono::seconds(seconds)));
  broker_packet_bytes_max_ = connack->properties.number(PropertyId::maximum_packet_size, broker_packet_bytes_max_);
  send_subscribe(connack->properties.number(PropertyId::shared_subscription_available, 1) != 0);
}

void SubscriberSession::handle_suback(const mqtt::RawPacket& packet) {
  const auto suback = mqtt::decode_suback(packet, options_.broker.protocol);
  if (!suback) return fail(suback.error());
  if (subscribed_ || suback->packet_id != kSubscribeId || suback->reasons.size() != asked_.size()) {
    return fail({ReasonCode::protocol_error, "a SUBACK that answers no SUBSCRIBE"});
  }
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    answer_.note(asked_[i]->filter, asked_[i]->qos, static_cast<int>(suback->reasons[i]));
  }
  note_subscribed();
}

void SubscriberSession::note_subscribed() {
  subscribed_ = true;
  link_ = mqtt::explain(answer_, options_.broker.uri);
}

void SubscriberSession::handle_publish(const mqtt::RawPacket& packet) {
  const auto publish = mqtt::decode_publish(packet, options_.broker.protocol);
  if (!publish) return fail(publish.error());
  if (publish->properties.has(PropertyId::topic_alias)) {
    return fail({ReasonCode::topic_alias_invalid, "a topic alias, though none is allowed"});
  }
  // An old session may hold messages of QoS 2, which is subscribed to no more.
  if (const auto known = qos2_taken_.find(publish->packet_id); publish->qos == 2 && known != qos2_taken_.end()) {
    return acknowledge(known->second, publish->packet_id, publish->qos);
  }
  acknowledge(host_.take(*publish), publish->packet_id, publish->qos);
}

void SubscriberSession::acknowledge(Ticket ticket, std::uint16_t packet_id, std::uint8_t qos) {
  if (qos == 0) return;
  if (qos == 2) qos2_taken_.emplace(packet_id, ticket);
  pending_.push_back({ticket, packet_id, qos == 1 ? PacketType::puback : PacketType::pubrec});
}

void SubscriberSession::release(Ticket ticket) {
  released_ = std::max(released_, ticket);
  for (; !over_ && !pending_.empty() && pending_.front().ticket <= ticket; pending_.pop_front()) {
    const Pending& first = pending_.front();
    mqtt::encode(first.type, mqtt::AckPacket{first.packet_id, ReasonCode::success, {}}, options_.broker.protocol, out_);
  }
}

bool SubscriberSession::publish_at_most_once(std::string_view topic, std::string_view payload) {
  if (!connected_at_ || over_ || out_.size() >= kUnsentMax) return false;
  mqtt::PublishPacket publish;
  publish.topic = topic;
  publish.payload = payload;
  const std::size_t before = out_.size();
  mqtt::encode(publish, options_.broker.protocol, out_);
  if (out_.size() - before <= broker_packet_bytes_max_) return true;
  out_.resize(before);
  return false;
}

void SubscriberSession::handle_pubrel(const mqtt::RawPacket& packet) {
  const auto pubrel = mqtt::decode_ack(packet, options_.broker.protocol);
  if (!pubrel) return fail(pubrel.error());
  const auto is_owed = [&](const Pending& owed) {
    return owed.type == PacketType::pubrec && owed.packet_id == pubrel->packet_id;
  };
  const auto taken = qos2_taken_.find(pubrel->packet_id);
  const bool was_taken = taken != qos2_taken_.end();
  // With a PUBCOMP the broker would forget a message that is not safe yet.
  if (was_taken && taken->second > released_ && std::any_of(pending_.begin(), pending_.end(), is_owed)) {
    return fail({ReasonCode::protocol_error, "a PUBREL before its PUBREC"});
  }
  // The answer to a repeat may stand behind others that wait; the answer to the message itself has left.
  if (was_taken) std::erase_if(pending_, is_owed);
  if (was_taken) qos2_taken_.erase(taken);
  const ReasonCode reason = was_taken ? ReasonCode::success : ReasonCode::packet_identifier_not_found;
  mqtt::encode(PacketType::pubcomp, mqtt::AckPacket{pubrel->packet_id, reason, {}}, options_.broker.protocol, out_);
}

void SubscriberSession::handle_disconnect(const mqtt::RawPacket& packet) {
  const auto disconnect = mqtt::decode_disconnect(packet, options_.broker.protocol);
  if (!disconnect) return fail(disconnect.error());
  over_ = true;
  link_ = mqtt::explain(*disconnect, options_.broker);
  if (disconnect->reason != ReasonCode::shared_subscriptions_not_supported) return;
  link_->detail += ": leave $share/GROUP/ out of";
  for (const mqtt::Subscription* asked : asked_) {
    if (mqtt::is_shared(asked->filter)) link_->detail += " " + asked->filter;
  }
}

BootTime SubscriberSession::deadline() const {
  if (!connected_at_) return began_ + options_.broker.connect_timeout;
  BootTime next = last_ping_ + ping_every_;
  if (ping_sent_) next = std::min(next, *ping_sent_ + keep_alive_ / 2);
  if (begun_ > 0) next = std::min(next, packet_deadline());
  return subscribed_ ? next : std::min(next, subscribe_deadline());
}

// The answer may stand behind all that the session still had, on a slow line: as long as any of it comes, it is waited
// for. To connect again would begin with the same messages. But when it is due a sign of life is asked for, which
// stands behind the answer: a broker that gives it and not the answer has none.
BootTime SubscriberSession::subscribe_deadline() const {
  if (has_passed_answer_by_) return heard_;
  const BootTime silence_ends = heard_ + options_.broker.connect_timeout;
  return is_answer_asked_for_ ? silence_ends : std::min(silence_ends, answer_due());
}

bool SubscriberSession::gives_up_subscribing(BootTime now, bool reading) {
  if (subscribed_) return false;
  if (!reading) {
    heard_ = unanswered_since_ = now;
    has_passed_answer_by_ = false;  // it may be among what is not read
  }
  const bool is_silent = now >= heard_ + options_.broker.connect_timeout;
  if (!is_silent && !has_passed_answer_by_ && now < unanswered_since_ + kUnansweredMost) return false;
  end(ReasonCode::unspecified_error,
      {false, LinkProblem::lost,
       std::string("the connection was ended because the broker took it and does not answer the subscription in time") +
           (is_silent ? "" : ", though it sends messages: check its log, and its access rules")});
  return true;
}

BootTime SubscriberSession::packet_deadline() const {
  return begun_since_ + std::max(kUnfinishedMax, keep_alive_) + std::chrono::seconds(begun_ / kSlowestBytesPerSecond);
}

bool SubscriberSession::gives_up_packet(BootTime now, bool reading) {
  if (begun_ == 0) return false;
  if (!reading) begun_since_ = now;
  if (now < packet_deadline()) return false;
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - begun_since_).count();
  end(ReasonCode::unspecified_error,
      {false, LinkProblem::lost,
       "the connection was ended because a packet of the broker is not all there after " + std::to_string(age) +
           " s (" + std::to_string(begun_) + " bytes of it are): it hangs, or the line is too slow"});
  return true;
}

void SubscriberSession::read_again(BootTime now) {
  heard_ = begun_since_ = unanswered_since_ = now;
  if (ping_sent_) ping_sent_ = now;
}

void SubscriberSession::tick(BootTime now, bool reading) {
  if (over_) return;
  if (!connected_at_) {
    if (now < deadline()) return;
    over_ = true;
    link_ = mqtt::explain(mqtt::ConnectFailure{0, "the broker does not answer in time", {}}, options_.broker);
    return;
  }
  if (gives_up_subscribing(now, reading) || gives_up_packet(now, reading)) return;
  // Where nothing is read, the answer may have come.
  if (ping_sent_ && !reading) ping_sent_ = now;
  if (ping_sent_ && now - *ping_sent_ >= keep_alive_ / 2) {
    return end(ReasonCode::keep_alive_timeout,
               {false, LinkProblem::lost, "the connection was lost: the broker does not answer any more"});
  }
  const bool is_answer_due = !subscribed_ && !is_answer_asked_for_ && now >= answer_due();
  if (now - last_ping_ < ping_every_ && !is_answer_due) return;
  is_answer_asked_for_ = is_answer_asked_for_ || is_answer_due;
  mqtt::encode_empty(PacketType::pingreq, out_);
  last_ping_ = now;
  if (!ping_sent_) ping_sent_ = now;
}

void SubscriberSession::say_goodbye() {
  if (std::exchange(over_, true) || !connected_at_) return;
  mqtt::encode(mqtt::DisconnectPacket{}, options_.broker.protocol, out_);
}

void SubscriberSession::fail(const mqtt::ProtocolError& error) {
  end(error.reason, {false, LinkProblem::lost,
                     std::string("the connection was ended because the broker sent what MQTT does not allow: ") +
                         error.message + " (" + mqtt::to_string(error.reason) + ")"});
}

void SubscriberSession::end(ReasonCode reason, mqtt::LinkState link) {
  if (std::exchange(over_, true)) return;
  if (connected_at_ && is_v5()) mqtt::encode(mqtt::DisconnectPacket{reason, {}}, options_.broker.protocol, out_);
  link_ = std::move(link);
}

}  // namespace tidegate::drivers
