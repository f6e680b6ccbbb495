#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/mqtt_listener/session.h"
#include "mqtt/packet_encoder.h"

namespace tidegate::drivers {

using mqtt::PacketType;
using mqtt::PropertyId;
using mqtt::ProtocolVersion;
using mqtt::ReasonCode;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Takes every message, remembers it, and refuses what it is told to.
class FakeHost final : public SessionHost {
 public:
  Admission admit(ListenerSession&, const mqtt::ConnectPacket& connect, const std::string& client_id) override {
    if (refuses_with != ReasonCode::success) return {refuses_with, nullptr, false};
    auto& state = states[client_id];
    const bool resumed = state != nullptr && !connect.clean_start;
    if (!resumed) state = std::make_shared<ClientState>();
    return {ReasonCode::success, state, resumed};
  }
  std::string make_client_id() override { return "made-1"; }
  bool may_publish(const ListenerSession&, std::string_view topic) override { return !topic.starts_with("secret"); }
  Taken take(const ListenerSession&, std::string_view topic, std::string_view payload, bool) override {
    if (payload == "garbage") return {ticket, ReasonCode::payload_format_invalid};
    taken.push_back(std::string(topic) + "=" + std::string(payload));
    return {++ticket, ReasonCode::success};
  }
  ReasonCode subscribe(ListenerSession& session, const mqtt::SubscribeEntry& entry) override {
    ++filters_read;
    if (latest == nullptr || entry.filter.starts_with("secret")) return ReasonCode::not_authorized;
    return session.watch(*latest).subscribe(entry);
  }
  void note_unread_filters(const ListenerSession&, std::size_t count) override { filters_unread += count; }

  ReasonCode refuses_with = ReasonCode::success;
  std::map<std::string, std::shared_ptr<ClientState>> states;
  std::vector<std::string> taken;
  LatestValues* latest = nullptr;  // null: nobody may watch
  std::size_t filters_read = 0;
  std::size_t filters_unread = 0;
  Ticket ticket = 0;
};

/// A session in each version of the protocol, with a client that packs its packets itself.
class ListenerSessionTest : public ::testing::TestWithParam<ProtocolVersion> {
 protected:
  void SetUp() override { reconnect(); }
  void reconnect() {
    session_ = std::make_unique<ListenerSession>(host_, limits_, now_);
    unread_.clear();
  }

  bool v5() const { return GetParam() == ProtocolVersion::v5; }
  std::size_t send(const std::string& bytes) { return session_->receive(bytes, now_); }
  void connect(bool clean = true, std::uint16_t keep_alive = 60) {
    mqtt::ConnectPacket connect;
    connect.version = GetParam();
    connect.clean_start = clean;
    connect.client_id = "sensor";
    connect.keep_alive_seconds = keep_alive;
    if (v5()) connect.properties.set(PropertyId::session_expiry_interval, 3600);
    send_connect(connect);
  }
  void send_connect(const mqtt::ConnectPacket& connect) {
    std::string bytes;
    mqtt::encode(connect, bytes);
    send(bytes);
  }
  void connected(bool clean = true) {
    connect(clean);
    ASSERT_EQ(next_connack().reason, ReasonCode::success);
  }
  static std::string publish(std::uint8_t qos, std::uint16_t id, const std::string& payload,
                             const std::string& topic = "t", ProtocolVersion version = ProtocolVersion::v3_1_1,
                             bool duplicate = false) {
    mqtt::PublishPacket packet;
    packet.duplicate = duplicate;
    packet.topic = topic;
    packet.payload = payload;
    packet.qos = qos;
    packet.packet_id = id;
    std::string bytes;
    mqtt::encode(packet, version, bytes);
    return bytes;
  }
  void send_publish(std::uint8_t qos, std::uint16_t id, const std::string& payload, const std::string& topic = "t") {
    send(publish(qos, id, payload, topic, GetParam()));
  }
  void send_again(std::uint16_t id, const std::string& payload) {
    send(publish(2, id, payload, "t", GetParam(), true));
  }
  void send_pubrel(std::uint16_t id) {
    std::string bytes;
    mqtt::encode(PacketType::pubrel, mqtt::AckPacket{id, ReasonCode::success, {}}, GetParam(), bytes);
    send(bytes);
  }

  /// The next packet that the session has sent.
  std::optional<mqtt::RawPacket> next() {
    unread_ += session_->out();
    session_->out().clear();
    current_ = unread_;
    const auto packet = mqtt::cut_packet(current_, 1024 * 1024);
    if (!packet || !*packet) return std::nullopt;
    unread_.erase(0, (*packet)->bytes);
    return **packet;
  }
  mqtt::ConnackPacket next_connack() {
    const auto packet = next();
    if (!packet || packet->type != PacketType::connack) {
      ADD_FAILURE() << "no CONNACK";
      return {false, ReasonCode::unspecified_error, {}};
    }
    return *mqtt::decode_connack(*packet, GetParam());
  }
  /// All acknowledgements sent: "PUBACK 1" and so on, with the reason where it is a failure.
  std::vector<std::string> acks() {
    const std::map<PacketType, std::string> names{
        {PacketType::puback, "PUBACK"}, {PacketType::pubrec, "PUBREC"}, {PacketType::pubcomp, "PUBCOMP"}};
    std::vector<std::string> seen;
    while (const auto packet = next()) {
      const auto name = names.find(packet->type);
      if (name == names.end()) {
        seen.push_back("packet " + std::to_string(static_cast<int>(packet->type)));
        continue;
      }
      const auto ack = *mqtt::decode_ack(*packet, GetParam());
      seen.push_back(name->second + " " + std::to_string(ack.packet_id) +
                     (ack.reason == ReasonCode::success ? "" : std::string(" ") + mqtt::to_string(ack.reason)));
    }
    return seen;
  }
  ReasonCode next_disconnect() {
    const auto packet = next();
    if (!packet || packet->type != PacketType::disconnect) return ReasonCode::success;
    return mqtt::decode_disconnect(*packet, GetParam())->reason;
  }

  FakeHost host_;
  ListenerLimits limits_;
  BootTime now_{seconds(100)};
  std::unique_ptr<ListenerSession> session_;
  std::string unread_;
  std::string current_;
};

}  // namespace tidegate::drivers
