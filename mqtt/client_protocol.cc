#include "mqtt/client_protocol.h"

#include <algorithm>
#include <utility>

#include "core/free_room.h"
#include "mqtt/connect_failure.h"
#include "mqtt/packet_encoder.h"

namespace tidegate::mqtt {
namespace {

// What is put into out() ahead of what the socket takes.
constexpr std::size_t kSendAhead = std::size_t{64} * 1024;
constexpr std::uint16_t kSubscribeId = 1;
// As a session of 3.1.1 that is no clean one: the broker keeps it until somebody ends it.
constexpr std::uint32_t kSessionNeverExpires = 0xffff'ffff;
// Packets that are no messages.
constexpr std::size_t kPacketBytesLeast = std::size_t{64} * 1024;
// The broker is asked for a sign of life after one keep alive without a packet, and has one and a half more for the
// answer. So that a dead connection is found within one and a half of what is configured, it is told three fifths.
constexpr int kKeepAliveParts = 3;
constexpr int kKeepAliveOf = 5;

// For a broker that sends messages, and answers neither a subscription nor a sign of life.
constexpr Duration kUnansweredMost = std::chrono::minutes(30);

std::uint16_t whole_seconds(Duration duration) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(duration).count();
  return static_cast<std::uint16_t>(std::clamp<std::int64_t>(seconds, 1, 65'535));
}

bool is_pingresp(std::string_view input) { return input == std::string_view("\xd0\0", 2); }

}  // namespace

ClientProtocol::ClientProtocol(const BrokerOptions& broker, const std::vector<Subscription>& subscriptions,
                               ConnectionEvents& events, const std::optional<ConnectionWill>& will, BootTime now)
    : broker_(broker),
      subscriptions_(subscriptions),
      events_(events),
      keep_alive_(std::chrono::seconds(whole_seconds(broker.keep_alive * kKeepAliveParts / kKeepAliveOf))),
      ping_every_(keep_alive_),
      publishes_(broker.protocol, events),
      began_(now),
      heard_(now),
      answered_(now),
      last_sent_(now) {
  send_connect(will);
}

void ClientProtocol::send_connect(const std::optional<ConnectionWill>& will) {
  ConnectPacket connect;
  connect.version = version();
  connect.clean_start = broker_.clean_session;
  connect.client_id = broker_.client_id;
  connect.keep_alive_seconds = whole_seconds(keep_alive_);
  if (!broker_.username.empty()) connect.user_name = broker_.username;
  if (!broker_.username.empty() && !broker_.password.empty()) connect.password = broker_.password;
  if (will) connect.will = Will{will->topic, will->payload, 1, false, {}};
  if (!broker_.clean_session) connect.properties.set(PropertyId::session_expiry_interval, kSessionNeverExpires);
  encode(connect, out_);
}

void ClientProtocol::send_subscribe() {
  SubscribePacket subscribe;
  subscribe.packet_id = kSubscribeId;
  for (const Subscription& subscription : subscriptions_) {
    SubscribeEntry& entry = subscribe.entries.emplace_back();
    entry.filter = subscription.filter;
    entry.qos = static_cast<std::uint8_t>(subscription.qos);
  }
  encode(subscribe, version(), out_);
}

void ClientProtocol::receive(std::string_view input, BootTime now) {
  if (input.empty() || end_) return;
  heard_ = now;
  if (!is_pingresp(input)) answered_ = now;
  if (parked_) {
    held_.append(input);
    return;
  }
  if (held_.empty()) {
    held_ = input.substr(work_through(input));
  } else {
    held_.append(input);
    held_.erase(0, work_through(held_));
  }
  if (held_.empty() && held_.capacity() > kSendAhead) free_room(held_);
}

bool ClientProtocol::resume(BootTime now) {
  if (!parked_ || end_) return false;
  heard_ = answered_ = unanswered_since_ = now;  // what it has said meanwhile was not read
  parked_ = false;
  const std::size_t used = work_through(held_);
  held_.erase(0, used);
  return used > 0;
}

std::size_t ClientProtocol::work_through(std::string_view input) {
  const std::size_t bytes_max = std::max(broker_.packet_bytes_max, kPacketBytesLeast);
  std::size_t used = 0;
  while (!end_) {
    used += skip(input.size() - used);
    if (skip_left_ > 0) break;
    const std::string_view rest = input.substr(used);
    const auto packet = cut_packet(rest, bytes_max);
    if (!packet && packet.error().reason == ReasonCode::packet_too_large && begin_to_skip(rest)) {
      if (skip_left_ == 0) break;
      continue;
    }
    if (!packet) fail(packet.error());
    if (!packet || !*packet) break;
    handle(**packet);
    if (parked_) break;  // it stays, to be brought again
    used += (*packet)->bytes;
  }
  return used;
}

// False when it is no message, or a wrong one. With nothing to skip afterwards more of it has to come.
bool ClientProtocol::begin_to_skip(std::string_view input) {
  if (!connected_ || static_cast<PacketType>(static_cast<std::uint8_t>(input[0]) >> 4U) != PacketType::publish) {
    return false;
  }
  const auto head = peek_publish(input);
  if (!head) return false;
  if (!*head) return true;
  skip_left_ = (*head)->bytes;
  skipped_ = **head;
  skipped_.topic = {};
  events_.on_message_too_large((*head)->topic, (*head)->bytes);
  return true;
}

std::size_t ClientProtocol::skip(std::size_t available) {
  if (skip_left_ == 0) return 0;
  const std::size_t count = std::min(available, skip_left_);
  skip_left_ -= count;
  if (skip_left_ == 0) acknowledge(skipped_.qos, skipped_.packet_id);
  return count;
}

void ClientProtocol::handle(const RawPacket& packet) {
  if (!connected_ && packet.type != PacketType::connack) {
    return fail({ReasonCode::protocol_error, "a packet before the CONNACK"});
  }
  switch (packet.type) {
    case PacketType::connack:
      return handle_connack(packet);
    case PacketType::publish:
      return handle_publish(packet);
    case PacketType::puback:
      return handle_puback(packet);
    case PacketType::suback:
      return handle_suback(packet);
    case PacketType::pubrel:
      return handle_pubrel(packet);
    case PacketType::disconnect:
      if (is_v5()) return handle_disconnect(packet);
      break;
    case PacketType::pingresp:
      ping_sent_.reset();
      has_passed_answer_by_ = !subscribed_ && heard_ >= answer_due();
      if (const auto empty = decode_empty(packet); !empty) fail(empty.error());
      return;
    default:
      break;
  }
  fail({ReasonCode::protocol_error, "a packet that no broker sends here"});
}

void ClientProtocol::handle_connack(const RawPacket& packet) {
  if (connected_) return fail({ReasonCode::protocol_error, "a second CONNACK"});
  const auto connack = decode_answer(packet, version());
  if (!connack) return fail(connack.error());
  if (connack->reason != ReasonCode::success) {
    end_ = explain(*connack, broker_);
    return;
  }
  if (connack->session_present && is_v5() && broker_.clean_session) {
    return fail({ReasonCode::protocol_error, "a session that was to begin anew"});
  }
  if (!take_limits(connack->properties)) return;
  connected_ = true;
  subscribed_ = subscriptions_.empty();
  subscribed_at_ = unanswered_since_ = heard_;
  if (!subscribed_) send_subscribe();
  events_.on_connected();
}

// False when it takes too little. In 3.1.1 nothing is said.
bool ClientProtocol::take_limits(const Properties& said) {
  if (said.number(PropertyId::maximum_qos, 2) == 0) {
    encode(DisconnectPacket{}, version(), out_);
    end_as(
        LinkProblem::unsuitable,
        "the broker takes QoS 0 only (maximum QoS), and acknowledges nothing: nobody would know what has arrived, so "
        "nothing is sent; let it take QoS 1");
    return false;
  }
  BrokerLimits limits;
  limits.unacknowledged_max = said.number(PropertyId::receive_maximum, 65'535);
  limits.topic_aliases_max = said.number(PropertyId::topic_alias_maximum, 0);
  if (said.has(PropertyId::maximum_packet_size)) {
    limits.packet_bytes_max = said.number(PropertyId::maximum_packet_size, 0);
  }
  publishes_.set_limits(limits);
  const std::uint32_t seconds = said.number(PropertyId::server_keep_alive, 0);
  if (seconds > 0) ping_every_ = std::min(keep_alive_, Duration(std::chrono::seconds(seconds)));
  return true;
}

void ClientProtocol::handle_suback(const RawPacket& packet) {
  const auto suback = decode_suback(packet, version());
  if (!suback) return fail(suback.error());
  if (subscribed_ || suback->packet_id != kSubscribeId || suback->reasons.size() != subscriptions_.size()) {
    return fail({ReasonCode::protocol_error, "a SUBACK that answers no SUBSCRIBE"});
  }
  SubscribeAnswer answer;
  for (std::size_t i = 0; i < subscriptions_.size(); ++i) {
    answer.note(subscriptions_[i].filter, subscriptions_[i].qos, static_cast<int>(suback->reasons[i]));
  }
  subscribed_ = true;
  events_.on_subscribed(answer);
}

void ClientProtocol::handle_publish(const RawPacket& packet) {
  const auto publish = decode_publish(packet, version());
  if (!publish) return fail(publish.error());
  if (publish->properties.has(PropertyId::topic_alias)) {
    return fail({ReasonCode::topic_alias_invalid, "a topic alias, though none is allowed"});
  }
  // An old session may hold messages of QoS 2, which is subscribed to no more.
  const bool is_known = publish->qos == 2 && qos2_taken_.contains(publish->packet_id);
  parked_ = !is_known && !events_.on_message(publish->topic, publish->payload, publish->retain, publish->duplicate);
  if (!parked_) acknowledge(publish->qos, publish->packet_id);
}

void ClientProtocol::acknowledge(std::uint8_t qos, std::uint16_t packet_id) {
  if (qos == 0) return;
  if (qos == 2) qos2_taken_.insert(packet_id);
  encode(qos == 1 ? PacketType::puback : PacketType::pubrec, AckPacket{packet_id, ReasonCode::success, {}}, version(),
         out_);
}

void ClientProtocol::handle_pubrel(const RawPacket& packet) {
  const auto pubrel = decode_ack(packet, version());
  if (!pubrel) return fail(pubrel.error());
  qos2_taken_.erase(pubrel->packet_id);
  encode(PacketType::pubcomp, AckPacket{pubrel->packet_id, ReasonCode::success, {}}, version(), out_);
}

void ClientProtocol::handle_puback(const RawPacket& packet) {
  const auto puback = decode_ack(packet, version());
  if (!puback) return fail(puback.error());
  publishes_.take(*puback);
}

void ClientProtocol::handle_disconnect(const RawPacket& packet) {
  const auto disconnect = decode_disconnect(packet, version());
  if (!disconnect) return fail(disconnect.error());
  end_ = explain(*disconnect, broker_);
}

std::string& ClientProtocol::out() {
  if (connected_ && !end_) publishes_.send(out_, kSendAhead);
  return out_;
}

void ClientProtocol::sent(BootTime now) {
  last_sent_ = now;
  publishes_.note_sent();
}

bool ClientProtocol::say_goodbye() {
  if (!connected_ || end_) return false;
  publishes_.drop_waiting();
  encode(DisconnectPacket{}, version(), out_);
  return true;
}

BootTime ClientProtocol::silence_ends() const { return std::max(*ping_sent_, heard_) + keep_alive_ * 3 / 2; }

BootTime ClientProtocol::deadline() const {
  if (!connected_) return began_ + broker_.connect_timeout;
  if (parked_) return last_sent_ + ping_every_;
  const BootTime next = ping_sent_ ? silence_ends() : jam_ ? jam_->looked + keep_alive_ / 2 : ping_due();
  if (subscribed_) return next;
  if (has_passed_answer_by_) return heard_;
  const BootTime given_up = std::min(answered_ + broker_.connect_timeout, unanswered_since_ + kUnansweredMost);
  return std::min({next, given_up, is_answer_asked_for_ ? next : answer_due()});
}

BootTime ClientProtocol::answer_due() const { return subscribed_at_ + broker_.connect_timeout; }

// The answer may stand behind all that the session still had, on a slow line. So when it is due a sign of life is asked
// for, which stands behind the answer: a broker that gives it and not the answer has none.
bool ClientProtocol::gives_up_subscribing(BootTime now) {
  if (subscribed_) return false;
  const bool is_silent = now >= answered_ + broker_.connect_timeout;
  if (is_silent || has_passed_answer_by_ || now >= unanswered_since_ + kUnansweredMost) {
    end_as(LinkProblem::lost,
           std::string("the connection was ended because the broker does not answer the subscription in time") +
               (is_silent ? "" : ", though it sends messages: check its log, and its access rules"));
    return true;
  }
  return false;
}

void ClientProtocol::tick(BootTime now, std::optional<std::uint64_t> taken) {
  if (end_ || now < deadline()) return;
  if (parked_) {
    // Its answers are not read, so that its silence says nothing; ours would.
    if (!taken) encode_empty(PacketType::pingreq, out_);
    last_sent_ = now;
    return;
  }
  const bool asks_for_answer = connected_ && !subscribed_ && !is_answer_asked_for_ && now >= answer_due();
  if (asks_for_answer) is_answer_asked_for_ = true;  // by any sign of life from here on
  if (!connected_) {
    end_ = explain(ConnectFailure{0, "the broker does not answer in time", {}}, broker_);
  } else if (gives_up_subscribing(now)) {
    return;
  } else if (ping_sent_ && now >= silence_ends()) {
    end_as(LinkProblem::lost, "the connection was lost: the broker does not answer any more");
  } else if (!ping_sent_ && now < ping_due() && !asks_for_answer) {
    jam_.reset();  // it has gone on meanwhile
  } else if (!ping_sent_ && taken) {
    look_at_jam(now, *taken);
  } else if (!ping_sent_) {
    encode_empty(PacketType::pingreq, out_);
    ping_sent_ = now;
    jam_.reset();
  }
}

// A sign of life would be asked for behind what stands there, be it in the kernel: minutes of a slow line. A broker
// that is slow to read is still there: its side of the network takes some of it, be it a byte. One that is not takes
// nothing, and says nothing.
void ClientProtocol::look_at_jam(BootTime now, std::uint64_t taken) {
  if (!jam_ || taken != jam_->taken) {
    jam_ = Jam{now, taken, now};
    return;
  }
  jam_->looked = now;
  if (now - std::max(jam_->moved, heard_) < keep_alive_ * 3 / 2) return;
  end_as(LinkProblem::lost, "the connection was lost: the broker takes nothing any more, and says nothing");
}

void ClientProtocol::fail(const ProtocolError& error) {
  const std::string words =
      std::string("the broker sent what MQTT does not allow: ") + error.message + " (" + to_string(error.reason) + ")";
  if (!connected_) {
    end_as(LinkProblem::unreachable, "no connection (" + words + "): check whether that port is an MQTT broker's");
  } else {
    if (is_v5() && !end_) encode(DisconnectPacket{error.reason, {}}, version(), out_);
    end_as(LinkProblem::lost, "the connection was ended because " + words);
  }
}

void ClientProtocol::end_as(LinkProblem problem, std::string detail) {
  if (!end_) end_ = LinkState{false, problem, std::move(detail)};
}

}  // namespace tidegate::mqtt
