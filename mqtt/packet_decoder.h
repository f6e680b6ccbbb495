#pragma once

#include <optional>
#include <string_view>
#include <tl/expected.hpp>

#include "mqtt/packet.h"

namespace tidegate::mqtt {

/// Why a connection ends: the code that MQTT 5 gives it, and words for the log.
struct ProtocolError {
  ReasonCode reason = ReasonCode::malformed_packet;
  const char* message = "";
};

template <class T>
using Decoded = tl::expected<T, ProtocolError>;

/// One packet as it stands in the input: its fixed header is checked, its body is not.
struct RawPacket {
  PacketType type = PacketType::connect;
  std::uint8_t flags = 0;
  std::string_view body;
  std::size_t bytes = 0;  // with the fixed header
};

/// The packet that `input` begins with; nothing while it is not all there. A packet over `bytes_max` is refused as soon
/// as its length is known, so that nobody needs room for it. Flags other than PUBLISH's are checked here.
Decoded<std::optional<RawPacket>> cut_packet(std::string_view input, std::size_t bytes_max);

/// How a PUBLISH begins that is too large to be waited for.
struct PublishHead {
  std::string_view topic;
  std::uint16_t packet_id = 0;  // 0 with QoS 0
  std::uint8_t qos = 0;
  std::size_t bytes = 0;  // of the packet, with its fixed header
};

/// The head of the PUBLISH that `input` begins with; nothing while that much is not there. Only the topic is checked.
Decoded<std::optional<PublishHead>> peek_publish(std::string_view input);

// The bodies. Every length is checked before it is used, nothing may follow the last field, and what the result points
// to is part of the packet. Sections of the specification stand at the functions.

/// A CONNECT of another version than 3.1.1 and 5 is refused with unsupported_protocol_version.
Decoded<ConnectPacket> decode_connect(const RawPacket& packet);
Decoded<ConnackPacket> decode_connack(const RawPacket& packet, ProtocolVersion version);
/// The answer to a CONNECT of that version: who knows no MQTT 5 refuses it in the two bytes of 3.1.1.
Decoded<ConnackPacket> decode_answer(const RawPacket& packet, ProtocolVersion version);
Decoded<PublishPacket> decode_publish(const RawPacket& packet, ProtocolVersion version);
Decoded<AckPacket> decode_ack(const RawPacket& packet, ProtocolVersion version);
Decoded<SubscribePacket> decode_subscribe(const RawPacket& packet, ProtocolVersion version);
Decoded<UnsubscribePacket> decode_unsubscribe(const RawPacket& packet, ProtocolVersion version);
Decoded<SubackPacket> decode_suback(const RawPacket& packet, ProtocolVersion version);
Decoded<DisconnectPacket> decode_disconnect(const RawPacket& packet, ProtocolVersion version);
/// PINGREQ, PINGRESP.
Decoded<void> decode_empty(const RawPacket& packet);

}  // namespace tidegate::mqtt
