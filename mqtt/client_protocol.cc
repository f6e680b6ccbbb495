#include "mqtt/client_protocol.h"

#include <algorithm>
#include <utility>

#include "mqtt/connect_failure.h"
#include "mqtt/packet_encoder.h"

namespace tidegate::mqtt {
namespace {

// Publishes that wait for an acknowledgement: brokers bound them too.
constexpr std::size_t kOpenMax = 1000;
// What is put into out() ahead of what the socket takes.
constexpr std::size_t kSendAhead = std::size_t{64} * 1024;
constexpr std::uint16_t kSubscribeId = 1;
// Packets that are no messages.
constexpr std::size_t kPacketBytesLeast = std::size_t{64} * 1024;
// The broker is asked for a sign of life after one keep alive without a packet, and has one and a half more for the
// answer. So that a dead connection is found within one and a half of what is configured, it is told three fifths.
constexpr int kKeepAliveParts = 3;
constexpr int kKeepAliveOf = 5;

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
      began_(now),
      heard_(now),
      answered_(now),
      last_sent_(now) {
  send_connect(will);
}

void ClientProtocol::send_connect(const std::optional<ConnectionWill>& will) {
  ConnectPacket connect;
  connect.clean_start = broker_.clean_session;
  connect.client_id = broker_.client_id;
  connect.keep_alive_seconds = whole_seconds(keep_alive_);
  if (!broker_.username.empty()) connect.user_name = broker_.username;
  if (!broker_.username.empty() && !broker_.password.empty()) connect.password = broker_.password;
  if (will) connect.will = Will{will->topic, will->payload, 1, false, {}};
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
  encode(subscribe, ProtocolVersion::v3_1_1, out_);
}

void ClientProtocol::receive(std::string_view input, BootTime now) {
  if (input.empty() || end_) return;
  heard_ = now;
  if (!is_pingresp(input)) answered_ = now;
  if (held_.empty()) {
    held_ = input.substr(work_through(input));
  } else {
    held_.append(input);
    held_.erase(0, work_through(held_));
  }
  if (held_.empty() && held_.capacity() > kSendAhead) held_ = std::string();
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
    used += (*packet)->bytes;
    handle(**packet);
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
    case PacketType::pingresp:
      ping_sent_.reset();
      if (const auto empty = decode_empty(packet); !empty) fail(empty.error());
      return;
    default:
      return fail({ReasonCode::protocol_error, "a packet that no broker sends here"});
  }
}

void ClientProtocol::handle_connack(const RawPacket& packet) {
  if (connected_) return fail({ReasonCode::protocol_error, "a second CONNACK"});
  const auto connack = decode_connack(packet, ProtocolVersion::v3_1_1);
  if (!connack) return fail(connack.error());
  if (connack->reason != ReasonCode::success) {
    end_ = explain(connack->reason, ProtocolVersion::v3_1_1, broker_);
    return;
  }
  connected_ = true;
  subscribed_ = subscriptions_.empty();
  if (!subscribed_) send_subscribe();
  events_.on_connected();
}

void ClientProtocol::handle_suback(const RawPacket& packet) {
  const auto suback = decode_suback(packet, ProtocolVersion::v3_1_1);
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
  const auto publish = decode_publish(packet, ProtocolVersion::v3_1_1);
  if (!publish) return fail(publish.error());
  // An old session may hold messages of QoS 2, which is subscribed to no more.
  const bool is_known = publish->qos == 2 && qos2_taken_.contains(publish->packet_id);
  if (!is_known) events_.on_message(publish->topic, publish->payload, publish->retain, publish->duplicate);
  acknowledge(publish->qos, publish->packet_id);
}

void ClientProtocol::acknowledge(std::uint8_t qos, std::uint16_t packet_id) {
  if (qos == 0) return;
  if (qos == 2) qos2_taken_.insert(packet_id);
  encode(qos == 1 ? PacketType::puback : PacketType::pubrec, AckPacket{packet_id, ReasonCode::success, {}},
         ProtocolVersion::v3_1_1, out_);
}

void ClientProtocol::handle_pubrel(const RawPacket& packet) {
  const auto pubrel = decode_ack(packet, ProtocolVersion::v3_1_1);
  if (!pubrel) return fail(pubrel.error());
  qos2_taken_.erase(pubrel->packet_id);
  encode(PacketType::pubcomp, AckPacket{pubrel->packet_id, ReasonCode::success, {}}, ProtocolVersion::v3_1_1, out_);
}

// One that nothing waits for is let pass by: some brokers say it twice.
void ClientProtocol::handle_puback(const RawPacket& packet) {
  const auto puback = decode_ack(packet, ProtocolVersion::v3_1_1);
  if (!puback) return fail(puback.error());
  const auto found = open_.find(puback->packet_id);
  if (found == open_.end()) return;
  const InFlight::Number number = found->second;
  open_.erase(found);
  events_.on_published(number, true);
}

void ClientProtocol::publish(std::optional<InFlight::Number> number, std::string topic, std::string payload, int qos) {
  waiting_.push_back({number, std::move(topic), std::move(payload), qos});
}

std::string& ClientProtocol::out() {
  if (connected_ && !end_) send_waiting();
  return out_;
}

void ClientProtocol::send_waiting() {
  while (!waiting_.empty() && out_.size() < kSendAhead) {
    const Waiting& next = waiting_.front();
    if (next.qos > 0 && open_.size() >= kOpenMax) return;
    PublishPacket publish;
    publish.topic = next.topic;
    publish.payload = next.payload;
    publish.qos = next.qos > 0 ? 1 : 0;
    if (next.qos > 0) {
      publish.packet_id = next_packet_id();
      open_.emplace(publish.packet_id, next.number.value_or(0));
    } else if (next.number) {
      unsent_.push_back(*next.number);
    }
    encode(publish, ProtocolVersion::v3_1_1, out_);
    waiting_.pop_front();
  }
}

void ClientProtocol::sent(BootTime now) {
  last_sent_ = now;
  for (const InFlight::Number number : std::exchange(unsent_, {})) events_.on_published(number, true);
}

// The first is the SUBSCRIBE's. There are far more of them than may be open.
std::uint16_t ClientProtocol::next_packet_id() {
  do {
    packet_id_ = packet_id_ == 65'535 ? kSubscribeId + 1 : static_cast<std::uint16_t>(std::max(packet_id_ + 1, 2));
  } while (open_.contains(packet_id_));
  return packet_id_;
}

bool ClientProtocol::say_goodbye() {
  if (!connected_ || end_) return false;
  waiting_.clear();
  encode(DisconnectPacket{}, ProtocolVersion::v3_1_1, out_);
  return true;
}

BootTime ClientProtocol::silence_ends() const { return std::max(*ping_sent_, heard_) + keep_alive_ * 3 / 2; }

BootTime ClientProtocol::deadline() const {
  if (!connected_) return began_ + broker_.connect_timeout;
  const BootTime next = ping_sent_ ? silence_ends() : std::min(last_sent_, heard_) + keep_alive_;
  return subscribed_ ? next : std::min(next, answered_ + broker_.connect_timeout);
}

// What the socket does not take is no reason to end it here: who takes nothing acknowledges nothing either, which is
// watched, and a broker that is slow to read may still be there.
void ClientProtocol::tick(BootTime now, bool all_is_sent) {
  if (end_ || now < deadline()) return;
  if (!connected_) {
    end_ = explain(ConnectFailure{0, "the broker does not answer in time", {}}, broker_);
  } else if (!subscribed_ && now >= answered_ + broker_.connect_timeout) {
    end_as(LinkProblem::lost, "the connection was ended because the broker does not answer the subscription in time");
  } else if (ping_sent_ && now >= silence_ends()) {
    end_as(LinkProblem::lost, "the connection was lost: the broker does not answer any more");
  } else if (!ping_sent_ && now >= std::min(last_sent_, heard_) + keep_alive_) {
    if (all_is_sent) {
      encode_empty(PacketType::pingreq, out_);
      ping_sent_ = now;
    } else {
      last_sent_ = heard_ = now;
    }
  }
}

void ClientProtocol::fail(const ProtocolError& error) {
  const std::string words =
      std::string("the broker sent what MQTT does not allow: ") + error.message + " (" + to_string(error.reason) + ")";
  if (!connected_) {
    end_as(LinkProblem::unreachable, "no connection (" + words + "): check whether that port is an MQTT broker's");
  } else {
    end_as(LinkProblem::lost, "the connection was ended because " + words);
  }
}

void ClientProtocol::end_as(LinkProblem problem, std::string detail) {
  if (!end_) end_ = LinkState{false, problem, std::move(detail)};
}

}  // namespace tidegate::mqtt
