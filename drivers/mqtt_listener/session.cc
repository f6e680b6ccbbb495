#include "drivers/mqtt_listener/session.h"

#include <algorithm>
#include <utility>

#include "core/text.h"
#include "drivers/mqtt_listener/session_journal.h"
#include "mqtt/packet_encoder.h"
#include "mqtt/topic_filter.h"

namespace tidegate::drivers {
namespace {

using mqtt::PacketType;
using mqtt::PropertyId;
using mqtt::ReasonCode;

// Nobody needs more to say who he is, and nothing is known of him yet.
constexpr std::size_t kConnectBytesMax = 128 * 1024;
// A client that does not read what it gets is not read from either.
constexpr std::size_t kUnsentMax = 64 * 1024;
// Of this connection and of earlier ones.
constexpr std::size_t kQos2Share = 2;
// What a client leaves is kept no longer, and so no will waits longer, whatever it asks for: else whoever comes with a
// new id each time leaves things for ever.
constexpr std::uint32_t kSessionExpiryMax = 7 * 24 * 3600;

Duration keeping_time(std::uint32_t seconds) { return std::chrono::seconds(std::min(seconds, kSessionExpiryMax)); }

// A session of 3.1.1 that is no clean one has no end of its own.
std::uint32_t asked_expiry(const mqtt::ConnectPacket& connect) {
  if (connect.version == mqtt::ProtocolVersion::v3_1_1) return connect.clean_start ? 0 : kSessionExpiryMax;
  return connect.properties.number(PropertyId::session_expiry_interval, 0);
}

Subscriber::Peer peer_of(const mqtt::ConnectPacket& connect, const ListenerLimits& limits) {
  const std::uint32_t receive_max = connect.properties.number(PropertyId::receive_maximum, 65535);
  return {connect.version, std::min<std::size_t>(receive_max, limits.inflight_max),
          connect.properties.number(PropertyId::maximum_packet_size, 0xffff'ffff)};
}

}  // namespace

Duration asked_session_expiry(const mqtt::ConnectPacket& connect) { return keeping_time(asked_expiry(connect)); }

ListenerSession::ListenerSession(SessionHost& host, const ListenerLimits& limits, BootTime now)
    : host_(host), limits_(limits), last_heard_(now), rate_(limits.messages_per_second_max) {}

std::size_t ListenerSession::receive(std::string_view input, BootTime now) {
  std::size_t used = 0;
  rate_.refill(now);
  while (wants_input()) {
    const std::size_t bytes_max =
        connected_ ? limits_.packet_bytes_max : std::min<std::size_t>(kConnectBytesMax, limits_.packet_bytes_max);
    const auto packet = mqtt::cut_packet(input.substr(used), bytes_max);
    if (!packet) {
      fail(packet.error());
      break;
    }
    if (!*packet) break;
    used += (*packet)->bytes;
    last_heard_ = now;
    handle(**packet);
  }
  return used;
}

bool ListenerSession::wants_input() const {
  // In version 5 the client knows its limit, and going over it is an error of its own.
  const bool may_go_on = is_v5() || pending_.size() < limits_.inflight_max;
  return !over_ && may_go_on && out_.size() < kUnsentMax && rate_.has_token();
}

std::optional<BootTime> ListenerSession::slowed_until(BootTime now) {
  if (over_ || rate_.has_token()) return std::nullopt;
  rate_.refill(now);
  return rate_.ready_at(now);
}

void ListenerSession::handle(const mqtt::RawPacket& packet) {
  if (!connected_) {
    if (packet.type == PacketType::connect) return handle_connect(packet);
    return end(ReasonCode::protocol_error, "its first packet is no CONNECT");
  }
  switch (packet.type) {
    case PacketType::publish:
      rate_.take();
      return handle_publish(packet);
    case PacketType::pubrel:
      return handle_pubrel(packet);
    case PacketType::pingreq:
      if (const auto empty = mqtt::decode_empty(packet); !empty) return fail(empty.error());
      return mqtt::encode_empty(PacketType::pingresp, out_);
    case PacketType::subscribe:
      return handle_subscribe(packet);
    case PacketType::unsubscribe:
      return handle_unsubscribe(packet);
    case PacketType::disconnect:
      return handle_disconnect(packet);
    case PacketType::puback:
      return handle_puback(packet);
    case PacketType::pubrec:
    case PacketType::pubcomp:
      if (const auto ack = mqtt::decode_ack(packet, version_); !ack) fail(ack.error());
      return;  // of nothing that was sent with QoS 2
    default:
      return fail({ReasonCode::protocol_error, "a packet that no client sends here, or a second CONNECT"});
  }
}

void ListenerSession::handle_connect(const mqtt::RawPacket& packet) {
  const auto connect = mqtt::decode_connect(packet);
  if (!connect) {
    // Whatever version it speaks, it knows this answer of 3.1.1, or none.
    if (connect.error().reason == ReasonCode::unsupported_protocol_version) {
      mqtt::encode(mqtt::ConnackPacket{false, connect.error().reason, {}}, mqtt::ProtocolVersion::v3_1_1, out_);
    }
    return fail(connect.error());
  }
  version_ = connect->version;
  client_id_ = connect->client_id;
  user_name_ = connect->user_name.value_or("");
  SessionHost::Admission admission;
  const bool id_assigned = client_id_.empty();
  if (id_assigned && !is_v5() && !connect->clean_start) {
    admission.reason = ReasonCode::client_identifier_not_valid;
  } else if (client_id_.size() > limits_.client_id_bytes_max) {
    admission.reason = ReasonCode::client_identifier_not_valid;
  } else if (connect->properties.has(PropertyId::authentication_method)) {
    admission.reason = ReasonCode::bad_authentication_method;
  } else if (connect->will && connect->will->topic.size() > limits_.topic_bytes_max) {
    admission.reason = ReasonCode::topic_name_invalid;
  } else {
    if (id_assigned) client_id_ = host_.make_client_id();
    admission = host_.admit(*this, *connect, client_id_);
  }
  answer_connect(*connect, admission, id_assigned);
}

void ListenerSession::answer_connect(const mqtt::ConnectPacket& connect, const SessionHost::Admission& admission,
                                     bool id_assigned) {
  mqtt::ConnackPacket answer;
  answer.reason = admission.reason;
  if (admission.reason != ReasonCode::success) {
    send_connack(connect, answer);
    over_ = true;
    end_reason_ = std::string("refused: ") + mqtt::to_string(admission.reason);
    return;
  }
  connected_ = true;
  state_ = admission.state;
  session_expiry_ = asked_session_expiry(connect);
  keep_alive_ = std::chrono::seconds(connect.keep_alive_seconds);
  keep_will(connect);
  peer_ = peer_of(connect, limits_);
  if (state_->subscriber) state_->subscriber->begin(peer_);
  answer.session_present = admission.resumed;
  answer.properties.set(PropertyId::receive_maximum, limits_.inflight_max);
  answer.properties.set(PropertyId::maximum_packet_size, limits_.packet_bytes_max);
  answer.properties.set(PropertyId::topic_alias_maximum, limits_.topic_aliases_max);
  answer.properties.set(PropertyId::subscription_identifier_available, 0);
  answer.properties.set(PropertyId::shared_subscription_available, 0);
  if (is_v5() && asked_expiry(connect) > kSessionExpiryMax) {
    answer.properties.set(PropertyId::session_expiry_interval, kSessionExpiryMax);
  }
  if (id_assigned) answer.properties.set(PropertyId::assigned_client_identifier, client_id_);
  if (send_connack(connect, answer)) return;
  over_ = true;
  end_reason_ = "its maximum packet size is less than a CONNACK needs";
}

// False when it is larger than the client takes (section 3.1.2.11.4).
bool ListenerSession::send_connack(const mqtt::ConnectPacket& connect, const mqtt::ConnackPacket& answer) {
  std::string bytes;
  mqtt::encode(answer, version_, bytes);
  if (bytes.size() > connect.properties.number(PropertyId::maximum_packet_size, 0xffff'ffff)) return false;
  out_ += bytes;
  return true;
}

void ListenerSession::keep_will(const mqtt::ConnectPacket& connect) {
  if (!connect.will) return;
  const auto& will = *connect.will;
  const std::uint32_t delay = will.properties.number(PropertyId::will_delay_interval, 0);
  will_ = WillMessage{std::string(will.topic), std::string(will.payload),
                      std::min(Duration(std::chrono::seconds(delay)), session_expiry_)};
}

void ListenerSession::handle_publish(const mqtt::RawPacket& packet) {
  auto publish = mqtt::decode_publish(packet, version_);
  if (!publish) return fail(publish.error());
  if (!resolve_alias(*publish)) return;
  if (publish->topic.size() > limits_.topic_bytes_max) {
    return fail({ReasonCode::topic_name_invalid, "a topic is longer than is allowed"});
  }
  if (publish->qos > 0 && is_v5() && open_publishes() >= limits_.inflight_max) {
    return fail({ReasonCode::receive_maximum_exceeded, "more messages in flight than the receive maximum"});
  }
  if (!host_.may_publish(*this, publish->topic)) {
    // 3.1.1 has no negative acknowledgement, and a positive one would be a lie.
    if (!is_v5()) return fail({ReasonCode::not_authorized, "may not publish to a topic that it published to"});
    return acknowledge(*publish, last_ticket_, ReasonCode::not_authorized);
  }
  accept(*publish);
}

bool ListenerSession::resolve_alias(mqtt::PublishPacket& publish) {
  const std::uint32_t alias = publish.properties.number(PropertyId::topic_alias, 0);
  if (alias == 0) return true;
  if (alias > limits_.topic_aliases_max) {
    fail({ReasonCode::topic_alias_invalid, "a topic alias beyond the topic alias maximum"});
    return false;
  }
  if (aliases_.size() < alias) aliases_.resize(alias);
  std::string& topic = aliases_[alias - 1];
  // A topic that is too long is refused, and must not stay.
  if (!publish.topic.empty() && publish.topic.size() <= limits_.topic_bytes_max) topic = publish.topic;
  if (!publish.topic.empty()) return true;
  publish.topic = topic;
  if (!topic.empty()) return true;
  fail({ReasonCode::protocol_error, "a topic alias that was never given a topic"});
  return false;
}

// What comes without DUP, or is another message, is a new one: of a client that has lost its own state, or that takes
// an id too early. The specification calls the id in use then. To acknowledge it as a repeat would lose it, and to end
// the connection would, with a client that begins anew each time; taken as new it costs one repeat at the most.
bool ListenerSession::is_repeat(const mqtt::PublishPacket& publish) {
  const auto known = state_->qos2_taken.find(publish.packet_id);
  if (known == state_->qos2_taken.end()) return false;
  if (publish.duplicate && known->second.digest == message_digest(publish.topic, publish.payload)) return true;
  release_id(known);
  return false;
}

// Noted before anything else comes of the packet id: what of the next message under it is lost by a kill is then no
// repeat of this one.
bool ListenerSession::release_id(std::map<std::uint16_t, ClientState::Taken>::iterator taken) {
  const std::uint16_t packet_id = taken->first;
  state_->qos2_taken.erase(taken);
  if (awaiting_pubrel_ > 0) --awaiting_pubrel_;
  if (host_.note_released(*this, packet_id)) return true;
  fail({ReasonCode::server_unavailable, "what is known of its packet ids cannot be kept at the moment"});
  return false;
}

// What a client sends again because it has not seen our PUBREC is acknowledged again and taken once.
void ListenerSession::accept(const mqtt::PublishPacket& publish) {
  if (publish.qos == 2) {
    if (is_repeat(publish)) {
      return acknowledge(publish, state_->qos2_taken[publish.packet_id].ticket, ReasonCode::success);
    }
    if (over_) return;
    if (!host_.has_room_for_qos2(*this)) {
      return fail({ReasonCode::quota_exceeded,
                   "more messages of QoS 2 without a PUBREL than its share of those of all clients"});
    }
    if (state_->qos2_taken.size() >= kQos2Share * std::size_t{limits_.inflight_max}) {
      return fail({ReasonCode::quota_exceeded, "more messages of QoS 2 than are kept without a PUBREL"});
    }
  }
  const auto taken = host_.take(*this, publish.topic, publish.payload, publish.qos == 1 && publish.duplicate);
  last_ticket_ = taken.ticket;
  // What is refused may as well be refused again: its id is not kept, in 3.1.1 neither, whose PUBREC says nothing of
  // it.
  const bool is_refused = mqtt::is_failure(taken.reason);
  if (publish.qos == 2 && !is_refused) {
    state_->qos2_taken[publish.packet_id] = {taken.ticket, message_digest(publish.topic, publish.payload)};
    host_.note_taken(*this, publish, taken.ticket);
  }
  acknowledge(publish, taken.ticket, taken.reason);
}

void ListenerSession::acknowledge(const mqtt::PublishPacket& publish, Ticket ticket, ReasonCode reason) {
  if (publish.qos == 0) return;
  pending_.push_back({ticket, publish.packet_id, publish.qos == 1 ? PacketType::puback : PacketType::pubrec, reason});
}

std::size_t ListenerSession::open_publishes() const { return pending_.size() + awaiting_pubrel_; }

void ListenerSession::release(Ticket ticket) {
  released_ = std::max(released_, ticket);
  while (!pending_.empty() && pending_.front().ticket <= ticket) {
    const Pending& first = pending_.front();
    mqtt::encode(first.type, mqtt::AckPacket{first.packet_id, first.reason, {}}, version_, out_);
    if (first.type == PacketType::pubrec && !mqtt::is_failure(first.reason)) ++awaiting_pubrel_;
    pending_.pop_front();
  }
}

void ListenerSession::handle_pubrel(const mqtt::RawPacket& packet) {
  const auto pubrel = mqtt::decode_ack(packet, version_);
  if (!pubrel) return fail(pubrel.error());
  const auto is_owed = [&](const Pending& owed) {
    return owed.type == PacketType::pubrec && owed.packet_id == pubrel->packet_id;
  };
  const auto taken = state_->qos2_taken.find(pubrel->packet_id);
  const bool was_taken = taken != state_->qos2_taken.end();
  if (was_taken && taken->second.ticket > released_ && std::any_of(pending_.begin(), pending_.end(), is_owed)) {
    return fail({ReasonCode::protocol_error, "a PUBREL before its PUBREC"});
  }
  // The answer to a repeat may stand behind others that wait; the answer to the message itself has left.
  if (was_taken) std::erase_if(pending_, is_owed);
  if (was_taken && !release_id(taken)) return;
  const ReasonCode reason = was_taken ? ReasonCode::success : ReasonCode::packet_identifier_not_found;
  mqtt::encode(PacketType::pubcomp, mqtt::AckPacket{pubrel->packet_id, reason, {}}, version_, out_);
}

Subscriber& ListenerSession::watch(LatestValues& latest) {
  if (!state_->subscriber) {
    state_->subscriber = std::make_unique<Subscriber>(latest);
    state_->subscriber->begin(peer_);
  }
  return *state_->subscriber;
}

void ListenerSession::handle_puback(const mqtt::RawPacket& packet) {
  const auto puback = mqtt::decode_ack(packet, version_);
  if (!puback) return fail(puback.error());
  if (state_->subscriber) state_->subscriber->acknowledge(puback->packet_id);
}

void ListenerSession::handle_subscribe(const mqtt::RawPacket& packet) {
  const auto asked = mqtt::decode_subscribe(packet, version_);
  if (!asked) return fail(asked.error());
  const bool has_identifier = asked->properties.has(PropertyId::subscription_identifier);
  mqtt::SubackPacket answer{asked->packet_id, {}, {}};
  answer.reasons.assign(asked->entries.size(), ReasonCode::quota_exceeded);
  const std::size_t count = std::min(asked->entries.size(), kFiltersReadMax);
  for (std::size_t i = 0; i < count; ++i) {
    answer.reasons[i] =
        has_identifier ? ReasonCode::subscription_identifiers_not_supported : subscribe(asked->entries[i]);
    if (over_) return;
  }
  if (asked->entries.size() > count) host_.note_unread_filters(*this, asked->entries.size() - count);
  mqtt::encode(PacketType::suback, answer, version_, out_);
}

ReasonCode ListenerSession::subscribe(const mqtt::SubscribeEntry& entry) {
  if (mqtt::is_shared(entry.filter)) return ReasonCode::shared_subscriptions_not_supported;
  if (mqtt::is_topic_filter(entry.filter)) return host_.subscribe(*this, entry);
  fail({ReasonCode::malformed_packet, "a topic filter is empty or has a wildcard where none may be"});
  return ReasonCode::malformed_packet;
}

void ListenerSession::handle_unsubscribe(const mqtt::RawPacket& packet) {
  const auto unsubscribe = mqtt::decode_unsubscribe(packet, version_);
  if (!unsubscribe) return fail(unsubscribe.error());
  const std::size_t all = unsubscribe->filters.size();
  const std::size_t count = std::min(all, kFiltersReadMax);
  if (all > count) host_.note_unread_filters(*this, all - count);
  if (all > count && !is_v5()) {
    // Its answer cannot tell what was not done.
    return fail({ReasonCode::implementation_specific_error, "an UNSUBSCRIBE with more filters than are read"});
  }
  mqtt::SubackPacket answer{unsubscribe->packet_id, {}, {}};
  answer.reasons.assign(all, ReasonCode::implementation_specific_error);
  for (std::size_t i = 0; i < count; ++i) {
    const bool existed = state_->subscriber && state_->subscriber->unsubscribe(unsubscribe->filters[i]);
    answer.reasons[i] = existed ? ReasonCode::success : ReasonCode::no_subscription_existed;
  }
  mqtt::encode(PacketType::unsuback, answer, version_, out_);
}

void ListenerSession::handle_disconnect(const mqtt::RawPacket& packet) {
  const auto disconnect = mqtt::decode_disconnect(packet, version_);
  if (!disconnect) return fail(disconnect.error());
  if (disconnect->reason != ReasonCode::disconnect_with_will) will_.reset();
  const std::uint32_t expiry = disconnect->properties.number(PropertyId::session_expiry_interval, 0);
  if (disconnect->properties.has(PropertyId::session_expiry_interval)) {
    session_expiry_ = keeping_time(expiry);
  }
  over_ = orderly_ = true;
  end_reason_ = "the client disconnected";
}

void ListenerSession::fail(const mqtt::ProtocolError& error) { end(error.reason, error.message); }

void ListenerSession::end(ReasonCode reason, std::string why) {
  if (over_) return;
  if (connected_ && is_v5()) mqtt::encode(mqtt::DisconnectPacket{reason, {}}, version_, out_);
  over_ = true;
  end_code_ = reason;
  end_reason_ = std::move(why);
}

std::optional<ListenerSession::WillMessage> ListenerSession::take_will() { return std::exchange(will_, std::nullopt); }

std::optional<BootTime> ListenerSession::deadline() const {
  if (over_) return std::nullopt;
  if (!connected_) return last_heard_ + limits_.connect_timeout;
  // Where it waits for acknowledgements, what it said may lie unread. One that reads nothing itself is no excuse.
  const bool waits_for_us = !wants_input() && out_.size() < kUnsentMax;
  if (keep_alive_ == Duration::zero() || waits_for_us) return std::nullopt;
  return last_heard_ + keep_alive_ * 3 / 2;  // section 3.1.2.10
}

void ListenerSession::expire(BootTime now) {
  const auto due = deadline();
  if (!due || now < *due) return;
  end(ReasonCode::keep_alive_timeout,
      connected_ ? "nothing was heard of it for one and a half times its keep alive" : "sent no CONNECT in time");
}

}  // namespace tidegate::drivers
