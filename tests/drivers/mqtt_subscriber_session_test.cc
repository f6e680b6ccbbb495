#include "drivers/mqtt_subscriber/subscriber_session.h"

#include "tests/drivers/subscriber_session_fixture.h"

namespace tidegate::drivers {
namespace {

using mqtt::LinkProblem;
using mqtt::PacketType;
using mqtt::PropertyId;
using mqtt::ProtocolVersion;
using mqtt::ReasonCode;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

INSTANTIATE_TEST_SUITE_P(Both, SubscriberSessionVersions,
                         ::testing::Values(ProtocolVersion::v3_1_1, ProtocolVersion::v5));

TEST_P(SubscriberSessionVersions, AsksForASessionThatStays) {
  options_.broker.username = "gateway";
  options_.broker.password = "secret";
  begin(GetParam());
  const std::string bytes = said();
  const auto packet = mqtt::cut_packet(bytes, 1024);
  ASSERT_TRUE(packet && *packet);
  const auto connect = mqtt::decode_connect(**packet);
  ASSERT_TRUE(connect);
  EXPECT_EQ(connect->version, GetParam());
  EXPECT_FALSE(connect->clean_start);
  EXPECT_EQ(connect->client_id, "tidegate");
  EXPECT_EQ(connect->user_name, "gateway");
  EXPECT_EQ(connect->password, "secret");
  EXPECT_EQ(connect->keep_alive_seconds, 20);
  if (GetParam() != ProtocolVersion::v5) return;
  EXPECT_EQ(connect->properties.number(PropertyId::session_expiry_interval, 0), 0xffff'ffffU);
  EXPECT_EQ(connect->properties.number(PropertyId::receive_maximum, 0), 3U);
}

TEST_P(SubscriberSessionVersions, SubscribesAndIsUpWithTheAnswer) {
  subscriptions_ = {{"plant/+/+", 1}, {"other/#", 0}};
  begin(GetParam());
  (void)said();
  hear(broker_.connack());
  const std::string bytes = said();
  const auto packet = mqtt::cut_packet(bytes, 1024);
  ASSERT_TRUE(packet && *packet);
  const auto subscribe = mqtt::decode_subscribe(**packet, GetParam());
  ASSERT_TRUE(subscribe);
  ASSERT_EQ(subscribe->entries.size(), 2U);
  EXPECT_EQ(subscribe->entries[0].filter, "plant/+/+");
  EXPECT_EQ(subscribe->entries[0].qos, 1);
  EXPECT_EQ(subscribe->entries[1].qos, 0);
  EXPECT_FALSE(session_->link());
  hear(broker_.suback({ReasonCode::granted_qos_1, ReasonCode::success}));
  ASSERT_TRUE(session_->link());
  EXPECT_TRUE(session_->link()->up);
  EXPECT_EQ(session_->link()->problem, LinkProblem::none);
}

TEST_P(SubscriberSessionVersions, SaysWhichSubscriptionsAreRefused) {
  begin(GetParam());
  hear(broker_.connack() + broker_.suback({ReasonCode::not_authorized}));
  ASSERT_TRUE(session_->link());
  EXPECT_EQ(session_->link()->problem, LinkProblem::refused_filter);
  EXPECT_THAT(session_->link()->detail, HasSubstr("plant/+/+"));
  EXPECT_FALSE(session_->is_over());
}

TEST_P(SubscriberSessionVersions, AsksForASharedSubscriptionAsItStands) {
  subscriptions_ = {{"$share/hall/plant/+/+", 1}};
  begin(GetParam());
  (void)said();
  hear(broker_.connack());
  EXPECT_THAT(filters_of(said()), ElementsAre("$share/hall/plant/+/+"));
  hear(broker_.suback());
  EXPECT_EQ(session_->link()->problem, LinkProblem::none);
  hear(broker_.publish(1, "a"));
  EXPECT_THAT(taken_, ElementsAre("a"));
}

// It would be a protocol error to ask for one, and the end of the connection.
TEST_F(SubscriberSessionTest, AsksABrokerThatSharesNothingOnlyForTheOthersAndTellsWhichAreMissing) {
  subscriptions_ = {{"$share/hall/a/+", 1}, {"b/+", 1}};
  begin(ProtocolVersion::v5);
  (void)said();
  hear(broker_.connack(ReasonCode::success, shares_nothing()));
  EXPECT_THAT(filters_of(said()), ElementsAre("b/+"));
  hear(broker_.suback());
  ASSERT_TRUE(session_->link());
  EXPECT_TRUE(session_->link()->up);
  EXPECT_EQ(session_->link()->problem, LinkProblem::refused_filter);
  EXPECT_THAT(session_->link()->detail, HasSubstr("nothing comes of $share/hall/a/+"));
  hear(broker_.publish(1, "a"));
  EXPECT_THAT(taken_, ElementsAre("a"));
}

TEST_F(SubscriberSessionTest, SubscribesToNothingAtABrokerThatSharesNothingWhereAllIsShared) {
  subscriptions_ = {{"$share/hall/a/+", 1}};
  begin(ProtocolVersion::v5);
  (void)said();
  hear(broker_.connack(ReasonCode::success, shares_nothing()));
  EXPECT_THAT(said(), IsEmpty());
  ASSERT_TRUE(session_->link());
  EXPECT_EQ(session_->link()->problem, LinkProblem::refused_filter);
  EXPECT_TRUE(session_->is_subscribed());
  now_ += seconds(15);
  session_->tick(now_, true);
  EXPECT_FALSE(session_->is_over()) << "it waits for no answer";
}

TEST_F(SubscriberSessionTest, SaysWhichSharedSubscriptionABrokerRefusesAndHow) {
  subscriptions_ = {{"b/+", 1}, {"$share/hall/a/+", 1}};
  for (const ReasonCode code : {ReasonCode::shared_subscriptions_not_supported, ReasonCode::unspecified_error}) {
    begin(ProtocolVersion::v5);
    hear(broker_.connack() + broker_.suback({ReasonCode::granted_qos_1, code}));
    EXPECT_EQ(session_->link()->problem, LinkProblem::refused_filter);
    EXPECT_THAT(session_->link()->detail, HasSubstr("$share/hall/a/+"));
    EXPECT_THAT(session_->link()->detail, HasSubstr("shared subscriptions"));
  }
  begin(ProtocolVersion::v5);
  hear(broker_.connack() + broker_.disconnect(ReasonCode::shared_subscriptions_not_supported));
  EXPECT_TRUE(session_->is_over());
  EXPECT_THAT(session_->link()->detail, HasSubstr("leave $share/GROUP/ out of $share/hall/a/+"));
}

TEST_P(SubscriberSessionVersions, AcknowledgesInOrderWhatIsSafeAndNothingElse) {
  begin_up(GetParam());
  hear(broker_.publish(7, "a") + broker_.publish(3, "b") + broker_.publish(0, "c", 0));
  EXPECT_THAT(taken_, ElementsAre("a", "b", "c"));
  session_->release(0);
  EXPECT_THAT(said(), IsEmpty());
  session_->release(2);
  EXPECT_EQ(said(), acks({7, 3})) << "one write, in the order of the messages";
  session_->release(3);
  EXPECT_THAT(said(), IsEmpty()) << "QoS 0 has no acknowledgement";
}

TEST_P(SubscriberSessionVersions, TakesPacketsInPieces) {
  begin_up(GetParam());
  const std::string packets = broker_.publish(1, "first") + broker_.publish(2, "second");
  std::string held;
  for (const char byte : packets) {
    held += byte;
    held.erase(0, hear(held));
  }
  EXPECT_THAT(held, IsEmpty());
  EXPECT_THAT(taken_, ElementsAre("first", "second"));
}

// Also a broker of version 5, which knows how many may be open, and sends more all the same.
TEST_P(SubscriberSessionVersions, ReadsABrokerNoFurtherThanTheWindow) {
  begin_up(GetParam());
  std::string all;
  for (std::uint16_t id = 1; id <= 5; ++id) all += broker_.publish(id, std::to_string(id));
  const std::size_t used = hear(all);
  EXPECT_THAT(taken_, ElementsAre("1", "2", "3"));
  EXPECT_FALSE(session_->wants_input());
  session_->release(2);
  EXPECT_TRUE(session_->wants_input());
  hear(all.substr(used));
  EXPECT_THAT(taken_, ElementsAre("1", "2", "3", "4", "5"));
  session_->release(5);
  EXPECT_EQ(said(), acks({1, 2, 3, 4, 5}));
}

TEST_P(SubscriberSessionVersions, LetsPassWhatIsTooLargeAndAcknowledgesItInItsTurn) {
  options_.queue_bytes = 64 * 1024;
  begin_up(GetParam());
  const std::string large(3'000'000, 'x');
  const std::string packets = broker_.publish(1, "a") + broker_.publish(2, large) + broker_.publish(3, "b");
  std::string held;
  std::size_t most = 0;
  for (std::size_t at = 0; at < packets.size(); at += 4096) {
    held += packets.substr(at, 4096);
    held.erase(0, hear(held));
    most = std::max(most, held.size());
  }
  EXPECT_THAT(taken_, ElementsAre("a", "b"));
  EXPECT_EQ(refused_.size(), 1U);
  EXPECT_THAT(refused_.at(0), HasSubstr("plant/d/t 30000"));
  EXPECT_LT(most, 80'000U) << "nobody needs room for it";
  session_->release(0);
  EXPECT_THAT(said(), IsEmpty());
  session_->release(2);
  EXPECT_EQ(said(), acks({1, 2, 3}));
}

TEST_P(SubscriberSessionVersions, EndsOnWhatIsMalformedAndSaysWhy) {
  begin_up(GetParam());
  hear(std::string("\x36\x03\x00\x01t", 5));  // a PUBLISH of QoS 3
  EXPECT_TRUE(session_->is_over());
  ASSERT_TRUE(session_->link());
  EXPECT_FALSE(session_->link()->up);
  EXPECT_THAT(session_->link()->detail, HasSubstr("malformed packet"));
  const bool is_v5 = GetParam() == ProtocolVersion::v5;
  EXPECT_EQ(said(), is_v5 ? broker_.disconnect(ReasonCode::malformed_packet) : std::string());
}

TEST_P(SubscriberSessionVersions, EndsOnPacketsThatNoBrokerSends) {
  for (const std::string& packet : {broker_.pingreq(), broker_.connack(), broker_.suback()}) {
    begin_up(GetParam());
    hear(packet);
    EXPECT_TRUE(session_->is_over());
    EXPECT_THAT(session_->link()->detail, HasSubstr("protocol error"));
  }
  begin(GetParam());
  hear(broker_.publish(1, "before the CONNACK"));
  EXPECT_TRUE(session_->is_over());
  EXPECT_THAT(taken_, IsEmpty());
}

TEST_F(SubscriberSessionTest, EndsOnATopicAlias) {
  begin_up(ProtocolVersion::v5);
  mqtt::PublishPacket publish;
  publish.topic = "plant/d/t";
  publish.properties.set(PropertyId::topic_alias, 1);
  std::string bytes;
  mqtt::encode(publish, ProtocolVersion::v5, bytes);
  hear(bytes);
  EXPECT_EQ(said(), broker_.disconnect(ReasonCode::topic_alias_invalid));
}

TEST_P(SubscriberSessionVersions, SaysWhyItIsRefused) {
  begin(GetParam());
  hear(broker_.connack(ReasonCode::not_authorized));
  EXPECT_TRUE(session_->is_over());
  ASSERT_TRUE(session_->link());
  EXPECT_EQ(session_->link()->problem, LinkProblem::refused_login);
}

TEST_F(SubscriberSessionTest, UnderstandsABrokerThatKnowsNoVersion5) {
  begin(ProtocolVersion::v5);
  hear(BrokerPackets(ProtocolVersion::v3_1_1).connack(ReasonCode::unsupported_protocol_version));
  ASSERT_TRUE(session_->link());
  EXPECT_EQ(session_->link()->problem, LinkProblem::refused_login);
  EXPECT_THAT(session_->link()->detail, HasSubstr("protocol = \"3.1.1\""));
}

TEST_F(SubscriberSessionTest, TellsWhatTheBrokerSaidWhenItEndedTheConnection) {
  begin_up(ProtocolVersion::v5);
  hear(broker_.disconnect(ReasonCode::session_taken_over));
  EXPECT_TRUE(session_->is_over());
  EXPECT_THAT(session_->link()->detail, HasSubstr("client id \"tidegate\""));
  EXPECT_THAT(said(), IsEmpty());
}

TEST_P(SubscriberSessionVersions, GivesSignsOfLifeAndWantsThem) {
  begin_up(GetParam());
  now_ += seconds(20);
  EXPECT_LE(session_->deadline(), now_);
  session_->tick(now_, true);
  EXPECT_EQ(said(), broker_.pingreq());
  now_ += seconds(5);
  hear(broker_.pingresp());
  now_ += seconds(14);
  session_->tick(now_, true);
  EXPECT_THAT(said(), IsEmpty());
  now_ += seconds(1);
  session_->tick(now_, true);
  EXPECT_EQ(said(), broker_.pingreq());
  now_ += seconds(9);
  session_->tick(now_, true);
  EXPECT_FALSE(session_->is_over());
  now_ += seconds(1);
  EXPECT_LE(session_->deadline(), now_);
  session_->tick(now_, true);
  EXPECT_TRUE(session_->is_over());
  EXPECT_THAT(session_->link()->detail, HasSubstr("does not answer"));
}

TEST_F(SubscriberSessionTest, NoKeepAliveOfABrokerMakesItSlowerOrMoreHasty) {
  for (const auto& [theirs, every] : {std::pair{65'535U, 20}, std::pair{1U, 1}}) {
    begin(ProtocolVersion::v5);
    mqtt::Properties properties;
    properties.set(mqtt::PropertyId::server_keep_alive, theirs);
    hear(broker_.connack(ReasonCode::success, properties) + broker_.suback());
    (void)said();
    now_ += seconds(every);
    EXPECT_LE(session_->deadline(), now_) << theirs;
    session_->tick(now_, true);
    EXPECT_EQ(said(), broker_.pingreq()) << theirs;
    now_ += seconds(9);
    session_->tick(now_, true);
    EXPECT_FALSE(session_->is_over()) << theirs;
    now_ += seconds(1);
    session_->tick(now_, true);
    EXPECT_TRUE(session_->is_over()) << theirs;
  }
}

TEST_F(SubscriberSessionTest, KeepsAConnectionAliveThatItDoesNotReadFrom) {
  begin_up(ProtocolVersion::v3_1_1);
  for (int i = 0; i < 100; ++i) {
    now_ += seconds(5);
    session_->tick(now_, false);
  }
  EXPECT_FALSE(session_->is_over());
  std::string pings;
  for (int i = 0; i < 25; ++i) pings += broker_.pingreq();
  EXPECT_EQ(said(), pings);
}

TEST_F(SubscriberSessionTest, GivesUpABrokerThatDoesNotAnswerItsConnect) {
  begin(ProtocolVersion::v5);
  now_ += seconds(9);
  session_->tick(now_, true);
  EXPECT_FALSE(session_->is_over());
  now_ += seconds(1);
  session_->tick(now_, true);
  EXPECT_TRUE(session_->is_over());
  EXPECT_EQ(session_->link()->problem, LinkProblem::unreachable);
}

TEST_P(SubscriberSessionVersions, GivesUpABrokerThatDoesNotAnswerItsSubscription) {
  begin(GetParam());
  now_ += seconds(5);
  hear(broker_.connack());
  (void)said();
  now_ += seconds(9);
  session_->tick(now_, true);
  EXPECT_FALSE(session_->is_over());
  EXPECT_FALSE(session_->is_subscribed());
  now_ += seconds(1);
  EXPECT_LE(session_->deadline(), now_);
  session_->tick(now_, true);
  EXPECT_TRUE(session_->is_over());
  ASSERT_TRUE(session_->link());
  EXPECT_FALSE(session_->link()->up);
  EXPECT_THAT(session_->link()->detail, HasSubstr("does not answer the subscription"));
  const bool is_v5 = GetParam() == ProtocolVersion::v5;
  EXPECT_EQ(said(), is_v5 ? broker_.disconnect(ReasonCode::unspecified_error) : std::string());
}

TEST_P(SubscriberSessionVersions, WaitsNoMoreOnceItsSubscriptionIsAnswered) {
  begin(GetParam());
  hear(broker_.connack() + broker_.suback());
  EXPECT_TRUE(session_->is_subscribed());
  now_ += seconds(15);
  session_->tick(now_, true);
  EXPECT_FALSE(session_->is_over());
}

// Nobody subscribes to them, but a session of an earlier configuration may hold some.
TEST_P(SubscriberSessionVersions, TakesAMessageOfQos2OnceAConnection) {
  begin_up(GetParam());
  hear(broker_.publish(5, "a", 2) + broker_.publish(5, "a", 2));
  EXPECT_THAT(taken_, ElementsAre("a"));
  session_->release(1);
  const std::string pubrec = broker_.ack(5, PacketType::pubrec);
  EXPECT_EQ(said(), pubrec + pubrec);
  hear(broker_.ack(5, PacketType::pubrel));
  EXPECT_EQ(said(), broker_.ack(5, PacketType::pubcomp));
}

// The broker would forget a message that a power cut could still take.
TEST_P(SubscriberSessionVersions, APubrelBeforeItsPubrecEndsTheConnection) {
  begin_up(GetParam());
  hear(broker_.publish(5, "a", 2));
  hear(broker_.ack(5, PacketType::pubrel));
  EXPECT_TRUE(session_->is_over());
  EXPECT_THAT(session_->link()->detail, HasSubstr("a PUBREL before its PUBREC"));
  session_->release(1);
  const bool is_v5 = GetParam() == ProtocolVersion::v5;
  EXPECT_EQ(said(), is_v5 ? broker_.disconnect(ReasonCode::protocol_error) : std::string());
}

TEST_P(SubscriberSessionVersions, APubrelCountsThoughTheAnswerToARepeatStillWaits) {
  begin_up(GetParam());
  hear(broker_.publish(5, "a", 2));
  session_->release(1);
  hear(broker_.publish(6, "b") + broker_.publish(5, "a", 2));
  (void)said();
  hear(broker_.ack(5, PacketType::pubrel));
  EXPECT_EQ(said(), broker_.ack(5, PacketType::pubcomp));
  session_->release(2);
  EXPECT_EQ(said(), broker_.ack(6));
  hear(broker_.publish(5, "c", 2));
  EXPECT_THAT(taken_, ElementsAre("a", "b", "c"));
}

// As after a reconnect: the PUBREC was for an earlier connection. "This is not an error during recovery" (3.7.2.1).
TEST_P(SubscriberSessionVersions, APubrelOfAnUnknownIdIsAnsweredAndNothingElse) {
  begin_up(GetParam());
  hear(broker_.ack(5, PacketType::pubrel));
  std::string pubcomp;
  mqtt::encode(PacketType::pubcomp, mqtt::AckPacket{5, ReasonCode::packet_identifier_not_found, {}}, GetParam(),
               pubcomp);
  EXPECT_EQ(said(), pubcomp);
  EXPECT_FALSE(session_->is_over());
  hear(broker_.publish(5, "a", 2));
  EXPECT_THAT(taken_, ElementsAre("a"));
}

TEST_P(SubscriberSessionVersions, AMessageOfQos2ThatIsLetPassByIsReleasedAsOthersAre) {
  options_.queue_bytes = 64 * 1024;
  begin_up(GetParam());
  hear(broker_.publish(5, std::string(100'000, 'x'), 2));
  session_->release(0);
  EXPECT_EQ(said(), broker_.ack(5, PacketType::pubrec));
  hear(broker_.ack(5, PacketType::pubrel));
  EXPECT_EQ(said(), broker_.ack(5, PacketType::pubcomp));
}

TEST_P(SubscriberSessionVersions, PublishesOnlyWhereItIsTakenIn) {
  begin(GetParam());
  (void)said();
  EXPECT_FALSE(session_->publish_at_most_once("t", "x"));
  hear(broker_.connack());
  (void)said();
  EXPECT_TRUE(session_->publish_at_most_once("plant/d/t", "x"));
  EXPECT_EQ(said(), broker_.publish(0, "x", 0));
  session_->say_goodbye();
  (void)said();
  EXPECT_FALSE(session_->publish_at_most_once("t", "x"));
  EXPECT_THAT(said(), IsEmpty());
}

TEST_P(SubscriberSessionVersions, KeepsNoMessagesForABrokerThatTakesNothing) {
  begin_up(GetParam());
  const std::string payload(1000, 'x');
  for (int i = 0; i < 10'000; ++i) (void)session_->publish_at_most_once("t", payload);
  EXPECT_LT(session_->out().size(), 600'000U);
}

TEST_F(SubscriberSessionTest, PublishesNothingThatIsTooLargeForTheBroker) {
  begin(ProtocolVersion::v5);
  mqtt::Properties properties;
  properties.set(PropertyId::maximum_packet_size, 40);
  hear(broker_.connack(ReasonCode::success, properties) + broker_.suback());
  (void)said();
  EXPECT_TRUE(session_->publish_at_most_once("t", std::string(34, 'x')));
  EXPECT_EQ(said().size(), 40U);
  EXPECT_FALSE(session_->publish_at_most_once("t", std::string(35, 'x')));
  EXPECT_THAT(said(), IsEmpty());
}

TEST_P(SubscriberSessionVersions, SaysGoodbye) {
  begin_up(GetParam());
  session_->say_goodbye();
  EXPECT_TRUE(session_->is_over());
  EXPECT_EQ(said(), broker_.disconnect(ReasonCode::success));
}

// What a broker may say at any point: no byte of it may make more of it than it is.
TEST_P(SubscriberSessionVersions, WithstandsEveryFlippedBitOfAMessage) {
  const std::string packet = broker_.publish(1, "payload");
  for (std::size_t bit = 0; bit < packet.size() * 8; ++bit) {
    begin_up(GetParam());
    taken_.clear();
    std::string flipped = packet;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_LE(hear(flipped), flipped.size());
    EXPECT_LE(taken_.size(), 1U) << "bit " << bit;
  }
}

}  // namespace
}  // namespace tidegate::drivers
