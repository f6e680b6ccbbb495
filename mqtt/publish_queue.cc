#include "mqtt/publish_queue.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/text.h"
#include "mqtt/packet_encoder.h"

namespace tidegate::mqtt {
namespace {

// Publishes that wait for an acknowledgement: brokers bound them too.
constexpr std::size_t kOpenMax = 1000;
// Topics come from a configuration, a few of them; whoever makes more says them in full.
constexpr std::size_t kAliasesMax = 64;
// Below that is the id of the SUBSCRIBE.
constexpr std::uint16_t kPacketIdFirst = 2;
constexpr std::size_t kReasonBytesShown = 300;

}  // namespace

void PublishQueue::set_limits(const BrokerLimits& limits) { limits_ = limits; }

void PublishQueue::add(std::optional<InFlight::Number> number, Publication publication) {
  waiting_.push_back({number, std::move(publication)});
}

void PublishQueue::send(std::string& out, std::size_t bytes_ahead) {
  const std::size_t open_max = std::min(kOpenMax, limits_.unacknowledged_max);
  while (!waiting_.empty() && out.size() < bytes_ahead) {
    if (waiting_.front().publication.qos > 0 && open_.size() >= open_max) return;
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    send(next, out);
  }
}

void PublishQueue::send(const Waiting& next, std::string& out) {
  const Publication& publication = next.publication;
  PublishPacket packet;
  packet.topic = publication.topic;
  packet.payload = publication.payload;
  packet.qos = publication.qos > 0 ? 1 : 0;
  const MessageProperties& said = publication.properties;
  const std::vector<UserProperty> user(said.user.begin(), said.user.end());
  packet.properties.set_user(user);
  if (!said.content_type.empty()) packet.properties.set(PropertyId::content_type, said.content_type);
  if (said.is_text) packet.properties.set(PropertyId::payload_format_indicator, 1);
  TopicAlias* const alias = alias_of(publication.topic);
  if (alias != nullptr) packet.properties.set(PropertyId::topic_alias, alias->number);
  if (alias != nullptr && alias->is_known) packet.topic = {};
  const std::size_t bytes = encoded_bytes(packet, version_);
  if (bytes > limits_.packet_bytes_max) {
    return refuse(next.number, {ReasonCode::packet_too_large, {}, bytes, limits_.packet_bytes_max});
  }
  if (packet.qos > 0) {
    assert(next.number);
    packet.packet_id = next_packet_id();
    open_.emplace(packet.packet_id, Open{*next.number, alias});
  } else if (next.number) {
    unsent_.push_back(*next.number);
  }
  encode(packet, version_, out);
}

// Null where the topic is to be said in full. With an alias it is, too, until a publish that had both is acknowledged:
// one that is refused, for a quota or for its rights, may leave the broker without the alias, and a publish behind it
// that has nothing else ends the connection.
PublishQueue::TopicAlias* PublishQueue::alias_of(const std::string& topic) {
  const auto found = aliases_.find(topic);
  if (found != aliases_.end()) return &found->second;
  if (aliases_.size() >= std::min(kAliasesMax, limits_.topic_aliases_max)) return nullptr;
  const auto number = static_cast<std::uint16_t>(aliases_.size() + 1);
  return &aliases_.emplace(topic, TopicAlias{number}).first->second;
}

void PublishQueue::note_sent() {
  for (const InFlight::Number number : std::exchange(unsent_, {})) events_.on_published(number, true);
}

void PublishQueue::take(const AckPacket& puback) {
  const auto found = open_.find(puback.packet_id);
  if (found == open_.end()) return;
  const Open acknowledged = found->second;
  open_.erase(found);
  if (!is_failure(puback.reason)) {
    if (acknowledged.alias != nullptr) acknowledged.alias->is_known = true;
    return events_.on_published(acknowledged.number, true);
  }
  // Whether the broker has kept the alias of what it refused, it does not say.
  for (auto& [topic, alias] : aliases_) alias.is_known = false;
  refuse(acknowledged.number,
         {puback.reason, clip(puback.properties.text(PropertyId::reason_string), kReasonBytesShown)});
}

void PublishQueue::refuse(std::optional<InFlight::Number> number, const PublishRefusal& refusal) {
  if (number) events_.on_refused(*number, refusal);
}

// There are far more of them than may be open.
std::uint16_t PublishQueue::next_packet_id() {
  do {
    packet_id_ = packet_id_ < kPacketIdFirst || packet_id_ == 65'535 ? kPacketIdFirst
                                                                     : static_cast<std::uint16_t>(packet_id_ + 1);
  } while (open_.contains(packet_id_));
  return packet_id_;
}

}  // namespace tidegate::mqtt
