// What a session takes and acknowledges; the connection itself is in listener_session_test.cc.
#include "tests/drivers/listener_session_fixture.h"

namespace tidegate::drivers {
namespace {

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
  send_again(5, "x");
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
  send_again(5, "x");
  EXPECT_THAT(host_.taken, ElementsAre("t=x"));
  session_->release(0);
  EXPECT_THAT(acks(), IsEmpty()) << "the message is not safe yet";
  session_->release(1);
  EXPECT_THAT(acks(), ElementsAre("PUBREC 5"));
  send_pubrel(5);
  send_pubrel(5);
  EXPECT_EQ(acks().size(), 2U);
}

// A sensor that has lost power begins with the same ids, and its PUBRELs of before never come.
TEST_P(ListenerSessionTest, WhatComesUnderAnUnreleasedIdWithoutDupIsAnotherMessage) {
  connected(false);
  send_publish(2, 5, "x");
  reconnect();
  connected(false);
  send_publish(2, 5, "x");
  reconnect();
  connected(false);
  send_again(5, "y");
  send_again(5, "y");
  send_publish(2, 5, "y");
  EXPECT_THAT(host_.taken, ElementsAre("t=x", "t=x", "t=y", "t=y"));
  session_->release(host_.ticket);
  EXPECT_THAT(acks(), ElementsAre("PUBREC 5", "PUBREC 5", "PUBREC 5"));
  send_pubrel(5);
  EXPECT_THAT(acks(), ElementsAre("PUBCOMP 5"));
  EXPECT_THAT(host_.states["sensor"]->qos2_taken, IsEmpty());
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

// A client of 3.1.1 sends again after a while, and answers the PUBREC that comes meanwhile.
TEST_P(ListenerSessionTest, APubrelWhileTheAnswerToARepeatWaitsIsInOrder) {
  connected();
  send_publish(2, 1, "a");
  session_->release(1);
  EXPECT_EQ(acks().size(), 1U);
  send_publish(1, 2, "b");
  send(publish(2, 1, "a", "t", GetParam(), true));
  send_pubrel(1);
  EXPECT_FALSE(session_->is_over());
  EXPECT_EQ(acks().size(), 1U) << "the PUBCOMP";
  EXPECT_FALSE(host_.states["sensor"]->qos2_taken.contains(1));
  session_->release(2);
  EXPECT_EQ(acks().size(), 1U) << "the PUBACK, and no PUBREC any more";
  EXPECT_EQ(host_.taken.size(), 2U);
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

// Nobody else would wake a connection whose messages wait in its socket.
TEST_P(ListenerSessionTest, WhoFoundNoTokenWaitsEvenWhereOneComesAtOnce) {
  limits_.messages_per_second_max = 20;
  reconnect();
  connected();
  for (int i = 0; session_->wants_input(); ++i) {
    ASSERT_LT(i, 20);
    send_publish(0, 0, "1");
  }
  const auto until = session_->slowed_until(now_);
  ASSERT_TRUE(until);
  EXPECT_GT(*until, now_);
  EXPECT_TRUE(session_->slowed_until(*until)) << "it had none when it was asked for";
  EXPECT_TRUE(session_->wants_input());
  EXPECT_FALSE(session_->slowed_until(*until));
}

}  // namespace
}  // namespace tidegate::drivers
