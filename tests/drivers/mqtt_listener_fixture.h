#pragma once

#include <gmock/gmock.h>

#include <cstdint>
#include <string>

#include "mqtt/packet_encoder.h"
#include "tests/drivers/listener_rig.h"
#include "tests/drivers/raw_client.h"

namespace tidegate::drivers {

using mqtt::ProtocolVersion;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

/// A listener on a real port, with clients that say what a test wants, byte by byte.
class MqttListenerTest : public ListenerRig {
 protected:
  static std::string connect(const std::string& id, ProtocolVersion version = ProtocolVersion::v5,
                             std::uint16_t keep_alive = 60) {
    mqtt::ConnectPacket packet;
    packet.version = version;
    packet.clean_start = true;
    packet.client_id = id;
    packet.keep_alive_seconds = keep_alive;
    std::string bytes;
    mqtt::encode(packet, bytes);
    return bytes;
  }
  static std::string publish(std::uint16_t id, const std::string& payload,
                             ProtocolVersion version = ProtocolVersion::v5, const std::string& topic = "plant/d/t") {
    mqtt::PublishPacket packet;
    packet.topic = topic;
    packet.payload = payload;
    packet.qos = 1;
    packet.packet_id = id;
    std::string bytes;
    mqtt::encode(packet, version, bytes);
    return bytes;
  }
  static std::string number(int value) { return "{\"v\":" + std::to_string(value) + "}"; }
  bool is_connected(RawClient& client) {
    return turn_until([&] { return client.received().size() >= 4; });
  }
};

}  // namespace tidegate::drivers
