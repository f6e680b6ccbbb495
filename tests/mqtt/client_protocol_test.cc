#include "mqtt/client_protocol.h"

#include <gmock/gmock.h>

#include "mqtt/packet_encoder.h"
#include "tests/mqtt/told.h"

namespace tidegate::mqtt {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr ProtocolVersion kV3 = ProtocolVersion::v3_1_1;

class ClientProtocolTest : public ::testing::Test {
 protected:
  static BrokerOptions options() {
    BrokerOptions options;
    options.uri = "mqtt://broker:1883";
    options.client_id = "c";
    options.keep_alive = seconds(20);  // the broker is told 12
    options.packet_bytes_max = 100'000;
    return options;
  }
  void start(std::vector<Subscription> subscriptions = {}) {
    subscriptions_ = std::move(subscriptions);
    protocol_.emplace(broker_, subscriptions_, told_, std::nullopt, now_);
  }
  void connect(std::vector<Subscription> subscriptions = {}) {
    start(std::move(subscriptions));
    take_sent();
    hear(std::string("\x20\x02\0\0", 4));
  }
  void hear(const std::string& bytes) { protocol_->receive(bytes, now_); }
  void hear_publish(const std::string& topic, const std::string& payload, int qos, std::uint16_t id) {
    hear(publish(topic, payload, qos, id));
  }
  static std::string publish(const std::string& topic, const std::string& payload, int qos, std::uint16_t id) {
    PublishPacket packet;
    packet.topic = topic;
    packet.payload = payload;
    packet.qos = static_cast<std::uint8_t>(qos);
    packet.packet_id = id;
    std::string bytes;
    encode(packet, kV3, bytes);
    return bytes;
  }
  static std::string ack(PacketType type, std::uint16_t id) {
    std::string bytes;
    encode(type, AckPacket{id, ReasonCode::success, {}}, kV3, bytes);
    return bytes;
  }
  std::string take_sent() {
    const std::string sent = std::exchange(protocol_->out(), {});
    if (!sent.empty()) protocol_->sent(now_);
    return sent;
  }
  /// What is sent, as "type" or "type id" of each packet.
  std::vector<std::string> take_packets() {
    std::vector<std::string> packets;
    const std::string sent = take_sent();
    for (std::string_view rest = sent; !rest.empty();) {
      const auto packet = cut_packet(rest, sent.size());
      if (!packet || !*packet) throw std::runtime_error("no packet");
      const auto type = static_cast<int>((*packet)->type);
      std::string words = std::to_string(type);
      if ((*packet)->type == PacketType::publish) {
        words += " " + std::to_string(decode_publish(**packet, kV3)->packet_id);
      } else if (type >= 4 && type <= 7) {
        words += " " + std::to_string(decode_ack(**packet, kV3)->packet_id);
      }
      packets.push_back(words);
      rest.remove_prefix((*packet)->bytes);
    }
    return packets;
  }
  void pass(Duration time, std::optional<std::uint64_t> taken = std::nullopt) {
    now_ += time;
    protocol_->tick(now_, taken);
  }
  std::string why_ended() const { return protocol_->end() ? protocol_->end()->detail : "goes on"; }

  const BrokerOptions broker_ = options();
  std::vector<Subscription> subscriptions_;
  BootTime now_{seconds(1000)};
  Told told_;
  std::optional<ClientProtocol> protocol_;
};

TEST_F(ClientProtocolTest, NothingIsPublishedBeforeTheBrokerHasTakenUsIn) {
  start();
  protocol_->publish(1, {0, "t", "x", 1});
  EXPECT_THAT(take_packets(), ElementsAre("1"));
  hear(std::string("\x20\x02\0\0", 4));
  EXPECT_THAT(take_packets(), ElementsAre("3 2"));
  hear(ack(PacketType::puback, 2));
  EXPECT_THAT(told_.words, ElementsAre("connected", "published 1"));
}

TEST_F(ClientProtocolTest, AnAcknowledgementThatNothingWaitsForChangesNothing) {
  connect();
  hear(ack(PacketType::puback, 2));
  protocol_->publish(7, {0, "t", "x", 1});
  take_sent();
  hear(ack(PacketType::puback, 2) + ack(PacketType::puback, 2) + ack(PacketType::puback, 3));
  EXPECT_THAT(told_.words, ElementsAre("connected", "published 7"));
  EXPECT_EQ(why_ended(), "goes on");
}

TEST_F(ClientProtocolTest, OfQosZeroIsToldWhenItIsSent) {
  connect();
  protocol_->publish(1, {0, "t", "x", 0});
  protocol_->publish(std::nullopt, {0, "t", "x", 0});
  std::string& out = protocol_->out();
  EXPECT_THAT(told_.words, ElementsAre("connected"));
  out.clear();
  protocol_->sent(now_);
  EXPECT_THAT(told_.words, ElementsAre("connected", "published 1"));
}

TEST_F(ClientProtocolTest, NoMoreThanAThousandAreOpenAndNoneWaitsForBytesAheadOfTheSocket) {
  connect();
  for (InFlight::Number number = 0; number < 1200; ++number) protocol_->publish(number, {0, "t", "x", 1});
  EXPECT_EQ(take_packets().size(), 1000U);
  hear(ack(PacketType::puback, 2) + ack(PacketType::puback, 3));
  EXPECT_THAT(take_packets(), ElementsAre("3 1002", "3 1003"));

  connect();
  for (InFlight::Number number = 0; number < 10; ++number)
    protocol_->publish(number, {0, "t", std::string(40'000, 'x'), 1});
  EXPECT_EQ(take_packets().size(), 2U);
  EXPECT_EQ(take_packets().size(), 2U);
}

TEST_F(ClientProtocolTest, NoIdIsTakenTwiceWhileItIsOpen) {
  connect();
  protocol_->publish(0, {0, "t", "x", 1});
  EXPECT_THAT(take_packets(), ElementsAre("3 2"));  // stays open; 1 is the SUBSCRIBE's
  for (unsigned id = 3; id <= 65'535; ++id) {
    protocol_->publish(id, {0, "t", "x", 1});
    take_sent();
    hear(ack(PacketType::puback, static_cast<std::uint16_t>(id)));
  }
  protocol_->publish(1, {0, "t", "x", 1});
  EXPECT_THAT(take_packets(), ElementsAre("3 3"));
}

TEST_F(ClientProtocolTest, AMessageIsAcknowledgedHoweverItIsCut) {
  connect({{"a", 1}});
  take_sent();
  hear(std::string("\x90\x03\0\1\1", 5));
  for (const char byte : publish("a", "payload", 1, 77)) hear(std::string(1, byte));
  EXPECT_THAT(take_packets(), ElementsAre("4 77"));
  EXPECT_THAT(told_.words, ElementsAre("connected", "subscribed, refused 0", "a=payload"));
}

TEST_F(ClientProtocolTest, OneOfQosTwoIsToldOnce) {
  connect();
  hear_publish("a", "x", 2, 5);
  hear_publish("a", "x", 2, 5);
  EXPECT_THAT(take_packets(), ElementsAre("5 5", "5 5"));
  hear(ack(PacketType::pubrel, 5));
  hear_publish("a", "y", 2, 5);
  EXPECT_THAT(take_packets(), ElementsAre("7 5", "5 5"));
  EXPECT_THAT(told_.words, ElementsAre("connected", "a=x", "a=y"));
}

TEST_F(ClientProtocolTest, AMessageThatIsNotTakenHoldsBackWhatIsBehindItAndIsBroughtAgain) {
  connect();
  told_.takes = false;
  const std::string packets = publish("a", "1", 1, 5) + publish("a", "2", 1, 6) + publish("a", "3", 0, 0);
  hear(packets.substr(0, packets.size() - 2));
  EXPECT_TRUE(protocol_->is_parked());
  hear(packets.substr(packets.size() - 2));
  EXPECT_FALSE(protocol_->resume(now_));
  EXPECT_THAT(take_packets(), IsEmpty());
  told_.takes = true;
  EXPECT_TRUE(protocol_->resume(now_));
  EXPECT_FALSE(protocol_->is_parked());
  EXPECT_THAT(take_packets(), ElementsAre("4 5", "4 6"));
  EXPECT_THAT(told_.words, ElementsAre("connected", "not now a=1", "not now a=1", "a=1", "a=2", "a=3"));
}

TEST_F(ClientProtocolTest, WhileAMessageWaitsTheBrokerHearsOfUsAndIsNotMissed) {
  connect();
  told_.takes = false;
  hear(publish("a", "1", 1, 5));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(protocol_->deadline(), now_ + seconds(12));
    pass(seconds(12));
    EXPECT_THAT(take_packets(), ElementsAre("12"));
  }
  EXPECT_EQ(why_ended(), "goes on");
  told_.takes = true;
  protocol_->resume(now_);
  take_sent();
  pass(seconds(12));
  EXPECT_THAT(take_packets(), ElementsAre("12"));
  pass(seconds(17));
  EXPECT_EQ(why_ended(), "goes on");
  pass(seconds(1));
  EXPECT_THAT(why_ended(), HasSubstr("does not answer any more"));
}

// What a broker announces costs no memory.
TEST_F(ClientProtocolTest, AMessageThatIsTooLargeIsLetPassByAndAcknowledged) {
  connect();
  const std::string large = publish("a/b", std::string(1'000'000, 'x'), 1, 9);
  for (std::size_t at = 0; at < large.size(); at += 1000) hear(large.substr(at, 1000));
  hear_publish("a", "small", 1, 10);
  EXPECT_THAT(take_packets(), ElementsAre("4 9", "4 10"));
  EXPECT_THAT(told_.words, ElementsAre("connected", "a/b has " + std::to_string(large.size()), "a=small"));

  hear(std::string("\x30\xff\xff\xff\x7f\0\1a", 8));  // 256 MiB
  hear(std::string(100'000, '\0'));
  EXPECT_EQ(told_.words.back(), "a has 268435460");
  EXPECT_EQ(why_ended(), "goes on");
}

TEST_F(ClientProtocolTest, WhatNoBrokerSaysIsTheEnd) {
  start();
  hear("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_THAT(why_ended(), HasSubstr("check whether that port is an MQTT broker's"));
  for (const std::string& wrong :
       {std::string("\x20\x02\0\0", 4), ack(PacketType::puback, 0), std::string("\x90\x03\0\1\1", 5),
        std::string("\xd0\1x", 3), std::string("\x10\0", 2), std::string("\x40\xff\xff\x7f", 4)}) {
    connect();
    hear(wrong);
    EXPECT_THAT(why_ended(), HasSubstr("what MQTT does not allow")) << static_cast<int>(wrong[0]);
    EXPECT_EQ(protocol_->end()->problem, LinkProblem::lost);
  }
}

TEST_F(ClientProtocolTest, ACodeThatIsNoQosAndNoRefusalIsNoGrant) {
  for (unsigned code = 0; code <= 0xff; ++code) {
    told_.words.clear();
    connect({{"a", 1}});
    hear(std::string("\x90\x03\0\1", 4) + static_cast<char>(code));
    if (code > 2 && code < 0x80) {
      EXPECT_THAT(why_ended(), HasSubstr("neither a QoS nor a refusal")) << code;
    } else {
      const bool is_shared = code == static_cast<unsigned>(ReasonCode::shared_subscriptions_not_supported);
      const bool is_refused = code >= 0x80 && !is_shared;  // that one is told by another name
      EXPECT_THAT(told_.words,
                  ElementsAre("connected", is_refused ? "subscribed, refused 1" : "subscribed, refused 0"));
    }
  }
}

TEST_F(ClientProtocolTest, ARefusalIsExplained) {
  start();
  hear(std::string("\x20\x02\0\x05", 4));
  EXPECT_EQ(protocol_->end()->problem, LinkProblem::refused_login);
  start();
  hear(std::string("\x20\x02\0\xff", 4));
  EXPECT_EQ(protocol_->end()->problem, LinkProblem::unreachable);
}

TEST_F(ClientProtocolTest, ABrokerThatAnswersNothingIsGivenUpInTime) {
  start();
  pass(broker_.connect_timeout - seconds(1));
  EXPECT_EQ(why_ended(), "goes on");
  pass(seconds(1));
  EXPECT_THAT(why_ended(), HasSubstr("does not answer in time"));

  connect({{"a", 1}});
  hear(std::string("\xd0\0", 2));
  pass(broker_.connect_timeout - seconds(1));
  hear(std::string("\xd0\0", 2));  // alive, and no answer
  pass(seconds(1));
  EXPECT_THAT(why_ended(), HasSubstr("does not answer the subscription in time"));
}

// Which it would be for ever: each message is a sign of life.
TEST_F(ClientProtocolTest, ABrokerThatSendsMessagesAndNoAnswerToTheSubscriptionIsGivenUp) {
  connect({{"a", 1}});
  take_sent();
  for (int i = 0; i < 9; ++i) {
    pass(seconds(1));
    hear_publish("a", "old", 0, 0);
  }
  EXPECT_THAT(take_packets(), IsEmpty());
  EXPECT_EQ(protocol_->deadline(), now_ + seconds(1));
  pass(seconds(1));
  EXPECT_THAT(take_packets(), ElementsAre("12"));
  hear_publish("a", "old", 0, 0);
  EXPECT_GT(protocol_->deadline(), now_);
  hear(std::string("\xd0\0", 2));
  EXPECT_LE(protocol_->deadline(), now_);
  pass(seconds(0));
  EXPECT_THAT(why_ended(), HasSubstr("does not answer the subscription in time, though it sends messages"));
}

TEST_F(ClientProtocolTest, OnASlowLineTheAnswerToTheSubscriptionMayComeLate) {
  connect({{"a", 1}});
  for (int i = 0; i < 200; ++i) {
    hear_publish("a", "old", 0, 0);
    pass(seconds(8));
    take_sent();
  }
  EXPECT_EQ(why_ended(), "goes on");
  hear(std::string("\x90\x03\0\1\1\xd0\0", 7));
  pass(seconds(8));
  EXPECT_EQ(why_ended(), "goes on");
  EXPECT_EQ(told_.words.back(), "subscribed, refused 0");
}

TEST_F(ClientProtocolTest, ABrokerThatAnswersNoSignOfLifeEitherIsGivenUpAtLast) {
  connect({{"a", 1}});
  int passed = 0;
  for (; !protocol_->end() && passed < 10'000; ++passed) {
    hear_publish("a", "old", 0, 0);
    pass(seconds(1));
    take_sent();
  }
  EXPECT_EQ(passed, 1800);
  EXPECT_THAT(why_ended(), HasSubstr("does not answer the subscription"));
}

TEST_F(ClientProtocolTest, ASignOfLifeIsAskedForAndWaitedFor) {
  connect();
  pass(seconds(12));
  EXPECT_THAT(take_packets(), ElementsAre("12"));
  hear(std::string("\xd0\0", 2));
  pass(seconds(12));
  EXPECT_THAT(take_packets(), ElementsAre("12"));
  pass(seconds(17));
  EXPECT_EQ(why_ended(), "goes on");
  pass(seconds(1));
  EXPECT_THAT(why_ended(), HasSubstr("does not answer any more"));
}

// The answer would stand behind what the socket does not take.
TEST_F(ClientProtocolTest, NoSignOfLifeIsAskedForBehindWhatIsNotSentYet) {
  connect();
  for (std::uint64_t taken = 0; taken < 20; ++taken) pass(seconds(17), taken);
  EXPECT_THAT(take_sent(), IsEmpty());
  EXPECT_EQ(why_ended(), "goes on") << "it takes a byte now and then";
}

TEST_F(ClientProtocolTest, ABrokerThatTakesNothingAndSaysNothingIsGone) {
  connect();
  pass(seconds(12), 100);
  pass(seconds(6), 100);
  hear(ack(PacketType::puback, 9));
  for (int i = 0; i < 2; ++i) {
    pass(seconds(6), 100);
    EXPECT_EQ(protocol_->deadline(), now_ + seconds(6));
    EXPECT_EQ(why_ended(), "goes on") << i;
  }
  pass(seconds(6), 100);
  EXPECT_THAT(why_ended(), HasSubstr("takes nothing any more"));
}

// The kernel still has room for something small, and nobody takes it.
TEST_F(ClientProtocolTest, WhatGoesAsFarAsTheKernelProvesNothing) {
  connect();
  pass(seconds(12), 100);
  for (int i = 0; i < 2; ++i) {
    protocol_->sent(now_);
    pass(seconds(6), 100);
    EXPECT_EQ(why_ended(), "goes on") << i;
  }
  protocol_->sent(now_);
  pass(seconds(6), 100);
  EXPECT_THAT(why_ended(), HasSubstr("takes nothing any more"));
}

TEST_F(ClientProtocolTest, WhereItGoesOnAgainNoSignOfLifeIsAskedForBeforeItIsDue) {
  connect();
  pass(seconds(12), 100);
  protocol_->sent(now_);
  hear(ack(PacketType::puback, 9));
  pass(seconds(6));
  EXPECT_THAT(take_packets(), IsEmpty());
  EXPECT_EQ(protocol_->deadline(), now_ + seconds(6));
}

TEST_F(ClientProtocolTest, WhatIsSentAtLastIsNoJamAnyMore) {
  connect();
  pass(seconds(12), 100);
  pass(seconds(6), 100);
  protocol_->sent(now_);
  pass(seconds(12));
  EXPECT_THAT(take_packets(), ElementsAre("12"));
  EXPECT_EQ(why_ended(), "goes on");
}

TEST_F(ClientProtocolTest, AGoodbyeLeavesBehindWhatWaits) {
  start();
  EXPECT_FALSE(protocol_->say_goodbye());
  connect();
  protocol_->publish(1, {0, "t", "x", 1});
  EXPECT_TRUE(protocol_->say_goodbye());
  EXPECT_THAT(take_packets(), ElementsAre("14"));
}

}  // namespace
}  // namespace tidegate::mqtt
