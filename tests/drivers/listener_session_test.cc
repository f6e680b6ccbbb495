#include "drivers/mqtt_listener/session.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "mqtt/packet_encoder.h"

namespace tidegate::drivers {
namespace {

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
  Taken take(const ListenerSession&, std::string_view topic, std::string_view payload) override {
    if (payload == "garbage") return {ticket, ReasonCode::payload_format_invalid};
    taken.push_back(std::string(topic) + "=" + std::string(payload));
    return {++ticket, ReasonCode::success};
  }
  ReasonCode subscribe(ListenerSession&, std::string_view) override { return ReasonCode::not_authorized; }

  ReasonCode refuses_with = ReasonCode::success;
  std::map<std::string, std::shared_ptr<ClientState>> states;
  std::vector<std::string> taken;
  Ticket ticket = 0;
};

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
                             const std::string& topic = "t", ProtocolVersion version = ProtocolVersion::v3_1_1) {
    mqtt::PublishPacket packet;
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

INSTANTIATE_TEST_SUITE_P(BothVersions, ListenerSessionTest,
                         ::testing::Values(ProtocolVersion::v3_1_1, ProtocolVersion::v5), [](const auto& version) {
                           return version.param == ProtocolVersion::v5 ? std::string("V5") : std::string("V311");
                         });

TEST_P(ListenerSessionTest, AcknowledgesOnlyWhatIsReleasedAndInOrder) {
  connected();
  send_publish(1, 7, "a");
  send_publish(2, 3, "b");
  send_publish(0, 0, "c");
  send_publish(1, 9, "d");
  EXPECT_THAT(host_.taken, ElementsAre("t=a", "t=b", "t=c", "t=d"));
  EXPECT_THAT(acks(), IsEmpty());
  session_->release(1);
  EXPECT_THAT(acks(), ElementsAre("PUBACK 7"));
  session_->release(3);
  EXPECT_THAT(acks(), ElementsAre("PUBREC 3"));
  session_->release(4);
  EXPECT_THAT(acks(), ElementsAre("PUBACK 9"));
  session_->release(100);
  EXPECT_THAT(acks(), IsEmpty());
}

TEST_P(ListenerSessionTest, TakesQos2OnceHoweverOftenItComes) {
  connected(false);
  send_publish(2, 5, "x");
  send_publish(2, 5, "x");
  EXPECT_THAT(host_.taken, ElementsAre("t=x"));
  session_->release(1);
  EXPECT_THAT(acks(), ElementsAre("PUBREC 5", "PUBREC 5"));
  send_pubrel(5);
  EXPECT_THAT(acks(), ElementsAre("PUBCOMP 5"));
  send_publish(2, 5, "y");  // the id is free again
  EXPECT_THAT(host_.taken, ElementsAre("t=x", "t=y"));
}

TEST_P(ListenerSessionTest, TakesQos2OnceOverConnectionsAndStillNotTooEarly) {
  connected(false);
  send_publish(2, 5, "x");
  reconnect();
  connect(false);
  EXPECT_TRUE(next_connack().session_present);
  send_publish(2, 5, "x");
  EXPECT_THAT(host_.taken, ElementsAre("t=x"));
  session_->release(0);
  EXPECT_THAT(acks(), IsEmpty()) << "the message is not safe yet";
  session_->release(1);
  EXPECT_THAT(acks(), ElementsAre("PUBREC 5"));
  send_pubrel(5);
  send_pubrel(5);
  EXPECT_EQ(acks().size(), 2U);
}

TEST_P(ListenerSessionTest, ACleanStartForgetsTheSessionBefore) {
  connected(false);
  send_publish(2, 5, "x");
  reconnect();
  connect(true);
  EXPECT_FALSE(next_connack().session_present);
  send_publish(2, 5, "y");
  EXPECT_THAT(host_.taken, ElementsAre("t=x", "t=y"));
}

TEST_P(ListenerSessionTest, SaysWhyItRefusesAClient) {
  host_.refuses_with = ReasonCode::bad_user_name_or_password;
  connect();
  EXPECT_EQ(next_connack().reason, ReasonCode::bad_user_name_or_password);
  EXPECT_TRUE(session_->is_over());
  EXPECT_THAT(session_->end_reason(), HasSubstr("bad user name or password"));
}

TEST_P(ListenerSessionTest, TheFirstPacketHasToBeAConnect) {
  send_publish(0, 0, "x");
  EXPECT_TRUE(session_->is_over());
  EXPECT_TRUE(session_->out().empty());
  EXPECT_THAT(host_.taken, IsEmpty());
}

TEST_P(ListenerSessionTest, ASecondConnectEndsTheConnection) {
  connected();
  connect();
  EXPECT_TRUE(session_->is_over());
  EXPECT_EQ(next_disconnect(), v5() ? ReasonCode::protocol_error : ReasonCode::success);
}

TEST_P(ListenerSessionTest, AnswersAPing) {
  connected();
  send(std::string("\xc0\x00", 2));
  EXPECT_THAT(acks(), ElementsAre("packet 13"));
}

TEST_P(ListenerSessionTest, GivesAClientWithoutAnIdOne) {
  mqtt::ConnectPacket connect;
  connect.version = GetParam();
  connect.clean_start = true;
  send_connect(connect);
  const auto connack = next_connack();
  EXPECT_EQ(connack.reason, ReasonCode::success);
  EXPECT_EQ(session_->client_id(), "made-1");
  EXPECT_EQ(connack.properties.has(PropertyId::assigned_client_identifier), v5());
}

TEST_P(ListenerSessionTest, SendsNothingToAClientThatTakesNoConnack) {
  if (!v5()) return;  // a property of version 5
  mqtt::ConnectPacket packet;
  packet.version = GetParam();
  packet.client_id = "sensor";
  packet.properties.set(PropertyId::maximum_packet_size, 1);
  send_connect(packet);
  EXPECT_TRUE(session_->is_over());
  EXPECT_THAT(session_->out(), IsEmpty());
}

TEST_P(ListenerSessionTest, RefusesAnEmptyIdThatShallBeRemembered) {
  if (v5()) return;
  mqtt::ConnectPacket connect;
  send_connect(connect);
  EXPECT_EQ(next_connack().reason, ReasonCode::client_identifier_not_valid);
}

TEST_P(ListenerSessionTest, ATopicWithoutRightIsNotAcknowledged) {
  connected();
  send_publish(1, 1, "x", "secret/door");
  EXPECT_THAT(host_.taken, IsEmpty());
  if (v5()) {
    session_->release(0);
    EXPECT_THAT(acks(), ElementsAre("PUBACK 1 not authorized"));
    EXPECT_FALSE(session_->is_over());
  } else {
    EXPECT_TRUE(session_->is_over());
    EXPECT_THAT(acks(), IsEmpty());
  }
}

TEST_P(ListenerSessionTest, APayloadThatIsOfNoUseIsNamedWhereTheProtocolCan) {
  connected();
  send_publish(1, 1, "good");
  send_publish(1, 2, "garbage");
  session_->release(0);
  EXPECT_THAT(acks(), IsEmpty()) << "acknowledgements keep the order of the messages";
  session_->release(1);
  EXPECT_THAT(acks(), ElementsAre("PUBACK 1", v5() ? "PUBACK 2 payload format invalid" : "PUBACK 2"));
}

TEST_P(ListenerSessionTest, ATopicOrPacketThatIsTooLongEndsTheConnection) {
  connected();
  send_publish(1, 1, "x", std::string(limits_.topic_bytes_max, 't'));
  EXPECT_EQ(host_.taken.size(), 1U);
  send_publish(1, 2, "x", std::string(limits_.topic_bytes_max + 1, 't'));
  EXPECT_TRUE(session_->is_over());
  EXPECT_EQ(next_disconnect(), v5() ? ReasonCode::topic_name_invalid : ReasonCode::success);
  limits_.packet_bytes_max = 100;
  reconnect();
  connected();
  send(publish(1, 1, std::string(200, 'x')).substr(0, 5));  // its length is enough to know
  EXPECT_TRUE(session_->is_over());
  EXPECT_EQ(next_disconnect(), v5() ? ReasonCode::packet_too_large : ReasonCode::success);
}

TEST_P(ListenerSessionTest, AClientThatSendsTooMuchAtOnceIsHeldBackOrEnded) {
  limits_.inflight_max = 3;
  connected();
  std::string bytes;
  for (std::uint16_t id = 1; id <= 5; ++id) bytes += publish(1, id, "x", "t", GetParam());
  const std::size_t used = send(bytes);
  if (v5()) {
    EXPECT_TRUE(session_->is_over());
    EXPECT_EQ(next_disconnect(), ReasonCode::receive_maximum_exceeded);
    return;
  }
  EXPECT_EQ(host_.taken.size(), 3U);
  EXPECT_FALSE(session_->wants_input());
  EXPECT_EQ(session_->deadline(), std::nullopt) << "its pings may lie unread";
  session_->release(1);
  EXPECT_TRUE(session_->wants_input());
  send(bytes.substr(used));
  EXPECT_EQ(host_.taken.size(), 4U);
}

TEST_P(ListenerSessionTest, Qos2CountsUntilItsPubrel) {
  limits_.inflight_max = 2;
  connected();
  send_publish(2, 1, "a");
  send_publish(2, 2, "b");
  session_->release(2);
  EXPECT_EQ(acks().size(), 2U);
  send_pubrel(1);
  EXPECT_EQ(acks().size(), 1U);
  send_publish(2, 3, "c");
  EXPECT_FALSE(session_->is_over());
  session_->release(3);
  EXPECT_EQ(acks().size(), 1U);
  send_publish(2, 4, "d");
  EXPECT_EQ(session_->is_over(), v5());  // the receive maximum is one of version 5
}

TEST_P(ListenerSessionTest, APubrelBeforeItsPubrecEndsTheConnection) {
  connected();
  send_publish(2, 1, "a");
  send_pubrel(1);
  EXPECT_TRUE(session_->is_over());
  EXPECT_TRUE(host_.states["sensor"]->qos2_taken.contains(1));
}

TEST_P(ListenerSessionTest, WithoutPubrelsAClientIsNotKeptForEver) {
  limits_.inflight_max = 4;
  connected();
  for (std::uint16_t id = 1; id <= 20 && !session_->is_over(); ++id) {
    send_publish(2, id, "x");
    session_->release(host_.ticket);
    (void)acks();
  }
  EXPECT_TRUE(session_->is_over());
  EXPECT_LE(host_.states["sensor"]->qos2_taken.size(), 8U);
}

TEST_P(ListenerSessionTest, NothingIsKeptOfQos2ThatIsRefused) {
  connected(false);
  for (std::uint16_t id = 1; id <= 3; ++id) {
    send_publish(2, id, "garbage");
    session_->release(host_.ticket);
  }
  EXPECT_EQ(acks().size(), 3U);
  EXPECT_THAT(host_.states["sensor"]->qos2_taken, IsEmpty());
  send_pubrel(1);
  EXPECT_EQ(acks().size(), 1U);
  EXPECT_FALSE(session_->is_over());
}

TEST_P(ListenerSessionTest, RemembersAClientAWeekAtMostAndSaysSo) {
  constexpr std::uint32_t kWeek = 7 * 24 * 3600;
  for (const std::uint32_t asked : {60U, kWeek, 0xffff'ffffU}) {
    reconnect();
    mqtt::ConnectPacket packet;
    packet.version = GetParam();
    packet.client_id = "sensor";
    packet.clean_start = false;
    if (v5()) packet.properties.set(PropertyId::session_expiry_interval, asked);
    send_connect(packet);
    const mqtt::ConnackPacket answer = next_connack();
    EXPECT_EQ(session_->session_expiry(), seconds(v5() ? std::min(asked, kWeek) : kWeek));
    EXPECT_EQ(answer.properties.number(PropertyId::session_expiry_interval, 0), v5() && asked > kWeek ? kWeek : 0U);
  }
}

TEST_P(ListenerSessionTest, AClientThatDoesNotReadIsNotReadFrom) {
  connected();
  const std::string ping("\xc0\x00", 2);
  std::size_t pings = 0;
  while (session_->wants_input() && pings < 1'000'000) {
    send(ping);
    ++pings;
  }
  EXPECT_LT(pings, 100'000U);
  session_->out().clear();
  EXPECT_TRUE(session_->wants_input());
}

TEST_P(ListenerSessionTest, EndsWithoutAConnectInTime) {
  EXPECT_EQ(session_->deadline(), now_ + limits_.connect_timeout);
  session_->expire(now_ + limits_.connect_timeout - seconds(1));
  EXPECT_FALSE(session_->is_over());
  session_->expire(now_ + limits_.connect_timeout);
  EXPECT_TRUE(session_->is_over());
}

TEST_P(ListenerSessionTest, EndsOneAndAHalfKeepAlivesAfterTheLastWord) {
  connect(true, 10);
  EXPECT_EQ(session_->deadline(), now_ + seconds(15));
  now_ += seconds(9);
  send(std::string("\xc0\x00", 2));
  EXPECT_EQ(session_->deadline(), now_ + seconds(15));
  session_->expire(now_ + seconds(15));
  EXPECT_TRUE(session_->is_over());
  EXPECT_FALSE(session_->is_orderly());
}

TEST_P(ListenerSessionTest, AClientThatDoesNotReadIsHeldToItsKeepAlive) {
  connect(true, 10);
  for (int i = 0; i < 100'000 && session_->wants_input(); ++i) send(std::string("\xc0\x00", 2));
  ASSERT_FALSE(session_->wants_input());
  now_ += seconds(14);
  session_->expire(now_);
  EXPECT_FALSE(session_->is_over());
  now_ += seconds(1);
  session_->expire(now_);
  EXPECT_TRUE(session_->is_over());
}

TEST_P(ListenerSessionTest, AKeepAliveOfZeroIsNone) {
  connect(true, 0);
  EXPECT_EQ(session_->deadline(), std::nullopt);
}

TEST_P(ListenerSessionTest, AWillGoesOutUnlessTheClientSaysGoodbye) {
  for (const bool says_goodbye : {false, true}) {
    reconnect();
    mqtt::ConnectPacket connect;
    connect.version = GetParam();
    connect.client_id = "sensor";
    connect.will = mqtt::Will{"t/gone", "1", 1, false, {}};
    send_connect(connect);
    if (says_goodbye) send(std::string("\xe0\x00", 2));
    EXPECT_EQ(session_->is_orderly(), says_goodbye);
    const auto will = session_->take_will();
    ASSERT_EQ(will.has_value(), !says_goodbye);
    if (will) {
      EXPECT_EQ(will->topic, "t/gone");
      EXPECT_EQ(will->payload, "1");
    }
    EXPECT_FALSE(session_->take_will()) << "once";
  }
}

TEST_P(ListenerSessionTest, AWillWhoseTopicIsTooLongIsRefused) {
  const std::string topic(limits_.topic_bytes_max + 1, 't');
  mqtt::ConnectPacket connect;
  connect.version = GetParam();
  connect.client_id = "sensor";
  connect.will = mqtt::Will{topic, "1", 1, false, {}};
  send_connect(connect);
  EXPECT_NE(next_connack().reason, ReasonCode::success);
  EXPECT_THAT(session_->end_reason(), HasSubstr(mqtt::to_string(ReasonCode::topic_name_invalid)));
  EXPECT_FALSE(session_->take_will());
}

TEST_P(ListenerSessionTest, ATopicAliasStandsForItsTopic) {
  if (!v5()) return;
  connected();
  const auto send_alias = [this](const std::string& topic, std::uint32_t alias) {
    mqtt::PublishPacket packet;
    packet.topic = topic;
    packet.payload = "x";
    packet.properties.set(PropertyId::topic_alias, alias);
    std::string bytes;
    mqtt::encode(packet, GetParam(), bytes);
    send(bytes);
  };
  send_alias("a", 1);
  send_alias("", 1);
  send_alias("b", 1);
  send_alias("", 1);
  EXPECT_THAT(host_.taken, ElementsAre("a=x", "a=x", "b=x", "b=x"));
  send_alias("", 2);
  EXPECT_EQ(next_disconnect(), ReasonCode::protocol_error);
  reconnect();
  connected();
  send_alias("a", limits_.topic_aliases_max + 1U);
  EXPECT_EQ(next_disconnect(), ReasonCode::topic_alias_invalid);
}

TEST_P(ListenerSessionTest, ASubscriptionIsAnsweredByItsCode) {
  connected();
  std::string bytes;
  mqtt::encode(mqtt::SubscribePacket{4, {{"plant/#", 1, false, false, 0}, {"x", 0, false, false, 0}}, {}}, GetParam(),
               bytes);
  send(bytes);
  const auto packet = next();
  ASSERT_TRUE(packet);
  const auto suback = *mqtt::decode_suback(*packet, GetParam());
  EXPECT_EQ(suback.packet_id, 4);
  const auto no = v5() ? ReasonCode::not_authorized : ReasonCode::unspecified_error;
  EXPECT_THAT(suback.reasons, ElementsAre(no, no));
}

TEST_P(ListenerSessionTest, NothingIsReadBehindTheEnd) {
  connected();
  session_->end(ReasonCode::session_taken_over, "taken over");
  EXPECT_EQ(next_disconnect(), v5() ? ReasonCode::session_taken_over : ReasonCode::success);
  EXPECT_EQ(send(publish(1, 1, "x")), 0U);
  EXPECT_THAT(host_.taken, IsEmpty());
}

TEST_P(ListenerSessionTest, TakesMessagesHoweverTheBytesArrive) {
  mqtt::ConnectPacket connect;
  connect.version = GetParam();
  connect.client_id = "sensor";
  std::string stream;
  mqtt::encode(connect, stream);
  for (std::uint16_t id = 1; id <= 3; ++id) stream += publish(1, id, std::to_string(id), "t", GetParam());
  std::string kept;
  for (const char byte : stream) {
    kept += byte;
    kept.erase(0, send(kept));
  }
  EXPECT_TRUE(kept.empty());
  EXPECT_THAT(host_.taken, ElementsAre("t=1", "t=2", "t=3"));
}

TEST(ListenerSession, TellsAnUnknownProtocolThatItIsUnknown) {
  FakeHost host;
  const ListenerLimits limits;
  ListenerSession session(host, limits, BootTime{});
  session.receive(std::string("\x10\x0c\x00\x04MQTT\x06\x02\x00\x00\x00\x00", 14), BootTime{});
  EXPECT_EQ(session.out(), std::string("\x20\x02\x00\x01", 4));
  EXPECT_TRUE(session.is_over());
}

}  // namespace
}  // namespace tidegate::drivers
