#include "mqtt/packet_decoder.h"

#include <algorithm>
#include <array>

#include "mqtt/topic_filter.h"
#include "mqtt/wire.h"

namespace tidegate::mqtt {
namespace {

constexpr std::size_t kLengthBytesMax = 4;

tl::unexpected<ProtocolError> refuse(ReasonCode reason, const char* message) {
  return tl::unexpected<ProtocolError>(ProtocolError{reason, message});
}
tl::unexpected<ProtocolError> malformed(const char* message) { return refuse(ReasonCode::malformed_packet, message); }

bool is_v5(ProtocolVersion version) { return version == ProtocolVersion::v5; }

// The first four bits; QoS, DUP and RETAIN of a PUBLISH are its own business.
bool flags_hold(PacketType type, std::uint8_t flags) {
  switch (type) {
    case PacketType::publish:
      return true;
    case PacketType::pubrel:
    case PacketType::subscribe:
    case PacketType::unsubscribe:
      return flags == 2;
    default:
      return flags == 0;
  }
}

// A body was read through: the result, or what was wrong with it.
template <class T>
Decoded<T> finish(const WireReader& reader, T packet) {
  if (!reader.ok()) return malformed(reader.problem());
  if (!reader.at_end()) return malformed("the packet goes on behind its last field");
  return packet;
}

std::uint16_t read_packet_id(WireReader& reader) {
  const std::uint16_t id = reader.two_bytes();
  if (id == 0) reader.fail("the packet identifier is 0");
  return id;
}

constexpr std::uint8_t kUserName = 0x80;
constexpr std::uint8_t kPassword = 0x40;
constexpr std::uint8_t kWillRetain = 0x20;
constexpr std::uint8_t kWillFlag = 0x04;
constexpr std::uint8_t kCleanStart = 0x02;

const char* problem_of_connect_flags(std::uint8_t flags, ProtocolVersion version) {
  const unsigned will_qos = flags >> 3U & 3U;
  if ((flags & 1U) != 0) return "a reserved connect flag is set";
  if (will_qos == 3) return "the will's QoS is 3";
  if ((flags & kWillFlag) == 0 && (will_qos != 0 || (flags & kWillRetain) != 0))
    return "flags of a will without a will";
  if (!is_v5(version) && (flags & kUserName) == 0 && (flags & kPassword) != 0) return "a password without a user name";
  return nullptr;
}

Will read_will(WireReader& reader, std::uint8_t flags, ProtocolVersion version) {
  Will will;
  will.qos = static_cast<std::uint8_t>(flags >> 3U & 3U);
  will.retain = (flags & kWillRetain) != 0;
  if (is_v5(version)) will.properties = read_properties(reader, PropertyPlace::will);
  will.topic = reader.text();
  will.payload = reader.binary();
  if (reader.ok() && !is_topic_name(will.topic)) reader.fail("the will's topic is empty or has a wildcard");
  return will;
}

// Reason codes that an acknowledgement may carry: 2.4, by packet.
bool is_ack_reason(PacketType type, std::uint8_t code) {
  const auto reason = static_cast<ReasonCode>(code);
  if (type == PacketType::pubrel || type == PacketType::pubcomp) {
    return reason == ReasonCode::success || reason == ReasonCode::packet_identifier_not_found;
  }
  switch (reason) {
    case ReasonCode::success:
    case ReasonCode::no_matching_subscribers:
    case ReasonCode::unspecified_error:
    case ReasonCode::implementation_specific_error:
    case ReasonCode::not_authorized:
    case ReasonCode::topic_name_invalid:
    case ReasonCode::packet_identifier_in_use:
    case ReasonCode::quota_exceeded:
    case ReasonCode::payload_format_invalid:
      return true;
    default:
      return false;
  }
}

// Section 3.9.3. What is no QoS and no refusal must not pass as granted; a refusal that is not known is one all the
// same.
bool is_suback_reason(ReasonCode reason) { return reason <= ReasonCode::granted_qos_2 || is_failure(reason); }

SubscribeEntry read_entry(WireReader& reader, ProtocolVersion version) {
  SubscribeEntry entry;
  entry.filter = reader.text();
  const std::uint8_t options = reader.byte();
  entry.qos = options & 3U;
  if (entry.qos == 3) reader.fail("a subscription's QoS is 3");
  if (is_v5(version)) {
    entry.no_local = (options & 4U) != 0;
    entry.retain_as_published = (options & 8U) != 0;
    entry.retain_handling = options >> 4U & 3U;
    if (entry.retain_handling == 3 || (options & 0xc0U) != 0) reader.fail("options of a subscription are not known");
  } else if ((options & 0xfcU) != 0) {
    reader.fail("reserved bits of a subscription are set");
  }
  return entry;
}

// The fixed header: the body is what of it is there.
Decoded<std::optional<RawPacket>> read_fixed_header(std::string_view input) {
  if (input.empty()) return std::nullopt;
  const auto first = static_cast<std::uint8_t>(input[0]);
  RawPacket packet;
  packet.type = static_cast<PacketType>(first >> 4U);
  packet.flags = first & 15U;
  if (first >> 4U == 0) return malformed("a packet of type 0");
  if (!flags_hold(packet.type, packet.flags))
    return malformed("the flags of the fixed header are not those of its type");
  std::size_t length = 0;
  std::size_t at = 1;
  for (unsigned shift = 0;; shift += 7, ++at) {
    if (at > kLengthBytesMax) return malformed("the remaining length has more than four bytes");
    if (at >= input.size()) return std::nullopt;
    const auto part = static_cast<std::uint8_t>(input[at]);
    length |= static_cast<std::size_t>(part & 0x7fU) << shift;
    if (part >= 0x80) continue;
    if (part == 0 && shift > 0) return malformed("the remaining length is longer than it has to be");
    ++at;
    break;
  }
  packet.bytes = at + length;
  packet.body = input.substr(at, length);
  return packet;
}

}  // namespace

Decoded<std::optional<RawPacket>> cut_packet(std::string_view input, std::size_t bytes_max) {
  auto packet = read_fixed_header(input);
  if (!packet || !*packet) return packet;
  if ((*packet)->bytes > bytes_max) return refuse(ReasonCode::packet_too_large, "the packet is larger than is allowed");
  if ((*packet)->bytes > input.size()) return std::nullopt;
  return packet;
}

Decoded<std::optional<PublishHead>> peek_publish(std::string_view input) {
  const auto packet = read_fixed_header(input);
  if (!packet) return tl::unexpected(packet.error());
  if (!*packet) return std::nullopt;
  PublishHead head;
  head.bytes = (*packet)->bytes;
  head.qos = (*packet)->flags >> 1U & 3U;
  if (head.qos == 3) return malformed("the QoS is 3");
  const bool is_whole = head.bytes <= input.size();
  WireReader reader((*packet)->body);
  const std::size_t topic_bytes = reader.two_bytes();
  const std::size_t id_bytes = head.qos > 0 ? 2 : 0;
  if (!is_whole && (!reader.ok() || reader.left() < topic_bytes + id_bytes)) return std::nullopt;
  reader = WireReader((*packet)->body);
  head.topic = reader.text();
  if (head.qos > 0) head.packet_id = read_packet_id(reader);
  if (!reader.ok()) return malformed(reader.problem());
  return head;
}

Decoded<ConnectPacket> decode_connect(const RawPacket& packet) {
  WireReader reader(packet.body);
  ConnectPacket connect;
  const std::string_view protocol = reader.text();
  const std::uint8_t level = reader.byte();
  if (!reader.ok()) return malformed(reader.problem());
  if (protocol != "MQTT" || (level != 4 && level != 5)) {
    return refuse(ReasonCode::unsupported_protocol_version, "neither MQTT 3.1.1 nor MQTT 5");
  }
  connect.version = static_cast<ProtocolVersion>(level);
  const std::uint8_t flags = reader.byte();
  if (const char* problem = problem_of_connect_flags(flags, connect.version)) return malformed(problem);
  connect.clean_start = (flags & kCleanStart) != 0;
  connect.keep_alive_seconds = reader.two_bytes();
  if (is_v5(connect.version)) connect.properties = read_properties(reader, PropertyPlace::connect);
  connect.client_id = reader.text();
  if ((flags & kWillFlag) != 0) connect.will = read_will(reader, flags, connect.version);
  if ((flags & kUserName) != 0) connect.user_name = reader.text();
  if ((flags & kPassword) != 0) connect.password = reader.binary();
  return finish(reader, std::move(connect));
}

Decoded<ConnackPacket> decode_connack(const RawPacket& packet, ProtocolVersion version) {
  WireReader reader(packet.body);
  ConnackPacket connack;
  const std::uint8_t flags = reader.byte();
  const std::uint8_t code = reader.byte();
  if (flags > 1) reader.fail("reserved connect acknowledge flags are set");
  connack.session_present = flags == 1;
  connack.reason = is_v5(version) ? static_cast<ReasonCode>(code) : connack_reason_of_v3(code);
  if (is_v5(version)) connack.properties = read_properties(reader, PropertyPlace::connack);
  return finish(reader, std::move(connack));
}

Decoded<ConnackPacket> decode_answer(const RawPacket& packet, ProtocolVersion version) {
  const bool is_of_v3 = packet.body.size() == 2;
  auto connack = decode_connack(packet, is_of_v3 ? ProtocolVersion::v3_1_1 : version);
  // Some that know version 5 leave the properties out where they refuse; 3.1.1 has no such codes.
  const auto code = is_of_v3 ? static_cast<ReasonCode>(packet.body[1]) : ReasonCode::success;
  if (connack && is_v5(version) && is_failure(code)) connack->reason = code;
  if (!connack || !is_of_v3 || !is_v5(version) || is_failure(connack->reason)) return connack;
  return malformed("a CONNACK of another version");
}

Decoded<PublishPacket> decode_publish(const RawPacket& packet, ProtocolVersion version) {
  WireReader reader(packet.body);
  PublishPacket publish;
  publish.qos = packet.flags >> 1U & 3U;
  publish.duplicate = (packet.flags & 8U) != 0;
  publish.retain = (packet.flags & 1U) != 0;
  if (publish.qos == 3) return malformed("the QoS is 3");
  if (publish.qos == 0 && publish.duplicate) return malformed("DUP is set with QoS 0");
  publish.topic = reader.text();
  if (publish.qos > 0) publish.packet_id = read_packet_id(reader);
  if (is_v5(version)) publish.properties = read_properties(reader, PropertyPlace::publish);
  publish.payload = reader.rest();
  if (!reader.ok()) return malformed(reader.problem());
  const bool has_alias = publish.properties.has(PropertyId::topic_alias);
  if (publish.topic.empty() && has_alias) return publish;
  if (!is_topic_name(publish.topic)) {
    return refuse(is_v5(version) && publish.topic.empty() ? ReasonCode::protocol_error : ReasonCode::topic_name_invalid,
                  "the topic is empty or has a wildcard");
  }
  return publish;
}

Decoded<AckPacket> decode_ack(const RawPacket& packet, ProtocolVersion version) {
  WireReader reader(packet.body);
  AckPacket ack;
  ack.packet_id = read_packet_id(reader);
  if (is_v5(version) && !reader.at_end()) {
    const std::uint8_t code = reader.byte();
    if (!is_ack_reason(packet.type, code)) reader.fail("the reason code is none of this packet");
    ack.reason = static_cast<ReasonCode>(code);
    if (!reader.at_end()) ack.properties = read_properties(reader, PropertyPlace::ack);
  }
  return finish(reader, std::move(ack));
}

Decoded<SubscribePacket> decode_subscribe(const RawPacket& packet, ProtocolVersion version) {
  WireReader reader(packet.body);
  SubscribePacket subscribe;
  subscribe.packet_id = read_packet_id(reader);
  if (is_v5(version)) subscribe.properties = read_properties(reader, PropertyPlace::subscribe);
  while (reader.ok() && !reader.at_end()) subscribe.entries.push_back(read_entry(reader, version));
  if (reader.ok() && subscribe.entries.empty())
    return refuse(ReasonCode::protocol_error, "a SUBSCRIBE without a filter");
  return finish(reader, std::move(subscribe));
}

Decoded<UnsubscribePacket> decode_unsubscribe(const RawPacket& packet, ProtocolVersion version) {
  WireReader reader(packet.body);
  UnsubscribePacket unsubscribe;
  unsubscribe.packet_id = read_packet_id(reader);
  if (is_v5(version)) unsubscribe.properties = read_properties(reader, PropertyPlace::unsubscribe);
  while (reader.ok() && !reader.at_end()) unsubscribe.filters.push_back(reader.text());
  if (reader.ok() && unsubscribe.filters.empty()) {
    return refuse(ReasonCode::protocol_error, "an UNSUBSCRIBE without a filter");
  }
  return finish(reader, std::move(unsubscribe));
}

Decoded<SubackPacket> decode_suback(const RawPacket& packet, ProtocolVersion version) {
  WireReader reader(packet.body);
  SubackPacket suback;
  suback.packet_id = read_packet_id(reader);
  if (is_v5(version)) suback.properties = read_properties(reader, PropertyPlace::suback);
  for (const char code : reader.rest()) suback.reasons.push_back(static_cast<ReasonCode>(code));
  const bool is_suback = packet.type == PacketType::suback;
  if (is_suback && !std::all_of(suback.reasons.begin(), suback.reasons.end(), is_suback_reason)) {
    reader.fail("a code of the SUBACK is neither a QoS nor a refusal");
  }
  return finish(reader, std::move(suback));
}

Decoded<DisconnectPacket> decode_disconnect(const RawPacket& packet, ProtocolVersion version) {
  WireReader reader(packet.body);
  DisconnectPacket disconnect;
  if (is_v5(version) && !reader.at_end()) {
    disconnect.reason = static_cast<ReasonCode>(reader.byte());
    if (!reader.at_end()) disconnect.properties = read_properties(reader, PropertyPlace::disconnect);
  }
  return finish(reader, std::move(disconnect));
}

Decoded<void> decode_empty(const RawPacket& packet) {
  if (!packet.body.empty()) return malformed("a packet has a body that has none");
  return {};
}

}  // namespace tidegate::mqtt
