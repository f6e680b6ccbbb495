#include "tests/fuzz/message_seeds.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mqtt/packet_encoder.h"
#include "mqtt/sparkplug_payload.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::fuzz {
namespace {

using mqtt::PacketType;
using mqtt::PropertyId;
using mqtt::ProtocolVersion;
using mqtt::ReasonCode;

std::string connect(ProtocolVersion version, bool will) {
  mqtt::ConnectPacket packet;
  packet.version = version;
  packet.client_id = "sensor";
  packet.keep_alive_seconds = 60;
  packet.user_name = "anna";
  packet.password = "secret";
  if (version == ProtocolVersion::v5) packet.properties.set(PropertyId::session_expiry_interval, 3600);
  if (will) packet.will = mqtt::Will{"a/will", "gone", 1, false, {}};
  std::string bytes;
  mqtt::encode(packet, bytes);
  return bytes;
}

std::string publish(ProtocolVersion version, std::uint8_t qos, std::uint16_t id) {
  mqtt::PublishPacket packet;
  packet.topic = "a/speed";
  packet.payload = "21.5";
  packet.qos = qos;
  packet.packet_id = id;
  if (version == ProtocolVersion::v5) packet.properties.set(PropertyId::topic_alias, 1);
  std::string bytes;
  mqtt::encode(packet, version, bytes);
  return bytes;
}

std::string ack(ProtocolVersion version, PacketType type, std::uint16_t id) {
  std::string bytes;
  mqtt::encode(type, mqtt::AckPacket{id, ReasonCode::success, {}}, version, bytes);
  return bytes;
}

std::string subscribe(ProtocolVersion version) {
  std::string bytes;
  mqtt::encode(mqtt::SubscribePacket{9, {{"a/+/#", 1}, {"b", 0}}, {}}, version, bytes);
  mqtt::encode(mqtt::UnsubscribePacket{10, {"a/+/#"}, {}}, version, bytes);
  mqtt::encode_empty(PacketType::pingreq, bytes);
  return bytes;
}

// All that a client does, with QoS 2 again before and behind its PUBREL.
std::string whole_life(ProtocolVersion version) {
  std::string bytes = connect(version, false);
  for (const unsigned qos : {0U, 1U, 2U, 2U}) {
    bytes += publish(version, static_cast<std::uint8_t>(qos), static_cast<std::uint16_t>(qos));
  }
  bytes += subscribe(version);
  bytes += ack(version, PacketType::pubrel, 2) + publish(version, 2, 2) + ack(version, PacketType::pubrel, 7);
  mqtt::encode(mqtt::DisconnectPacket{ReasonCode::disconnect_with_will, {}}, version, bytes);
  return bytes;
}

// A panel that subscribes, acknowledges, comes to the same session again and ends its subscriptions.
std::string watching_life(ProtocolVersion version) {
  mqtt::ConnectPacket panel;
  panel.version = version;
  panel.client_id = "panel";
  if (version == ProtocolVersion::v5) {
    panel.properties.set(PropertyId::session_expiry_interval, 3600);
    panel.properties.set(PropertyId::receive_maximum, 3);
    panel.properties.set(PropertyId::maximum_packet_size, 100);
  }
  std::string bytes;
  mqtt::encode(panel, bytes);
  mqtt::encode(mqtt::SubscribePacket{1, {{"a/#", 1}, {"a/+", 2}, {"$share/g/a/#", 0}, {"a/x", 0}}, {}}, version, bytes);
  for (const std::uint16_t id : {std::uint16_t{1}, std::uint16_t{2}}) {
    bytes += ack(version, PacketType::puback, id);
    mqtt::encode_empty(PacketType::pingreq, bytes);
  }
  mqtt::encode(mqtt::UnsubscribePacket{2, {"a/+", "a/none"}, {}}, version, bytes);
  return bytes;
}

void write_packets(const std::string& folder, ProtocolVersion version, const std::string& suffix) {
  const char turn = version == ProtocolVersion::v5 ? 3 : 2;
  const auto save = [&](const std::string& name, char kind, const std::string& bytes) {
    testing::write_file(folder + "/" + name + suffix, std::string{kind, turn} + bytes);
  };
  save("life", 0, whole_life(version));
  save("life-framed", 1, whole_life(version));  // lengths of less than 128 are one byte here too
  save("watch", 0, watching_life(version));
  save("connect", 2, connect(version, true));
  save("publish", 2, publish(version, 2, 7));
  save("subscribe", 2, subscribe(version));
  save("pubrel", 2, ack(version, PacketType::pubrel, 7));
}

void write_payloads(const std::string& folder) {
  const std::pair<const char*, std::string_view> seeds[]{
      {"value", R"({"value":21.5,"time":1760000000000})"},
      {"values", R"({"values":[1,-2],"a":{"b":{"/c~":18446744073709551615}},"time":1760000000000000000})"},
      {"members", R"({"a":true,"b":null,"c":"on","d":{"e":1},"time":"2025-10-09T08:53:20.5+02:00"})"},
      {"each",
       R"({"readings":[{"device":"d1","tag":"t","value":1e300,"time":1760000000},{"device":7,"tag":"u","value":"\u00e4"}]})"},
      {"deep-members", R"({"values":{"x":1,"y":[2],"z":"\ud83d\ude00"}})"},
      {"scalar", "-0.0"},
      {"number", " 1e-5 "},
      {"text", "on"},
      {"csv", "1760000000000, 21.5,\"a\"\"b\"\r\n"},
  };
  char choice = 0;
  for (const auto& [name, payload] : seeds) {
    testing::write_file(folder + "/" + name, std::string(1, choice++) + std::string(payload));
  }
  testing::write_file(folder + "/own-topic",
                      "\x87"
                      "x/y\n"
                      R"({"value":1})");
}

using mqtt::SparkplugMetric;
using mqtt::SparkplugType;
using mqtt::SparkplugValue;

SparkplugMetric metric(const std::string& name, std::uint64_t alias, SparkplugType type, SparkplugValue value) {
  SparkplugMetric made;
  if (!name.empty()) made.name = name;
  made.alias = alias;
  made.type = type;
  made.value = std::move(value);
  made.timestamp = 1'760'000'000'000;
  return made;
}

// A message as read_sparkplug() takes it; `kind` is its place in the topics there.
std::string sparkplug(char kind, std::uint64_t seq, std::vector<SparkplugMetric> metrics) {
  mqtt::SparkplugPayload payload;
  payload.timestamp = 1'760'000'000'000;
  payload.seq = seq;
  payload.metrics = std::move(metrics);
  const std::string bytes = mqtt::encode_sparkplug(payload);
  return std::string{kind, static_cast<char>(bytes.size())} + bytes;
}

void write_sparkplug(const std::string& folder) {
  const auto bd_seq = metric("bdSeq", 0, SparkplugType::int64, std::uint64_t{3});
  const std::string birth = sparkplug(0, 0,
                                      {bd_seq, metric("count", 1, SparkplugType::uint64, std::uint64_t{5}),
                                       metric("text", 2, SparkplugType::string, std::string("on"))});
  const std::string device = sparkplug(1, 1,
                                       {metric("speed", 3, SparkplugType::int16, std::uint32_t{0xfffe}),
                                        metric("level", 4, SparkplugType::float32, 0.5F),
                                        metric("set", 5, static_cast<SparkplugType>(16), SparkplugValue())});
  SparkplugMetric null = metric("", 3, SparkplugType::unknown, SparkplugValue());
  null.is_null = true;
  const std::string data =
      sparkplug(2, 2, {metric("", 1, SparkplugType::unknown, std::uint64_t{6})}) + sparkplug(3, 3, {null});
  testing::write_file(folder + "/life", birth + device + data + sparkplug(5, 4, {}) + sparkplug(4, 0, {bd_seq}));
  testing::write_file(folder + "/rebirth", birth + device + birth + device + data);
  testing::write_file(folder + "/gap", birth + data + device);
  testing::write_file(folder + "/no-birth", data);
  testing::write_file(folder + "/other-session",
                      birth + device + sparkplug(0, 0, {metric("bdSeq", 0, SparkplugType::int64, std::uint64_t{4})}));
}

}  // namespace

void write_message_seeds(const std::string& folder) {
  write_packets(folder + "/mqtt", ProtocolVersion::v3_1_1, "-3");
  write_packets(folder + "/mqtt", ProtocolVersion::v5, "-5");
  write_payloads(folder + "/payload");
  write_sparkplug(folder + "/sparkplug");
}

}  // namespace tidegate::fuzz
