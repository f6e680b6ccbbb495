#include <gmock/gmock.h>

#include <array>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "mqtt/packet_decoder.h"
#include "mqtt/packet_encoder.h"
#include "mqtt/wire.h"
#include "tests/support/seed.h"

namespace tidegate::mqtt {
namespace {

using namespace std::string_literals;
using ::testing::HasSubstr;

constexpr std::size_t kLarge = 1024 * 1024;
constexpr ProtocolVersion kVersions[] = {ProtocolVersion::v3_1_1, ProtocolVersion::v5};

/// The one packet that `bytes` is.
RawPacket cut(const std::string& bytes) {
  const auto packet = cut_packet(bytes, kLarge);
  if (!packet || !*packet) {
    ADD_FAILURE() << "no packet: " << (packet ? "it is not all there" : packet.error().message);
    return {};
  }
  EXPECT_EQ((*packet)->bytes, bytes.size());
  return **packet;
}

/// Decodes whatever it is; the message of what is wrong, or "".
std::string problem_of(const RawPacket& packet, ProtocolVersion version) {
  const auto message = [](const auto& decoded) { return decoded ? "" : std::string(decoded.error().message); };
  switch (packet.type) {
    case PacketType::connect:
      return message(decode_connect(packet));
    case PacketType::connack:
      return message(decode_connack(packet, version));
    case PacketType::publish:
      return message(decode_publish(packet, version));
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubrel:
    case PacketType::pubcomp:
      return message(decode_ack(packet, version));
    case PacketType::subscribe:
      return message(decode_subscribe(packet, version));
    case PacketType::unsubscribe:
      return message(decode_unsubscribe(packet, version));
    case PacketType::suback:
    case PacketType::unsuback:
      return message(decode_suback(packet, version));
    case PacketType::disconnect:
    case PacketType::auth:
      return message(decode_disconnect(packet, version));
    case PacketType::pingreq:
    case PacketType::pingresp:
      return message(decode_empty(packet));
  }
  return "no type";
}

std::string problem_of(const std::string& bytes, ProtocolVersion version) {
  const auto packet = cut_packet(bytes, kLarge);
  if (!packet) return packet.error().message;
  return *packet ? problem_of(**packet, version) : "it is not all there";
}

ConnectPacket full_connect(ProtocolVersion version) {
  ConnectPacket connect;
  connect.version = version;
  connect.clean_start = true;
  connect.keep_alive_seconds = 30;
  connect.client_id = "sensor-1";
  connect.user_name = "user";
  connect.password = std::string_view("pass\0word", 9);
  Will will;
  will.topic = "plant/gone";
  will.payload = "bye";
  will.qos = 1;
  will.retain = true;
  if (version == ProtocolVersion::v5) {
    will.properties.set(PropertyId::will_delay_interval, 5);
    connect.properties.set(PropertyId::receive_maximum, 1000);
    connect.properties.set(PropertyId::session_expiry_interval, 0xffffffff);
  }
  connect.will = will;
  return connect;
}

/// One packet of every kind, with every field filled.
std::vector<std::string> every_packet(ProtocolVersion version) {
  const bool v5 = version == ProtocolVersion::v5;
  std::vector<std::string> packets;
  const auto add = [&packets](const std::function<void(std::string&)>& write) { write(packets.emplace_back()); };
  add([&](std::string& out) { encode(full_connect(version), out); });
  add([&](std::string& out) {
    ConnackPacket connack{true, ReasonCode::not_authorized, {}};
    if (v5) connack.properties.set(PropertyId::assigned_client_identifier, "given");
    if (v5) connack.properties.set(PropertyId::maximum_qos, 1);
    encode(connack, version, out);
  });
  add([&](std::string& out) {
    PublishPacket publish;
    publish.topic = "plant/boiler/temp";
    publish.payload = "{\"value\":21.5}";
    publish.qos = 1;
    publish.packet_id = 77;
    publish.duplicate = publish.retain = true;
    if (v5) publish.properties.set(PropertyId::topic_alias, 3);
    if (v5) publish.properties.set(PropertyId::content_type, "application/json");
    const std::array<UserProperty, 2> user{{{"tidegate-stream", "readings"}, {"", ""}}};
    if (v5) publish.properties.set_user(user);
    encode(publish, version, out);
    EXPECT_EQ(out.size(), encoded_bytes(publish, version));
  });
  for (const auto type : {PacketType::puback, PacketType::pubrec, PacketType::pubrel, PacketType::pubcomp}) {
    add([&](std::string& out) {
      AckPacket ack;
      ack.packet_id = 65535;
      if (v5) ack.properties.set(PropertyId::reason_string, "because");
      encode(type, ack, version, out);
    });
  }
  add([&](std::string& out) {
    SubscribePacket subscribe{9, {{"a/+", 1, v5, v5, std::uint8_t(v5 ? 2 : 0)}, {"b/#", 2, false, false, 0}}, {}};
    if (v5) subscribe.properties.set(PropertyId::subscription_identifier, 200);
    encode(subscribe, version, out);
  });
  add([&](std::string& out) { encode(UnsubscribePacket{10, {"a/+", "b/#"}, {}}, version, out); });
  for (const auto type : {PacketType::suback, PacketType::unsuback}) {
    add([&](std::string& out) {
      encode(type, SubackPacket{11, {ReasonCode::granted_qos_1, ReasonCode::not_authorized}, {}}, version, out);
    });
  }
  add([&](std::string& out) {
    DisconnectPacket disconnect;
    if (v5) disconnect.reason = ReasonCode::session_taken_over;
    encode(disconnect, version, out);
  });
  add([](std::string& out) { encode_empty(PacketType::pingreq, out); });
  add([](std::string& out) { encode_empty(PacketType::pingresp, out); });
  return packets;
}

TEST(Packet, ConnectComesBackWithEveryField) {
  for (const auto version : kVersions) {
    std::string bytes;
    encode(full_connect(version), bytes);
    const auto connect = decode_connect(cut(bytes));
    ASSERT_TRUE(connect) << connect.error().message;
    EXPECT_EQ(connect->version, version);
    EXPECT_TRUE(connect->clean_start);
    EXPECT_EQ(connect->keep_alive_seconds, 30);
    EXPECT_EQ(connect->client_id, "sensor-1");
    EXPECT_EQ(connect->user_name, "user");
    EXPECT_EQ(connect->password, "pass\0word"s);
    ASSERT_TRUE(connect->will);
    EXPECT_EQ(connect->will->topic, "plant/gone");
    EXPECT_EQ(connect->will->payload, "bye");
    EXPECT_EQ(connect->will->qos, 1);
    EXPECT_TRUE(connect->will->retain);
    const bool v5 = version == ProtocolVersion::v5;
    EXPECT_EQ(connect->will->properties.number(PropertyId::will_delay_interval, 0), v5 ? 5U : 0U);
    EXPECT_EQ(connect->properties.number(PropertyId::receive_maximum, 65535), v5 ? 1000U : 65535U);
    EXPECT_EQ(connect->properties.number(PropertyId::session_expiry_interval, 0), v5 ? 0xffffffffU : 0U);
  }
}

// As in section 3.3 of both specifications.
TEST(Packet, PublishIsTheBytesOfTheSpecification) {
  PublishPacket publish;
  publish.topic = "a/b";
  publish.payload = "x";
  publish.qos = 1;
  publish.packet_id = 10;
  std::string v3;
  encode(publish, ProtocolVersion::v3_1_1, v3);
  EXPECT_EQ(v3, "\x32\x08\x00\x03"s + "a/b" + "\x00\x0a"s + "x");
  std::string v5;
  encode(publish, ProtocolVersion::v5, v5);
  EXPECT_EQ(v5, "\x32\x09\x00\x03"s + "a/b" + "\x00\x0a\x00"s + "x");
}

TEST(Packet, PublishComesBackWithEveryField) {
  const auto packets = every_packet(ProtocolVersion::v5);
  const auto publish = decode_publish(cut(packets[2]), ProtocolVersion::v5);
  ASSERT_TRUE(publish) << publish.error().message;
  EXPECT_EQ(publish->topic, "plant/boiler/temp");
  EXPECT_EQ(publish->payload, "{\"value\":21.5}");
  EXPECT_EQ(publish->qos, 1);
  EXPECT_EQ(publish->packet_id, 77);
  EXPECT_TRUE(publish->duplicate);
  EXPECT_TRUE(publish->retain);
  EXPECT_EQ(publish->properties.number(PropertyId::topic_alias, 0), 3U);
  EXPECT_EQ(publish->properties.text(PropertyId::content_type), "application/json");
}

TEST(Packet, AnAcknowledgementIsFourBytesWhenAllIsWell) {
  for (const auto version : kVersions) {
    std::string bytes;
    encode(PacketType::puback, AckPacket{258, ReasonCode::success, {}}, version, bytes);
    EXPECT_EQ(bytes, "\x40\x02\x01\x02"s);
    const auto ack = decode_ack(cut(bytes), version);
    ASSERT_TRUE(ack);
    EXPECT_EQ(ack->packet_id, 258);
  }
}

TEST(Packet, SubscribeComesBackWithEveryField) {
  const auto packets = every_packet(ProtocolVersion::v5);
  const auto subscribe = decode_subscribe(cut(packets[7]), ProtocolVersion::v5);
  ASSERT_TRUE(subscribe) << subscribe.error().message;
  ASSERT_EQ(subscribe->entries.size(), 2U);
  EXPECT_EQ(subscribe->entries[0].filter, "a/+");
  EXPECT_EQ(subscribe->entries[0].qos, 1);
  EXPECT_TRUE(subscribe->entries[0].no_local);
  EXPECT_TRUE(subscribe->entries[0].retain_as_published);
  EXPECT_EQ(subscribe->entries[0].retain_handling, 2);
  EXPECT_EQ(subscribe->properties.number(PropertyId::subscription_identifier, 0), 200U);
}

TEST(Packet, RefusalsOf311AreTheNearestCodes) {
  std::string bytes;
  encode(ConnackPacket{false, ReasonCode::not_authorized, {}}, ProtocolVersion::v3_1_1, bytes);
  EXPECT_EQ(bytes, "\x20\x02\x00\x05"s);
  EXPECT_EQ(decode_connack(cut(bytes), ProtocolVersion::v3_1_1)->reason, ReasonCode::not_authorized);
  std::string suback;
  encode(PacketType::suback, SubackPacket{1, {ReasonCode::quota_exceeded}, {}}, ProtocolVersion::v3_1_1, suback);
  EXPECT_EQ(suback.back(), '\x80');
}

TEST(Packet, EveryKindIsReadAndIsNotReadWhenItIsCutAnywhere) {
  for (const auto version : kVersions) {
    for (const std::string& bytes : every_packet(version)) {
      EXPECT_EQ(problem_of(bytes, version), "");
      for (std::size_t length = 0; length < bytes.size(); ++length) {
        const auto packet = cut_packet(std::string_view(bytes).substr(0, length), kLarge);
        ASSERT_TRUE(packet) << packet.error().message;
        ASSERT_FALSE(*packet) << "cut to " << length;
      }
    }
  }
}

// With the body cut and the length made to fit: what is missing is noticed, whatever field it is in.
TEST(Packet, ABodyThatEndsTooEarlyIsRefused) {
  for (const auto version : kVersions) {
    for (const std::string& bytes : every_packet(version)) {
      const RawPacket whole = cut(bytes);
      for (std::size_t length = 0; length < whole.body.size(); ++length) {
        RawPacket shorter = whole;
        const std::string copy(whole.body.substr(0, length));  // so that a sanitizer sees reads behind it
        shorter.body = copy;
        const std::string problem = problem_of(shorter, version);
        const bool may_be_shorter = whole.type == PacketType::publish || whole.type == PacketType::suback ||
                                    whole.type == PacketType::unsuback || whole.type == PacketType::disconnect ||
                                    whole.type == PacketType::unsubscribe || whole.type == PacketType::subscribe ||
                                    (length == 2 || length == 3);  // an acknowledgement without reason or properties
        ASSERT_TRUE(may_be_shorter || !problem.empty()) << static_cast<int>(whole.type) << " cut to " << length;
      }
    }
  }
}

TEST(Packet, NoFlippedBitDoesHarm) {
  for (const auto version : kVersions) {
    for (const std::string& bytes : every_packet(version)) {
      for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        std::string changed = bytes;
        changed[bit / 8] = static_cast<char>(static_cast<unsigned char>(changed[bit / 8]) ^ 1U << bit % 8);
        (void)problem_of(changed, version);  // the sanitizers watch
      }
    }
  }
}

TEST(Packet, RandomBytesDoNoHarm) {
  const auto seed = testing::from_environment("TIDEGATE_SEED", 1);
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(static_cast<std::uint32_t>(seed));
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(1 + random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    RawPacket packet;
    packet.type = static_cast<PacketType>(1 + random() % 15);
    packet.flags = static_cast<std::uint8_t>(random() % 16);
    packet.body = bytes;
    (void)problem_of(packet, kVersions[i % 2]);
    const auto first = cut_packet(bytes, 16);
    ASSERT_TRUE(!first || !*first || (*first)->bytes <= bytes.size());
  }
}

TEST(Packet, RemainingLengthsAreAsLongAsTheyHaveToBe) {
  EXPECT_EQ(problem_of("\xc0\x80\x00"s, ProtocolVersion::v5), "the remaining length is longer than it has to be");
  EXPECT_THAT(problem_of("\xc0\xff\xff\xff\xff\x01"s, ProtocolVersion::v5), HasSubstr("more than four bytes"));
  const auto too_large = cut_packet("\x30\xff\xff\xff\x7f"s, 1024);
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().reason, ReasonCode::packet_too_large);
}

TEST(Packet, WhatTheSpecificationForbidsIsRefused) {
  struct Case {
    const char* what;
    std::string bytes;
    ProtocolVersion version;
  };
  const auto v3 = ProtocolVersion::v3_1_1;
  const auto v5 = ProtocolVersion::v5;
  const Case cases[] = {
      {"type 0", "\x00\x00"s, v5},
      {"flags of SUBSCRIBE", "\x80\x06\x00\x01\x00\x01"s + "a" + "\x00"s, v3},
      {"flags of PINGREQ", "\xc1\x00"s, v3},
      {"a PINGREQ with a body", "\xc0\x01\x00"s, v3},
      {"QoS 3", "\x36\x05\x00\x01"s + "a" + "\x00\x01"s, v3},
      {"DUP with QoS 0", "\x38\x03\x00\x01"s + "a", v3},
      {"packet id 0", "\x32\x05\x00\x01"s + "a" + "\x00\x00"s, v3},
      {"an empty topic", "\x30\x02\x00\x00"s, v3},
      {"an empty topic without alias", "\x30\x03\x00\x00\x00"s, v5},
      {"a wildcard in a topic", "\x30\x05\x00\x03"s + "a/#", v3},
      {"U+0000 in a topic", "\x30\x05\x00\x03"s + "a\0b"s, v3},
      {"a topic that is not UTF-8", "\x30\x04\x00\x02"s + "\xc3\x28", v3},
      {"a surrogate in a topic", "\x30\x05\x00\x03"s + "\xed\xa0\x80", v3},
      {"a property twice", "\x30\x0a\x00\x01"s + "a" + "\x06\x23\x00\x01\x23\x00\x01"s, v5},
      {"an unknown property", "\x30\x06\x00\x01"s + "a" + "\x02\x7e\x00"s, v5},
      {"a property of another packet", "\x30\x07\x00\x01"s + "a" + "\x03\x21\x00\x01"s, v5},
      {"a topic alias of 0", "\x30\x07\x00\x01"s + "a" + "\x03\x23\x00\x00"s, v5},
      {"a flag property of 2", "\x30\x06\x00\x01"s + "a" + "\x02\x01\x02"s, v5},
      {"properties longer than the packet", "\x30\x05\x00\x01"s + "a" + "\x09\x01"s, v5},
      {"a SUBSCRIBE without filter", "\x82\x02\x00\x01"s, v3},
      {"a subscription of QoS 3", "\x82\x06\x00\x01\x00\x01"s + "a" + "\x03"s, v3},
      {"retain handling 3", "\x82\x07\x00\x01\x00\x00\x01"s + "a" + "\x30"s, v5},
      {"an UNSUBSCRIBE without filter", "\xa2\x02\x00\x01"s, v3},
      {"a reserved connect flag", "\x10\x0c\x00\x04MQTT\x04\x01\x00\x00\x00\x00"s, v3},
      {"will flags without will", "\x10\x0c\x00\x04MQTT\x04\x08\x00\x00\x00\x00"s, v3},
      {"a password without user", "\x10\x0e\x00\x04MQTT\x04\x42\x00\x00\x00\x00\x00\x00"s, v3},
      {"bytes behind the client id", "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x00x"s, v3},
      {"a reason that no PUBACK has", "\x40\x03\x00\x01\x8e"s, v5},
      {"a reason in a PUBACK of 3.1.1", "\x40\x03\x00\x01\x00"s, v3},
  };
  for (const Case& one : cases) EXPECT_NE(problem_of(one.bytes, one.version), "") << one.what;
}

TEST(Packet, AnotherProtocolIsNamedSo) {
  for (const auto& bytes :
       {"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x00\x00\x00"s, "\x10\x0c\x00\x04MQTT\x06\x02\x00\x00\x00\x00"s,
        "\x10\x0c\x00\x04MQXX\x04\x02\x00\x00\x00\x00"s}) {
    const auto connect = decode_connect(cut(bytes));
    ASSERT_FALSE(connect);
    EXPECT_EQ(connect.error().reason, ReasonCode::unsupported_protocol_version);
  }
}

TEST(Packet, TopicsOfTheGreatestLengthPass) {
  const std::string topic(kTextBytesMax, 't');
  PublishPacket publish;
  publish.topic = topic;
  std::string bytes;
  encode(publish, ProtocolVersion::v3_1_1, bytes);
  EXPECT_EQ(decode_publish(cut(bytes), ProtocolVersion::v3_1_1)->topic, topic);
}

TEST(Packet, OnlyFullPacketsAreCutOffAStream) {
  std::string stream;
  for (int i = 1; i <= 3; ++i)
    encode(PacketType::puback, {std::uint16_t(i), ReasonCode::success, {}}, ProtocolVersion::v5, stream);
  std::string_view rest = std::string_view(stream).substr(0, stream.size() - 1);
  std::vector<int> ids;
  for (;;) {
    const auto packet = cut_packet(rest, kLarge);
    ASSERT_TRUE(packet);
    if (!*packet) break;
    ids.push_back(decode_ack(**packet, ProtocolVersion::v5)->packet_id);
    rest.remove_prefix((*packet)->bytes);
  }
  EXPECT_EQ(ids, (std::vector{1, 2}));
  EXPECT_EQ(rest.size(), 3U);
}

TEST(PublishHead, IsFoundInEveryBeginningThatHoldsIt) {
  PublishPacket publish;
  publish.topic = "plant/pump/rpm";
  publish.packet_id = 77;
  publish.qos = 1;
  const std::string payload(1000, 'x');
  publish.payload = payload;
  for (const ProtocolVersion version : kVersions) {
    std::string bytes;
    encode(publish, version, bytes);
    const std::size_t head_bytes = 1 + 2 + 2 + publish.topic.size() + 2;
    for (std::size_t length = 0; length <= bytes.size(); ++length) {
      const auto head = peek_publish(std::string_view(bytes).substr(0, length));
      ASSERT_TRUE(head) << head.error().message;
      ASSERT_EQ(head->has_value(), length >= head_bytes) << length;
      if (!*head) continue;
      EXPECT_EQ((*head)->topic, "plant/pump/rpm");
      EXPECT_EQ((*head)->packet_id, 77);
      EXPECT_EQ((*head)->qos, 1);
      EXPECT_EQ((*head)->bytes, bytes.size());
    }
  }
}

TEST(PublishHead, IsRefusedWhenItIsNone) {
  EXPECT_FALSE(peek_publish("\x36\x03\x00\x01t"s)) << "QoS 3";
  EXPECT_FALSE(peek_publish("\x32\x05\x00\x01t\x00\x00"s)) << "packet identifier 0";
  EXPECT_FALSE(peek_publish("\x32\x04\x00\x09t\x01"s)) << "a topic that is longer than its packet";
}

}  // namespace
}  // namespace tidegate::mqtt
