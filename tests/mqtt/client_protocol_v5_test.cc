// What MQTT 5 adds to the protocol of a connection to a broker.
#include <gmock/gmock.h>

#include "mqtt/client_protocol.h"
#include "mqtt/packet_encoder.h"
#include "tests/mqtt/told.h"

namespace tidegate::mqtt {
namespace {

using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr ProtocolVersion kV5 = ProtocolVersion::v5;

class ClientProtocolV5Test : public ::testing::Test {
 protected:
  ClientProtocolV5Test() {
    broker_.uri = "mqtt://broker:1883";
    broker_.client_id = "c";
    broker_.protocol = kV5;
    broker_.clean_session = true;
    broker_.keep_alive = seconds(20);  // the broker is told 12
  }

  void start() { protocol_.emplace(broker_, subscriptions_, told_, std::nullopt, now_); }
  void connect(const Properties& limits = {}) {
    start();
    take_sent();
    answer(ReasonCode::success, limits);
  }
  void answer(ReasonCode reason, const Properties& properties = {}) {
    std::string bytes;
    encode(ConnackPacket{false, reason, properties}, kV5, bytes);
    hear(bytes);
  }
  void hear(const std::string& bytes) { protocol_->receive(bytes, now_); }
  void hear_puback(std::uint16_t id, ReasonCode reason = ReasonCode::success, const Properties& properties = {}) {
    std::string bytes;
    encode(PacketType::puback, AckPacket{id, reason, properties}, kV5, bytes);
    hear(bytes);
  }
  std::string take_sent() {
    std::string sent = std::exchange(protocol_->out(), {});
    if (!sent.empty()) protocol_->sent(now_);
    return sent;
  }
  /// "ID TOPIC ALIAS" of each publish that is sent.
  std::vector<std::string> take_publishes() {
    std::vector<std::string> found;
    const std::string sent = take_sent();
    for (std::string_view rest = sent; !rest.empty();) {
      const auto packet = cut_packet(rest, sent.size());
      if (!packet || !*packet) throw std::runtime_error("no packet");
      if ((*packet)->type == PacketType::publish) {
        const auto publish = decode_publish(**packet, kV5);
        found.push_back(std::to_string(publish->packet_id) + " " + std::string(publish->topic) + " " +
                        std::to_string(publish->properties.number(PropertyId::topic_alias, 0)));
      }
      rest.remove_prefix((*packet)->bytes);
    }
    return found;
  }
  void publish(InFlight::Number number, const std::string& topic = "t", const std::string& payload = "x") {
    protocol_->publish(number, {0, topic, payload});
  }
  static Properties limit(PropertyId id, std::uint32_t number) {
    Properties properties;
    properties.set(id, number);
    return properties;
  }
  std::string why_ended() const { return protocol_->end() ? protocol_->end()->detail : "goes on"; }

  BrokerOptions broker_;
  std::vector<Subscription> subscriptions_;
  BootTime now_{seconds(1000)};
  Told told_;
  std::optional<ClientProtocol> protocol_;
};

TEST_F(ClientProtocolV5Test, ConnectsWithTheVersionAndTheSessionThatIsAskedFor) {
  start();
  EXPECT_EQ(take_sent(), std::string("\x10\x0e\0\x04MQTT\x05\x02\0\x0c\0\0\x01"
                                     "c",
                                     16));
  broker_.clean_session = false;
  start();
  EXPECT_EQ(take_sent(), std::string("\x10\x13\0\x04MQTT\x05\0\0\x0c\x05\x11\xff\xff\xff\xff\0\x01"
                                     "c",
                                     21));
}

TEST_F(ClientProtocolV5Test, PublishesWithPropertiesByteForByte) {
  connect();
  Publication publication{0, "t", "xy"};
  publication.properties = {"text/plain", true, {{"a", "1"}, {"bc", ""}}};
  protocol_->publish(1, std::move(publication));
  EXPECT_EQ(take_sent(), std::string("\x32\x25\0\x01t\0\x02\x1d"
                                     "\x01\x01"
                                     "\x03\0\x0atext/plain"
                                     "\x26\0\x01"
                                     "a\0\x01"
                                     "1"
                                     "\x26\0\x02"
                                     "bc\0\0"
                                     "xy",
                                     39));
}

TEST_F(ClientProtocolV5Test, SaysATopicOnceAndThenByAliasAsFarAsTheBrokerAllows) {
  connect(limit(PropertyId::topic_alias_maximum, 2));
  for (const char* topic : {"a", "b", "c"}) publish(1, topic);
  EXPECT_THAT(take_publishes(), ElementsAre("2 a 1", "3 b 2", "4 c 0"));
  for (std::uint16_t id = 2; id <= 4; ++id) hear_puback(id);
  for (const char* topic : {"a", "b", "c", "a"}) publish(1, topic);
  EXPECT_THAT(take_publishes(), ElementsAre("5  1", "6  2", "7 c 0", "8  1"));
  // Of the next connection.
  connect(limit(PropertyId::topic_alias_maximum, 2));
  publish(1, "b");
  EXPECT_THAT(take_publishes(), ElementsAre("2 b 1"));
}

TEST_F(ClientProtocolV5Test, SaysTopicsInFullToABrokerThatAllowsNoAlias) {
  connect();
  publish(1, "a");
  publish(2, "a");
  EXPECT_THAT(take_publishes(), ElementsAre("2 a 0", "3 a 0"));
}

// A broker may refuse the first one before it has noted the alias, and what has the alias alone is a protocol error
// then.
TEST_F(ClientProtocolV5Test, SaysNoAliasAloneBeforeTheBrokerHasTakenIt) {
  connect(limit(PropertyId::topic_alias_maximum, 2));
  for (InFlight::Number number = 1; number <= 3; ++number) publish(number, "a");
  EXPECT_THAT(take_publishes(), ElementsAre("2 a 1", "3 a 1", "4 a 1"));
  hear_puback(2, ReasonCode::quota_exceeded);
  publish(4, "a");
  EXPECT_THAT(take_publishes(), ElementsAre("5 a 1"));
  hear_puback(3);
  publish(5, "a");
  EXPECT_THAT(take_publishes(), ElementsAre("6  1"));
  hear_puback(6, ReasonCode::not_authorized);
  publish(6, "a");
  EXPECT_THAT(take_publishes(), ElementsAre("7 a 1"));
}

TEST_F(ClientProtocolV5Test, KeepsAsManyUnacknowledgedAsTheBrokerTakes) {
  connect(limit(PropertyId::receive_maximum, 2));
  for (InFlight::Number number = 1; number <= 4; ++number) publish(number);
  EXPECT_THAT(take_publishes(), SizeIs(2));
  hear_puback(3);
  EXPECT_THAT(take_publishes(), ElementsAre("4 t 0"));
  EXPECT_THAT(take_publishes(), IsEmpty());
  hear_puback(2, ReasonCode::quota_exceeded);
  EXPECT_THAT(take_publishes(), ElementsAre("5 t 0")) << "what is refused is not on its way any more";
}

TEST_F(ClientProtocolV5Test, SendsNoPacketThatIsLargerThanTheBrokerTakes) {
  // A fixed header of 2, 3 for the topic, 2 for the id, 1 for the properties.
  for (std::uint32_t bytes_max = 20; bytes_max <= 40; ++bytes_max) {
    told_ = Told();
    connect(limit(PropertyId::maximum_packet_size, bytes_max));
    publish(1, "t", std::string(bytes_max - 8, 'x'));
    publish(2, "t", std::string(bytes_max - 7, 'x'));
    publish(3, "t", "");
    EXPECT_THAT(take_sent(), SizeIs(bytes_max + 8));
    ASSERT_THAT(told_.words, ElementsAre("connected", "refused 2: packet too large"));
    EXPECT_EQ(told_.refusals[0].bytes, bytes_max + 1);
    EXPECT_EQ(told_.refusals[0].bytes_max, bytes_max);
  }
}

TEST_F(ClientProtocolV5Test, ATopicThatWasNotSentHasNoAliasYet) {
  Properties limits = limit(PropertyId::maximum_packet_size, 30);
  limits.set(PropertyId::topic_alias_maximum, 1);
  connect(limits);
  publish(1, "a", std::string(30, 'x'));
  publish(2, "a");
  EXPECT_THAT(take_publishes(), ElementsAre("2 a 1"));
}

TEST_F(ClientProtocolV5Test, OnlyWhatIsAcknowledgedWithoutAFailureIsPublished) {
  connect();
  for (InFlight::Number number = 1; number <= 3; ++number) publish(number);
  take_sent();
  hear_puback(2, ReasonCode::no_matching_subscribers);
  Properties words;
  words.set(PropertyId::reason_string, "full\x01");
  hear_puback(3, ReasonCode::quota_exceeded, words);
  hear_puback(4, ReasonCode::payload_format_invalid);
  hear_puback(4);
  EXPECT_THAT(told_.words, ElementsAre("connected", "published 1", "refused 2: quota exceeded (full\\x01)",
                                       "refused 3: payload format invalid"));
  EXPECT_EQ(why_ended(), "goes on");
}

TEST_F(ClientProtocolV5Test, SendsNothingToABrokerThatAcknowledgesNothing) {
  connect(limit(PropertyId::maximum_qos, 0));
  publish(1);
  EXPECT_EQ(take_sent(), std::string("\xe0\0", 2));
  ASSERT_TRUE(protocol_->end());
  EXPECT_EQ(protocol_->end()->problem, LinkProblem::unsuitable);
  EXPECT_THAT(why_ended(), HasSubstr("QoS 0 only"));
  EXPECT_THAT(told_.words, IsEmpty());
}

TEST_F(ClientProtocolV5Test, AsksForASignOfLifeAsOftenAsTheBrokerWants) {
  connect(limit(PropertyId::server_keep_alive, 5));
  EXPECT_EQ(protocol_->deadline(), now_ + seconds(5));
  connect(limit(PropertyId::server_keep_alive, 100));
  EXPECT_EQ(protocol_->deadline(), now_ + seconds(12));
  connect(limit(PropertyId::server_keep_alive, 0));
  EXPECT_EQ(protocol_->deadline(), now_ + seconds(12));
}

// It says how often we have to send, and not how soon it answers.
TEST_F(ClientProtocolV5Test, AShortKeepAliveOfTheBrokerMakesNobodyImpatient) {
  connect(limit(PropertyId::server_keep_alive, 1));
  now_ += seconds(1);
  protocol_->tick(now_, std::nullopt);
  EXPECT_EQ(take_sent(), std::string("\xc0\0", 2));
  now_ += seconds(17);
  protocol_->tick(now_, std::nullopt);
  EXPECT_EQ(why_ended(), "goes on");
  now_ += seconds(1);
  protocol_->tick(now_, std::nullopt);
  EXPECT_THAT(why_ended(), HasSubstr("does not answer any more"));
}

TEST_F(ClientProtocolV5Test, ARefusalHasTheWordsOfTheBroker) {
  start();
  Properties words;
  words.set(PropertyId::reason_string, "moved to the cloud");
  words.set(PropertyId::server_reference, "other:1883");
  answer(ReasonCode::server_moved, words);
  EXPECT_THAT(why_ended(),
              AllOf(HasSubstr("server moved"), HasSubstr("moved to the cloud"), HasSubstr("\"other:1883\"")));
  EXPECT_EQ(protocol_->end()->problem, LinkProblem::unsuitable) << "somebody has to set another one";
}

TEST_F(ClientProtocolV5Test, ABrokerOfTheOldVersionIsToldFromOneThatRefuses) {
  start();
  hear(std::string("\x20\x02\0\x01", 4));
  EXPECT_THAT(why_ended(), HasSubstr("does not speak MQTT 5: set protocol = \"3.1.1\""));
  start();
  answer(ReasonCode::unsupported_protocol_version);
  EXPECT_THAT(why_ended(), HasSubstr("does not speak MQTT 5: set protocol = \"3.1.1\""));
  start();
  hear(std::string("\x20\x02\0\x84", 4));
  EXPECT_THAT(why_ended(), HasSubstr("does not speak MQTT 5: set protocol = \"3.1.1\"")) << "without properties";
  start();
  hear(std::string("\x20\x02\0\0", 4));
  EXPECT_THAT(why_ended(), HasSubstr("a CONNACK of another version"));
}

TEST_F(ClientProtocolV5Test, ASessionThatWasToBeginAnewIsNotGoneOnWith) {
  start();
  hear(std::string("\x20\x03\x01\0\0", 5));
  EXPECT_THAT(why_ended(), HasSubstr("a session that was to begin anew"));
  broker_.clean_session = false;
  start();
  hear(std::string("\x20\x03\x01\0\0", 5));
  EXPECT_EQ(why_ended(), "goes on");
}

TEST_F(ClientProtocolV5Test, TheEndHasTheReasonAndTheWordsOfTheBroker) {
  connect();
  Properties words;
  words.set(PropertyId::reason_string, "maintenance");
  std::string bytes;
  encode(DisconnectPacket{ReasonCode::server_shutting_down, words}, kV5, bytes);
  hear(bytes);
  EXPECT_THAT(why_ended(), AllOf(HasSubstr("server shutting down"), HasSubstr("maintenance")));
  connect();
  hear(std::string("\xe0\x01\x8e", 3));
  EXPECT_THAT(why_ended(), HasSubstr("another client uses client id \"c\""));
}

TEST_F(ClientProtocolV5Test, WhatBreaksTheProtocolIsSaidToTheBrokerToo) {
  connect();
  hear(std::string("\x30\x07\0\x01t\x03\x23\0\x01", 9));
  EXPECT_THAT(why_ended(), HasSubstr("a topic alias, though none is allowed"));
  EXPECT_EQ(take_sent(), std::string("\xe0\x01\x94", 3));
}

TEST_F(ClientProtocolV5Test, OfTheOldVersionNothingIsSaidOfAnyOfThis) {
  broker_.protocol = ProtocolVersion::v3_1_1;
  start();
  take_sent();
  hear(std::string("\x20\x02\0\0", 4));
  Publication publication{0, "t", "xy"};
  publication.properties = {"text/plain", true, {{"a", "1"}}};
  protocol_->publish(1, std::move(publication));
  EXPECT_EQ(take_sent(), std::string("\x32\x07\0\x01t\0\x02xy", 9));
  hear(std::string("\x40\x02\0\x02", 4));
  EXPECT_THAT(told_.words, ElementsAre("connected", "published 1"));
  hear(std::string("\xe0\0", 2));
  EXPECT_THAT(why_ended(), HasSubstr("a packet that no broker sends here"));
}

}  // namespace
}  // namespace tidegate::mqtt
