#include "drivers/mqtt_listener/session.h"

#include "tests/drivers/listener_session_fixture.h"

namespace tidegate::drivers {
namespace {

INSTANTIATE_TEST_SUITE_P(BothVersions, ListenerSessionTest,
                         ::testing::Values(ProtocolVersion::v3_1_1, ProtocolVersion::v5), [](const auto& version) {
                           return version.param == ProtocolVersion::v5 ? std::string("V5") : std::string("V311");
                         });

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
