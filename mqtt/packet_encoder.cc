#include "mqtt/packet_encoder.h"

#include "mqtt/wire.h"

namespace tidegate::mqtt {
namespace {

bool is_v5(ProtocolVersion version) { return version == ProtocolVersion::v5; }

// Begins a packet whose body will have so many bytes.
WireWriter begin(PacketType type, unsigned flags, std::size_t body_bytes, std::string& out) {
  WireWriter writer(out);
  writer.byte(static_cast<std::uint8_t>(static_cast<unsigned>(type) << 4U | flags));
  writer.variable(static_cast<std::uint32_t>(body_bytes));
  return writer;
}

std::size_t properties_bytes(const Properties& properties, ProtocolVersion version) {
  return is_v5(version) ? properties_bytes(properties) : 0;
}

void write(WireWriter& writer, const Properties& properties, ProtocolVersion version) {
  if (is_v5(version)) write_properties(writer, properties);
}

unsigned connect_flags(const ConnectPacket& packet) {
  unsigned flags = packet.clean_start ? 0x02U : 0U;
  if (packet.will) flags |= 0x04U | unsigned{packet.will->qos} << 3U | (packet.will->retain ? 0x20U : 0U);
  if (packet.password) flags |= 0x40U;
  if (packet.user_name) flags |= 0x80U;
  return flags;
}

std::size_t body_bytes(const PublishPacket& packet, ProtocolVersion version) {
  const std::size_t id_bytes = packet.qos > 0 ? 2 : 0;
  return 2 + packet.topic.size() + id_bytes + properties_bytes(packet.properties, version) + packet.payload.size();
}

std::uint8_t suback_code(ReasonCode reason, ProtocolVersion version) {
  return !is_v5(version) && is_failure(reason) ? std::uint8_t{0x80} : static_cast<std::uint8_t>(reason);
}

}  // namespace

void encode(const ConnectPacket& packet, std::string& out) {
  const auto version = packet.version;
  std::size_t bytes = 10 + properties_bytes(packet.properties, version) + 2 + packet.client_id.size();
  if (packet.will) {
    bytes += properties_bytes(packet.will->properties, version) + 4 + packet.will->topic.size() +
             packet.will->payload.size();
  }
  if (packet.user_name) bytes += 2 + packet.user_name->size();
  if (packet.password) bytes += 2 + packet.password->size();
  WireWriter writer = begin(PacketType::connect, 0, bytes, out);
  writer.binary("MQTT");
  writer.byte(static_cast<std::uint8_t>(version));
  writer.byte(static_cast<std::uint8_t>(connect_flags(packet)));
  writer.two_bytes(packet.keep_alive_seconds);
  write(writer, packet.properties, version);
  writer.binary(packet.client_id);
  if (packet.will) {
    write(writer, packet.will->properties, version);
    writer.binary(packet.will->topic);
    writer.binary(packet.will->payload);
  }
  if (packet.user_name) writer.binary(*packet.user_name);
  if (packet.password) writer.binary(*packet.password);
}

void encode(const ConnackPacket& packet, ProtocolVersion version, std::string& out) {
  WireWriter writer = begin(PacketType::connack, 0, 2 + properties_bytes(packet.properties, version), out);
  writer.byte(packet.session_present ? 1 : 0);
  writer.byte(is_v5(version) ? static_cast<std::uint8_t>(packet.reason) : connack_code_v3(packet.reason));
  write(writer, packet.properties, version);
}

void encode(const PublishPacket& packet, ProtocolVersion version, std::string& out) {
  const unsigned flags =
      (packet.duplicate ? 8U : 0U) | static_cast<unsigned>(packet.qos) << 1U | (packet.retain ? 1U : 0U);
  WireWriter writer = begin(PacketType::publish, flags, body_bytes(packet, version), out);
  writer.binary(packet.topic);
  if (packet.qos > 0) writer.two_bytes(packet.packet_id);
  write(writer, packet.properties, version);
  writer.bytes(packet.payload);
}

std::size_t encoded_bytes(const PublishPacket& packet, ProtocolVersion version) {
  const std::size_t body = body_bytes(packet, version);
  return 1 + variable_bytes(static_cast<std::uint32_t>(body)) + body;
}

// The short forms of section 3.4.2.1: no reason code means success, no property length means no properties.
void encode(PacketType type, const AckPacket& packet, ProtocolVersion version, std::string& out) {
  const unsigned flags = type == PacketType::pubrel ? 2 : 0;
  const bool has_properties = is_v5(version) && !packet.properties.empty();
  const bool has_reason = is_v5(version) && (has_properties || packet.reason != ReasonCode::success);
  const std::size_t bytes = 2 + (has_reason ? 1 : 0) + (has_properties ? properties_bytes(packet.properties) : 0);
  WireWriter writer = begin(type, flags, bytes, out);
  writer.two_bytes(packet.packet_id);
  if (has_reason) writer.byte(static_cast<std::uint8_t>(packet.reason));
  if (has_properties) write_properties(writer, packet.properties);
}

void encode(const SubscribePacket& packet, ProtocolVersion version, std::string& out) {
  std::size_t bytes = 2 + properties_bytes(packet.properties, version);
  for (const SubscribeEntry& entry : packet.entries) bytes += 3 + entry.filter.size();
  WireWriter writer = begin(PacketType::subscribe, 2, bytes, out);
  writer.two_bytes(packet.packet_id);
  write(writer, packet.properties, version);
  for (const SubscribeEntry& entry : packet.entries) {
    writer.binary(entry.filter);
    unsigned options = entry.qos;
    if (is_v5(version)) {
      options |= (entry.no_local ? 4U : 0U) | (entry.retain_as_published ? 8U : 0U) |
                 static_cast<unsigned>(entry.retain_handling) << 4U;
    }
    writer.byte(static_cast<std::uint8_t>(options));
  }
}

void encode(const UnsubscribePacket& packet, ProtocolVersion version, std::string& out) {
  std::size_t bytes = 2 + properties_bytes(packet.properties, version);
  for (const std::string_view filter : packet.filters) bytes += 2 + filter.size();
  WireWriter writer = begin(PacketType::unsubscribe, 2, bytes, out);
  writer.two_bytes(packet.packet_id);
  write(writer, packet.properties, version);
  for (const std::string_view filter : packet.filters) writer.binary(filter);
}

void encode(PacketType type, const SubackPacket& packet, ProtocolVersion version, std::string& out) {
  const bool has_reasons = is_v5(version) || type == PacketType::suback;
  const std::size_t bytes =
      2 + properties_bytes(packet.properties, version) + (has_reasons ? packet.reasons.size() : 0);
  WireWriter writer = begin(type, 0, bytes, out);
  writer.two_bytes(packet.packet_id);
  write(writer, packet.properties, version);
  if (!has_reasons) return;
  for (const ReasonCode reason : packet.reasons) writer.byte(suback_code(reason, version));
}

void encode(const DisconnectPacket& packet, ProtocolVersion version, std::string& out) {
  const bool has_properties = is_v5(version) && !packet.properties.empty();
  const bool has_reason = is_v5(version) && (has_properties || packet.reason != ReasonCode::success);
  const std::size_t bytes = (has_reason ? 1 : 0) + (has_properties ? properties_bytes(packet.properties) : 0);
  WireWriter writer = begin(PacketType::disconnect, 0, bytes, out);
  if (has_reason) writer.byte(static_cast<std::uint8_t>(packet.reason));
  if (has_properties) write_properties(writer, packet.properties);
}

void encode_empty(PacketType type, std::string& out) { begin(type, 0, 0, out); }

}  // namespace tidegate::mqtt
