#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mqtt/packet_properties.h"
#include "mqtt/protocol_version.h"
#include "mqtt/reason_code.h"

namespace tidegate::mqtt {

enum class PacketType : std::uint8_t {
  connect = 1,
  connack = 2,
  publish = 3,
  puback = 4,
  pubrec = 5,
  pubrel = 6,
  pubcomp = 7,
  subscribe = 8,
  suback = 9,
  unsubscribe = 10,
  unsuback = 11,
  pingreq = 12,
  pingresp = 13,
  disconnect = 14,
  auth = 15,
};

// The packets of MQTT 3.1.1 and 5 as both sides of a connection need them. Texts point into what was decoded; where a
// packet is encoded, into what the caller owns. Properties are those of version 5 and empty in 3.1.1.

struct Will {
  std::string_view topic;
  std::string_view payload;
  std::uint8_t qos = 0;
  bool retain = false;
  Properties properties;
};

struct ConnectPacket {
  ProtocolVersion version = ProtocolVersion::v3_1_1;
  bool clean_start = false;
  std::uint16_t keep_alive_seconds = 0;
  std::string_view client_id;
  std::optional<std::string_view> user_name;
  std::optional<std::string_view> password;
  std::optional<Will> will;
  Properties properties;
};

struct ConnackPacket {
  bool session_present = false;
  ReasonCode reason = ReasonCode::success;  // of 3.1.1 as the code of 5 that means the same
  Properties properties;
};

struct PublishPacket {
  std::string_view topic;  // may be empty in version 5, with a topic alias
  std::string_view payload;
  std::uint16_t packet_id = 0;  // 0 with QoS 0
  std::uint8_t qos = 0;
  bool duplicate = false;
  bool retain = false;
  Properties properties;
};

/// PUBACK, PUBREC, PUBREL and PUBCOMP.
struct AckPacket {
  std::uint16_t packet_id = 0;
  ReasonCode reason = ReasonCode::success;
  Properties properties;
};

struct SubscribeEntry {
  std::string_view filter;
  std::uint8_t qos = 0;
  bool no_local = false;
  bool retain_as_published = false;
  std::uint8_t retain_handling = 0;  // 0: send retained messages, 1: only when the subscription is new, 2: never
};

struct SubscribePacket {
  std::uint16_t packet_id = 0;
  std::vector<SubscribeEntry> entries;
  Properties properties;
};

struct UnsubscribePacket {
  std::uint16_t packet_id = 0;
  std::vector<std::string_view> filters;
  Properties properties;
};

/// SUBACK and UNSUBACK: a code for each entry; an UNSUBACK of 3.1.1 has none.
struct SubackPacket {
  std::uint16_t packet_id = 0;
  std::vector<ReasonCode> reasons;
  Properties properties;
};

struct DisconnectPacket {
  ReasonCode reason = ReasonCode::success;
  Properties properties;
};

}  // namespace tidegate::mqtt
