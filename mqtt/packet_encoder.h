#pragma once

#include <string>

#include "mqtt/packet.h"

namespace tidegate::mqtt {

// Each appends one packet to `out`. In 3.1.1, properties and reason codes are left out. Texts are at most 65,535 bytes,
// the rest is bounded by the 256 MiB of a packet; the caller sees to both.

void encode(const ConnectPacket& packet, std::string& out);
void encode(const ConnackPacket& packet, ProtocolVersion version, std::string& out);
void encode(const PublishPacket& packet, ProtocolVersion version, std::string& out);
/// What encode() appends of it.
std::size_t encoded_bytes(const PublishPacket& packet, ProtocolVersion version);
/// `type` is PUBACK, PUBREC, PUBREL or PUBCOMP.
void encode(PacketType type, const AckPacket& packet, ProtocolVersion version, std::string& out);
void encode(const SubscribePacket& packet, ProtocolVersion version, std::string& out);
void encode(const UnsubscribePacket& packet, ProtocolVersion version, std::string& out);
/// `type` is SUBACK or UNSUBACK.
void encode(PacketType type, const SubackPacket& packet, ProtocolVersion version, std::string& out);
void encode(const DisconnectPacket& packet, ProtocolVersion version, std::string& out);
/// PINGREQ, PINGRESP.
void encode_empty(PacketType type, std::string& out);

}  // namespace tidegate::mqtt
