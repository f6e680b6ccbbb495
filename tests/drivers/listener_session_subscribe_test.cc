// What a client may say about subscriptions, and what it is told.
#include "tests/drivers/fake_latest.h"
#include "tests/drivers/listener_session_fixture.h"

namespace tidegate::drivers {
namespace {

class ListenerSubscribeTest : public ListenerSessionTest {
 protected:
  ListenerSubscribeTest() { host_.latest = &latest_; }

  void send_subscribe(const std::vector<mqtt::SubscribeEntry>& entries, std::uint32_t identifier = 0) {
    mqtt::SubscribePacket packet{4, entries, {}};
    if (identifier > 0) packet.properties.set(PropertyId::subscription_identifier, identifier);
    std::string bytes;
    mqtt::encode(packet, GetParam(), bytes);
    send(bytes);
  }
  static mqtt::SubscribeEntry to(std::string_view filter, std::uint8_t qos = 0) {
    return {filter, qos, false, false, 0};
  }
  std::vector<ReasonCode> next_reasons() {
    const auto packet = next();
    if (!packet) return {};
    const auto suback = mqtt::decode_suback(*packet, GetParam());
    if (!suback || suback->packet_id != 4) return {};
    return suback->reasons;
  }
  /// As 3.1.1 says it, which knows one failure.
  ReasonCode failure(ReasonCode reason) const { return v5() ? reason : ReasonCode::unspecified_error; }
  std::vector<std::string> sent() {
    std::size_t budget = 100'000;
    if (session_->wants_to_send()) session_->subscriber()->fill(session_->out(), budget);
    const auto messages = messages_in(session_->out(), GetParam());
    session_->out().clear();
    return messages;
  }
  void expect_ended(const std::string& bytes) {
    reconnect();
    connected();
    send(bytes);
    EXPECT_TRUE(session_->is_over());
    EXPECT_NE(next_disconnect(), v5() ? ReasonCode::success : ReasonCode::malformed_packet);
  }

  FakeLatest latest_;
};

INSTANTIATE_TEST_SUITE_P(Versions, ListenerSubscribeTest,
                         ::testing::Values(ProtocolVersion::v3_1_1, ProtocolVersion::v5),
                         [](const auto& tested) { return tested.param == ProtocolVersion::v5 ? "v5" : "v311"; });

TEST_P(ListenerSubscribeTest, IsGrantedAtMostQos1) {
  connected();
  send_subscribe({to("a/#"), to("b/#", 1), to("c/#", 2)});
  EXPECT_THAT(next_reasons(), ElementsAre(ReasonCode::success, ReasonCode::granted_qos_1, ReasonCode::granted_qos_1));
}

TEST_P(ListenerSubscribeTest, IsReadTheFirstFiltersOfAPacketThatHasVeryMany) {
  constexpr std::size_t kSent = 260'000;
  constexpr std::size_t kRead = ListenerSession::kFiltersReadMax;
  limits_.packet_bytes_max = 4 * 1024 * 1024;
  connected();
  send_subscribe(std::vector<mqtt::SubscribeEntry>(kSent, to("secret")));
  const auto reasons = next_reasons();
  ASSERT_EQ(reasons.size(), kSent) << "one for each filter (section 3.9.3)";
  EXPECT_EQ(reasons[kRead - 1], failure(ReasonCode::not_authorized));
  EXPECT_EQ(std::count(reasons.begin() + kRead, reasons.end(), failure(ReasonCode::quota_exceeded)), kSent - kRead);
  EXPECT_EQ(host_.filters_read, kRead);
  EXPECT_EQ(host_.filters_unread, kSent - kRead);
  send_subscribe(std::vector<mqtt::SubscribeEntry>(kRead, to("a/#")));
  EXPECT_EQ(next_reasons(), std::vector<ReasonCode>(kRead, ReasonCode::success));
  EXPECT_EQ(host_.filters_unread, kSent - kRead);
}

TEST_P(ListenerSubscribeTest, UnsubscribesTheFirstFiltersOfAPacketThatHasVeryMany) {
  constexpr std::size_t kSent = 260'000;
  constexpr std::size_t kRead = ListenerSession::kFiltersReadMax;
  limits_.packet_bytes_max = 4 * 1024 * 1024;
  connected();
  send_subscribe({to("a/#"), to("b/#")});
  (void)next_reasons();
  std::vector<std::string_view> filters(kSent, "x");
  filters[kRead - 1] = "a/#";
  filters[kRead] = "b/#";
  const auto send_filters = [&] {
    std::string bytes;
    mqtt::encode(mqtt::UnsubscribePacket{4, filters, {}}, GetParam(), bytes);
    send(bytes);
  };
  send_filters();
  EXPECT_EQ(host_.filters_unread, kSent - kRead);
  if (!v5()) {
    EXPECT_TRUE(session_->is_over()) << "the answer of 3.1.1 could not say what was not done";
    EXPECT_FALSE(next());
    return;
  }
  const auto reasons = next_reasons();
  ASSERT_EQ(reasons.size(), kSent) << "one for each filter (section 3.11.3)";
  EXPECT_EQ(reasons[0], ReasonCode::no_subscription_existed);
  EXPECT_EQ(reasons[kRead - 1], ReasonCode::success);
  EXPECT_EQ(std::count(reasons.begin() + kRead, reasons.end(), ReasonCode::implementation_specific_error),
            kSent - kRead);
  EXPECT_EQ(session_->subscriber()->subscriptions(), 1U) << "b/# was not looked at";
  filters.resize(kRead);
  send_filters();
  EXPECT_EQ(next_reasons(), std::vector<ReasonCode>(kRead, ReasonCode::no_subscription_existed));
  EXPECT_EQ(host_.filters_unread, kSent - kRead);
}

TEST_P(ListenerSubscribeTest, IsSentMessagesAndAcknowledgesThem) {
  latest_.set_and_report("a/x", "1");
  connected();
  send_subscribe({to("a/#", 1)});
  ASSERT_EQ(next_reasons().size(), 1U);
  EXPECT_THAT(sent(), ElementsAre("a/x=1 r1"));
  std::string bytes;
  mqtt::encode(PacketType::puback, mqtt::AckPacket{1, ReasonCode::success, {}}, GetParam(), bytes);
  send(bytes);
  connect(false);  // a second CONNECT ends it
  reconnect();
  connect(false);
  EXPECT_TRUE(next_connack().session_present);
  EXPECT_THAT(sent(), IsEmpty()) << "it was acknowledged";
}

TEST_P(ListenerSubscribeTest, GoesOnInTheSessionOfBefore) {
  connected();
  send_subscribe({to("a/#", 1)});
  ASSERT_EQ(next_reasons().size(), 1U);
  latest_.set_and_report("a/x", "1");
  session_->subscriber()->note_changed(latest_.last_changed);
  EXPECT_THAT(sent(), ElementsAre("a/x=1 1"));
  host_.states["sensor"]->subscriber->leave();
  latest_.set_and_report("a/x", "2");
  reconnect();
  connect(false);
  EXPECT_TRUE(next_connack().session_present);
  EXPECT_THAT(sent(), ElementsAre("a/x=2 d1"));
  reconnect();
  connected(true);
  EXPECT_EQ(session_->subscriber(), nullptr) << "a clean start ends it";
}

TEST_P(ListenerSubscribeTest, RespectsWhatTheClientTakes) {
  for (const char* topic : {"a/1", "a/2", "a/3"}) latest_.set(topic, "1");
  latest_.set("a/4", std::string(1000, 'x'));
  latest_.report();
  mqtt::ConnectPacket connect;
  connect.version = GetParam();
  connect.client_id = "panel";
  connect.clean_start = true;
  connect.properties.set(PropertyId::receive_maximum, 2);
  connect.properties.set(PropertyId::maximum_packet_size, 200);
  limits_.inflight_max = 3;
  reconnect();
  send_connect(connect);
  ASSERT_EQ(next_connack().reason, ReasonCode::success);
  send_subscribe({to("a/#", 1)});
  ASSERT_EQ(next_reasons().size(), 1U);
  EXPECT_EQ(sent().size(), v5() ? 2U : 3U) << "3.1.1 has no receive maximum, and the listener's own holds";
  for (std::uint16_t id = 1; id <= 3; ++id) session_->subscriber()->acknowledge(id);
  EXPECT_EQ(sent().size(), 1U) << "3, and 4 only in 3.1.1";
  EXPECT_FALSE(session_->wants_to_send());
}

TEST_P(ListenerSubscribeTest, IsRefusedWhatIsNotThere) {
  connected();
  send_subscribe({to("$share/g/a/#"), to("secret/#"), to("a/#")});
  EXPECT_THAT(next_reasons(), ElementsAre(failure(ReasonCode::shared_subscriptions_not_supported),
                                          failure(ReasonCode::not_authorized), ReasonCode::success));
  if (!v5()) return;
  send_subscribe({to("a/#")}, 7);
  EXPECT_THAT(next_reasons(), ElementsAre(ReasonCode::subscription_identifiers_not_supported));
}

TEST_P(ListenerSubscribeTest, IsToldWhatItIsNotSubscribedTo) {
  connected();
  send_subscribe({to("a/#")});
  ASSERT_EQ(next_reasons().size(), 1U);
  std::string bytes;
  mqtt::encode(mqtt::UnsubscribePacket{4, {"a/#", "a/#"}, {}}, GetParam(), bytes);
  send(bytes);
  const auto packet = next();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->type, PacketType::unsuback);
  if (v5()) {
    EXPECT_THAT(mqtt::decode_suback(*packet, GetParam())->reasons,
                ElementsAre(ReasonCode::success, ReasonCode::no_subscription_existed));
  }
  latest_.set_and_report("a/x", "1");
  session_->subscriber()->note_changed(latest_.last_changed);
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_P(ListenerSubscribeTest, EndsWithAFilterThatIsNone) {
  for (const char* bad : {"", "a#", "a/#/b", "a+", "+a/b"}) {
    SCOPED_TRACE(bad);
    reconnect();
    connected();
    send_subscribe({to("a/x"), to(bad)});
    EXPECT_TRUE(session_->is_over());
    EXPECT_EQ(next_disconnect(), v5() ? ReasonCode::malformed_packet : ReasonCode::success);
  }
}

// Packet identifier, properties in version 5, then entries: filter and options.
TEST_P(ListenerSubscribeTest, EndsWithASubscribeThatIsMalformed) {
  const std::string properties = v5() ? std::string(1, '\0') : "";
  const auto packet = [&](unsigned first, const std::string& id, const std::string& entries) {
    const std::string body = id + properties + entries;
    return std::string(1, static_cast<char>(first)) + static_cast<char>(body.size()) + body;
  };
  using namespace std::string_literals;
  const std::string id = "\0\1"s;
  expect_ended(packet(0x80, id, "\0\1a\0"s));  // flags are not 2
  expect_ended(packet(0x82, "\0\0"s, "\0\1a\0"s));
  expect_ended(packet(0x82, id, ""));
  expect_ended(packet(0x82, id, "\0\1a"s));  // no options
  expect_ended(packet(0x82, id, "\0\2a"s));
  expect_ended(packet(0x82, id, "\0\1a\3"s));  // QoS 3
  expect_ended(packet(0x82, id, "\0\1a\xc0"s));
  expect_ended(packet(0x82, id, "\0\1a\x30"s));  // retain handling 3
  expect_ended(packet(0x82, id, "\0\1\xff\0"s));
  expect_ended(packet(0xa0, id, "\0\1a"s));
  expect_ended(packet(0xa2, id, ""));
  expect_ended(packet(0xa2, "\0\0"s, "\0\1a"s));
  expect_ended(packet(0x40, "\0\0"s, ""));  // a PUBACK
  if (!v5()) expect_ended(packet(0x82, id, "\0\1a\4"s));
}

TEST_P(ListenerSubscribeTest, AnAcknowledgementOfWhatWasNeverSentIsNothing) {
  connected();
  send(std::string("\x40\x02\x00\x07", 4));
  EXPECT_FALSE(session_->is_over());
}

}  // namespace
}  // namespace tidegate::drivers
