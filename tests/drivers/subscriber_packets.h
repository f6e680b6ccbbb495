#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mqtt/packet_encoder.h"

namespace tidegate::drivers {

/// What a broker says, byte by byte.
class BrokerPackets {
 public:
  explicit BrokerPackets(mqtt::ProtocolVersion version) : version_(version) {}

  std::string connack(mqtt::ReasonCode reason = mqtt::ReasonCode::success, mqtt::Properties properties = {}) const {
    std::string bytes;
    mqtt::encode(mqtt::ConnackPacket{false, reason, std::move(properties)}, version_, bytes);
    return bytes;
  }
  std::string suback(std::vector<mqtt::ReasonCode> reasons = {mqtt::ReasonCode::granted_qos_1}) const {
    std::string bytes;
    mqtt::encode(mqtt::PacketType::suback, mqtt::SubackPacket{1, std::move(reasons), {}}, version_, bytes);
    return bytes;
  }
  std::string publish(std::uint16_t id, const std::string& payload, std::uint8_t qos = 1, bool retain = false,
                      const std::string& topic = "plant/d/t") const {
    mqtt::PublishPacket packet;
    packet.topic = topic;
    packet.payload = payload;
    packet.qos = qos;
    packet.packet_id = qos == 0 ? std::uint16_t{0} : id;
    packet.retain = retain;
    std::string bytes;
    mqtt::encode(packet, version_, bytes);
    return bytes;
  }
  std::string disconnect(mqtt::ReasonCode reason) const {
    std::string bytes;
    mqtt::encode(mqtt::DisconnectPacket{reason, {}}, version_, bytes);
    return bytes;
  }
  static std::string pingresp() { return "\xd0" + std::string(1, '\0'); }
  static std::string pingreq() { return "\xc0" + std::string(1, '\0'); }
  static std::string number(int value) { return "{\"v\":" + std::to_string(value) + "}"; }

  /// An acknowledgement as the gateway has to send it.
  std::string ack(std::uint16_t id, mqtt::PacketType type = mqtt::PacketType::puback) const {
    std::string bytes;
    mqtt::encode(type, mqtt::AckPacket{id, mqtt::ReasonCode::success, {}}, version_, bytes);
    return bytes;
  }

 private:
  mqtt::ProtocolVersion version_;
};

}  // namespace tidegate::drivers
