#include "drivers/mqtt_listener/listener_core.h"

#include <gmock/gmock.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/value.h"
#include "mqtt/packet_encoder.h"
#include "mqtt/sparkplug_payload.h"
#include "tests/drivers/fake_latest.h"
#include "tests/support/manual_clock.h"

namespace tidegate::drivers {
namespace {

using mqtt::PropertyId;
using mqtt::ProtocolVersion;
using mqtt::ReasonCode;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Clients of version 5 as their bytes, without sockets.
class ListenerCoreTest : public ::testing::Test {
 protected:
  ListenerCoreTest() {
    options_.name = "direct";
    MqttDriverOptions messages;
    messages.name = options_.name;
    auto& subscribe = messages.subscribe.emplace_back();
    subscribe.topic = "a/{tag...}";
    subscribe.payload = PayloadFormat::text;
    auto& sparkplug = messages.subscribe.emplace_back();
    sparkplug.topic = "spBv1.0/#";
    sparkplug.payload = PayloadFormat::sparkplug;
    core_ = std::make_unique<ListenerCore>(options_, std::move(MessageDecoder::make(messages, tags_).value()), nullptr,
                                           clock_, [] {});
  }

  struct Client {
    std::string id = "";
    bool clean_start = false;
    std::string will = "";
    Duration will_delay{};
    std::string will_topic = "a/will";
    std::string user = "";
  };
  std::unique_ptr<ListenerSession> connect(const Client& client) {
    auto session = try_connect(client);
    EXPECT_TRUE(session->is_connected());
    return session;
  }
  std::unique_ptr<ListenerSession> try_connect(const Client& client) {
    auto session = std::make_unique<ListenerSession>(*core_, options_.limits, clock_.boot_now());
    mqtt::ConnectPacket connect;
    connect.version = ProtocolVersion::v5;
    connect.client_id = client.id;
    connect.clean_start = client.clean_start;
    if (!client.user.empty()) connect.user_name = client.user;
    connect.properties.set(PropertyId::session_expiry_interval, 3600);
    if (!client.will.empty()) {
      connect.will = mqtt::Will{client.will_topic, client.will, 1, false, {}};
      const auto delay = std::chrono::duration_cast<seconds>(client.will_delay).count();
      connect.will->properties.set(PropertyId::will_delay_interval, static_cast<std::uint32_t>(delay));
    }
    std::string bytes;
    mqtt::encode(connect, bytes);
    session->receive(bytes, clock_.boot_now());
    return session;
  }
  void lose(std::unique_ptr<ListenerSession> session) { core_->gone(*session); }
  std::vector<std::string> collect() {
    Intake intake;
    core_->collect(intake);
    std::vector<std::string> values;
    for (const Reading& reading : intake.readings) values.push_back(std::get<std::string>(reading.value));
    return values;
  }

  // Turns in which the log takes what there is, until there is nothing more.
  std::vector<std::string> collect_all() {
    std::vector<std::string> all;
    for (;;) {
      core_->settled();
      const auto some = collect();
      if (some.empty()) return all;
      all.insert(all.end(), some.begin(), some.end());
    }
  }

  static std::string publish(std::uint16_t id, bool duplicate = false) {
    mqtt::PublishPacket packet;
    packet.topic = "a/x";
    packet.payload = "1";
    packet.qos = 2;
    packet.packet_id = id;
    packet.duplicate = duplicate;
    std::string bytes;
    mqtt::encode(packet, ProtocolVersion::v5, bytes);
    return bytes;
  }
  // A message of QoS 2 whose id the client's state still has is not.
  bool is_taken_again(const std::string& id) {
    auto session = connect({.id = id});
    session->receive(publish(1, true), clock_.boot_now());
    lose(std::move(session));
    return !collect().empty();
  }

  ReasonCode subscribe(ListenerSession& session, std::string_view filter) {
    return core_->subscribe(session, {filter, 1, false, false, 0});
  }
  void let_watch() {
    options_.watch = {{"", {"tidegate/values/#"}}};
    core_->use_latest(latest_);
  }

  testing::ManualClock clock_;
  FakeLatest latest_;
  TagRegistry tags_;
  MqttListenerOptions options_;
  std::unique_ptr<ListenerCore> core_;
};

TEST_F(ListenerCoreTest, AWillWithADelayGoesOutWhenItsClientStaysAway) {
  lose(connect({.id = "s", .will = "offline", .will_delay = seconds(30)}));
  clock_.advance(seconds(29));
  core_->tick(clock_.boot_now());
  EXPECT_THAT(collect(), IsEmpty());
  clock_.advance(seconds(1));
  core_->tick(clock_.boot_now());
  EXPECT_THAT(collect(), ElementsAre("offline"));
}

TEST_F(ListenerCoreTest, AWillWithADelayIsNotDueOfAClientThatTookOverFromItself) {
  auto first = connect({.id = "s", .will = "offline", .will_delay = seconds(30)});
  auto second = connect({.id = "s"});
  EXPECT_TRUE(first->is_over());
  lose(std::move(first));
  clock_.advance(seconds(60));
  core_->tick(clock_.boot_now());
  EXPECT_THAT(collect(), IsEmpty());
}

TEST_F(ListenerCoreTest, ACleanStartEndsTheDelayOfTheWillBefore) {
  auto first = connect({.id = "s", .will = "offline", .will_delay = seconds(30)});
  auto second = connect({.id = "s", .clean_start = true});
  lose(std::move(first));
  EXPECT_THAT(collect(), ElementsAre("offline"));
}

TEST_F(ListenerCoreTest, ACleanStartAfterTheLossEndsTheDelayToo) {
  lose(connect({.id = "s", .will = "offline", .will_delay = seconds(30)}));
  EXPECT_THAT(collect(), IsEmpty());
  const auto second = connect({.id = "s", .clean_start = true});
  core_->tick(clock_.boot_now());
  EXPECT_THAT(collect(), ElementsAre("offline"));
}

TEST_F(ListenerCoreTest, AWillThatIsDueGoesOutThoughItsClientIsBack) {
  const std::string large(std::size_t{60} * 1024, 'x');
  for (int i = 0; i < 200; ++i) lose(connect({.id = "s" + std::to_string(i), .will = large}));
  ASSERT_FALSE(core_->wants_messages()) << "the last ones wait";
  const auto back = connect({.id = "s199"});
  core_->tick(clock_.boot_now());
  EXPECT_EQ(collect_all().size(), 200U);
}

TEST_F(ListenerCoreTest, AWillWithoutADelayGoesOutThoughItsClientIsBack) {
  auto first = connect({.id = "s", .will = "offline"});
  auto second = connect({.id = "s"});
  lose(std::move(first));
  EXPECT_THAT(collect(), ElementsAre("offline"));
}

TEST_F(ListenerCoreTest, WillsThatWaitForTooMuchRoomGoOutEarly) {
  const std::string large(std::size_t{60} * 1024, 'x');
  std::size_t early = 0;
  for (int i = 0; i < 400; ++i) {
    lose(connect({.id = "s" + std::to_string(i), .will = large, .will_delay = seconds(30)}));
    early += collect().size();
  }
  EXPECT_GT(early, 0U);
  EXPECT_LT(early, 160U);
  clock_.advance(seconds(30));
  core_->tick(clock_.boot_now());
  EXPECT_EQ(early + collect_all().size(), 400U);
}

// Each is 60 KiB as it comes, and may be megabytes of readings.
TEST_F(ListenerCoreTest, WillsWaitWhileTheLogTakesNothing) {
  const std::string large(std::size_t{60} * 1024, 'x');
  for (int i = 0; i < 200; ++i) lose(connect({.id = "s" + std::to_string(i), .will = large}));
  EXPECT_FALSE(core_->wants_messages());
  core_->tick(clock_.boot_now());
  const std::size_t first = collect().size();
  EXPECT_LT(first, 100U);
  EXPECT_EQ(first + collect_all().size(), 200U);
}

TEST_F(ListenerCoreTest, AClientWhoseWillHasNoRoomIsTurnedAway) {
  const std::string large(std::size_t{60} * 1024, 'x');
  std::vector<std::unique_ptr<ListenerSession>> sessions;
  for (bool is_in = true; is_in && sessions.size() < 1000;) {
    auto session = try_connect({.id = "s" + std::to_string(sessions.size()), .will = large});
    is_in = session->is_connected();
    if (is_in) sessions.push_back(std::move(session));
  }
  EXPECT_LT(sessions.size() * large.size(), std::size_t{16} * 1024 * 1024);
  EXPECT_GT(sessions.size(), 200U);
  EXPECT_EQ(core_->counters().refused.at("will_quota"), 1U);
  EXPECT_TRUE(try_connect({.id = "without"})->is_connected());
  lose(std::move(sessions.back()));
  sessions.pop_back();
  EXPECT_TRUE(try_connect({.id = "late", .will = large})->is_connected());
  EXPECT_FALSE(try_connect({.id = "later", .will = large})->is_connected());
}

// With 60 KiB each.
constexpr int kLargeWillsMax = 268;

// Its will of before goes, so that the next one has room.
TEST_F(ListenerCoreTest, AClientThatComesAgainBringsItsWillAlsoWhereThereIsNoRoomForAnother) {
  const std::string large(std::size_t{60} * 1024, 'x');
  std::vector<std::unique_ptr<ListenerSession>> sessions;
  for (int i = 0; i < kLargeWillsMax; ++i) {
    sessions.push_back(connect({.id = "s" + std::to_string(i), .will = large, .will_delay = seconds(30)}));
  }
  ASSERT_FALSE(try_connect({.id = "another", .will = large})->is_connected());
  for (const bool clean_start : {false, true}) {
    for (int i = 0; i < 100; ++i) {
      auto again = connect({.id = "s0", .clean_start = clean_start, .will = large, .will_delay = seconds(30)});
      ASSERT_TRUE(again->is_connected()) << i;
      lose(std::exchange(sessions[0], std::move(again)));
      EXPECT_EQ(collect_all().size(), clean_start ? 1U : 0U);
    }
  }
  EXPECT_FALSE(try_connect({.id = "another", .will = large})->is_connected()) << "nobody else has more room for that";
}

// Nor does it go out early then.
TEST_F(ListenerCoreTest, AClientThatIsBackInTimeBringsItsWillAlsoWhereThereIsNoRoomForAnother) {
  const std::string large(std::size_t{60} * 1024, 'x');
  std::vector<std::unique_ptr<ListenerSession>> sessions;
  lose(connect({.id = "back", .will = large, .will_delay = seconds(30)}));
  for (int i = 1; i < kLargeWillsMax; ++i) {
    sessions.push_back(connect({.id = "s" + std::to_string(i), .will = large}));
  }
  const auto back = connect({.id = "back", .will = large, .will_delay = seconds(30)});
  EXPECT_EQ(collect_all().size(), 0U);
  EXPECT_FALSE(try_connect({.id = "another", .will = large})->is_connected());
}

TEST_F(ListenerCoreTest, OfWillsThatGoOutEarlyNoneIsOfAClientThatIsBackInTime) {
  const std::string large(std::size_t{60} * 1024, 'x');
  std::vector<std::unique_ptr<ListenerSession>> sessions;
  lose(connect({.id = "back", .will = "offline", .will_delay = seconds(30)}));
  lose(connect({.id = "away", .will = large, .will_delay = seconds(60)}));
  for (int i = 1; i < kLargeWillsMax; ++i) {
    sessions.push_back(connect({.id = "s" + std::to_string(i), .will = large}));
  }
  const auto back = connect({.id = "back", .will = large, .will_delay = seconds(30)});
  const auto early = collect_all();
  ASSERT_EQ(early.size(), 1U);
  EXPECT_EQ(early[0].size(), large.size());
}

// What waits for the log makes no room, however often a client comes again.
TEST_F(ListenerCoreTest, WillsOfAClientThatComesAgainAreBoundedWhileTheLogTakesNothing) {
  const std::string large(std::size_t{60} * 1024, 'x');
  std::vector<std::unique_ptr<ListenerSession>> sessions;
  std::size_t connected = 0;
  for (int i = 0; i < 1000; ++i) {
    auto session = try_connect({.id = "s", .will = large});
    if (!session->is_connected()) continue;
    ++connected;
    sessions.push_back(std::move(session));
  }
  ASSERT_FALSE(core_->wants_messages());
  EXPECT_LT(connected, 400U);
  for (auto& session : sessions) lose(std::move(session));
  EXPECT_EQ(collect_all().size(), connected);
}

TEST_F(ListenerCoreTest, WantsNoMoreMessagesWhenThoseThatWaitForTheLogAreTooLarge) {
  auto session = connect({.id = "s"});
  const std::string large(std::size_t{60} * 1024, 'x');
  std::size_t taken = 0;
  for (; core_->wants_messages() && taken < 1000; ++taken) core_->take(*session, "a/text", large, false);
  EXPECT_LT(taken, 100U);
  EXPECT_EQ(collect().size(), taken);
  EXPECT_TRUE(core_->wants_messages());
}

TEST_F(ListenerCoreTest, ForgetsTheOldestIdsOfClientsThatLeftTooMany) {
  options_.limits.inflight_max = 10'000;
  for (int client = 0; client < 7; ++client) {
    auto session = connect({.id = "s" + std::to_string(client)});
    for (std::uint16_t id = 1; id <= 10'000; ++id) session->receive(publish(id), clock_.boot_now());
    collect();
    lose(std::move(session));
    clock_.advance(seconds(1));
  }
  EXPECT_TRUE(is_taken_again("s0"));
  for (const char* const id : {"s1", "s6"}) EXPECT_FALSE(is_taken_again(id)) << id;
}

// All ask to be remembered for the same time, or for as long as can be.
TEST_F(ListenerCoreTest, ForgetsOfTooManyClientsTheOneThatLeftFirst) {
  lose(connect({.id = "b"}));
  lose(connect({.id = "a"}));
  for (int i = 0; i < 4095; ++i) lose(connect({.id = "c" + std::to_string(i)}));
  const auto is_known = [&](const std::string& id) {
    auto session = connect({.id = id});
    const bool is_present = session->out().at(2) == 1;  // the flags of the CONNACK
    lose(std::move(session));
    return is_present;
  };
  EXPECT_TRUE(is_known("a"));
  EXPECT_FALSE(is_known("b"));
}

bool is_session_present(ListenerSession& session) { return session.out().at(2) == 1; }

TEST_F(ListenerCoreTest, ASessionIsThatOfTheUserWhoMadeIt) {
  const auto taken_of_repeat = [&](ListenerSession& session) {
    session.receive(publish(1, true), clock_.boot_now());
    return collect().size();
  };
  auto evil = connect({.id = "s", .will = "gone", .will_delay = seconds(30), .user = "evil"});
  EXPECT_EQ(taken_of_repeat(*evil), 1U);
  lose(std::move(evil));
  auto sensor = connect({.id = "s", .user = "sensor"});
  EXPECT_FALSE(is_session_present(*sensor));
  EXPECT_EQ(taken_of_repeat(*sensor), 1U) << "no repeat of what another user sent";
  auto nobody = connect({.id = "s"});  // takes over
  EXPECT_FALSE(is_session_present(*nobody));
  EXPECT_EQ(taken_of_repeat(*nobody), 1U);
  lose(std::move(sensor));
  lose(std::move(nobody));
  nobody = connect({.id = "s"});
  EXPECT_TRUE(is_session_present(*nobody));
  EXPECT_EQ(taken_of_repeat(*nobody), 0U);
  clock_.advance(seconds(60));
  core_->tick(clock_.boot_now());
  EXPECT_THAT(collect(), ElementsAre("gone")) << "nobody else takes a will back";
  lose(std::move(nobody));
}

TEST_F(ListenerCoreTest, AnIdThatIsGivenOutIsNobodyElses) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(core_->make_client_id());
  EXPECT_EQ(ids.size(), 1000U);
  options_.name = "another process";
  ListenerCore other(options_, std::move(MessageDecoder::make({}, tags_).value()), nullptr, clock_, [] {});
  EXPECT_FALSE(ids.contains(other.make_client_id()));
  EXPECT_GE(other.make_client_id().size(), std::size_t{16});
}

TEST_F(ListenerCoreTest, NobodyMaySubscribeWithoutARightToAllOfIt) {
  const auto session = connect({.id = "panel"});
  core_->use_latest(latest_);
  EXPECT_EQ(subscribe(*session, "tidegate/values/#"), ReasonCode::not_authorized);
  let_watch();
  EXPECT_EQ(subscribe(*session, "tidegate/#"), ReasonCode::not_authorized);
  EXPECT_EQ(subscribe(*session, "#"), ReasonCode::not_authorized);
  EXPECT_EQ(session->subscriber(), nullptr);
  EXPECT_EQ(subscribe(*session, "tidegate/values/+/t"), ReasonCode::granted_qos_1);
  EXPECT_EQ(core_->counters().refused.at("subscription"), 3U);
}

TEST_F(ListenerCoreTest, NobodyMayPublishWhereOthersWatch) {
  const auto session = connect({.id = "s"});
  EXPECT_TRUE(core_->may_publish(*session, "tidegate/values/a/b")) << "there is no such tree";
  let_watch();
  EXPECT_FALSE(core_->may_publish(*session, "tidegate/values/a/b"));
  EXPECT_FALSE(core_->may_publish(*session, "tidegate/alarms/r/a/b"));
  EXPECT_TRUE(core_->may_publish(*session, "tidegate/plant-7/readings")) << "batches of another gateway";
  options_.rights = {{"", {"#"}}};
  EXPECT_FALSE(core_->may_publish(*session, "tidegate/values/a/b"));
}

TEST_F(ListenerCoreTest, SoManyClientsHaveSubscriptionsAtATime) {
  let_watch();
  std::vector<std::unique_ptr<ListenerSession>> panels;
  for (int i = 0; i < 64; ++i) {
    panels.push_back(connect({.id = "p" + std::to_string(i)}));
    ASSERT_EQ(subscribe(*panels.back(), "tidegate/values/#"), ReasonCode::granted_qos_1);
  }
  auto late = connect({.id = "late"});
  EXPECT_EQ(subscribe(*late, "tidegate/values/#"), ReasonCode::quota_exceeded);
  lose(std::move(panels.front()));
  EXPECT_EQ(subscribe(*late, "tidegate/values/#"), ReasonCode::granted_qos_1);
  const auto back = connect({.id = "p0"});
  EXPECT_EQ(back->out().at(2), 0) << "no room: it has to know that its subscriptions are gone";
  EXPECT_EQ(back->subscriber(), nullptr);
  auto takes_over = connect({.id = "p1"});
  EXPECT_NE(takes_over->subscriber(), nullptr);
  for (int i = 0; i < 3; ++i) lose(std::exchange(takes_over, connect({.id = "p1"})));
  EXPECT_EQ(subscribe(*back, "tidegate/values/#"), ReasonCode::quota_exceeded) << "whoever takes over is no one less";
  lose(std::move(panels.back()));
  EXPECT_EQ(subscribe(*back, "tidegate/values/#"), ReasonCode::granted_qos_1) << "nor one more";
}

TEST_F(ListenerCoreTest, FiltersThatAreNotReadAreOneRefusal) {
  let_watch();
  const auto panel = connect({.id = "panel"});
  std::string bytes;
  mqtt::encode(
      mqtt::SubscribePacket{1, std::vector<mqtt::SubscribeEntry>(1000, {"tidegate/values/#", 0, false, false, 0}), {}},
      ProtocolVersion::v5, bytes);
  panel->receive(bytes, clock_.boot_now());
  EXPECT_NE(panel->subscriber(), nullptr);
  EXPECT_EQ(core_->counters().refused.at("subscription"), 1U);
}

TEST_F(ListenerCoreTest, ASubscriptionOutlivesItsConnectionAndNotAnExpiredSession) {
  let_watch();
  auto panel = connect({.id = "panel"});
  subscribe(*panel, "tidegate/values/#");
  lose(std::move(panel));
  latest_.set_and_report("tidegate/values/a/b", "1");
  panel = connect({.id = "panel"});
  ASSERT_NE(panel->subscriber(), nullptr);
  EXPECT_TRUE(panel->wants_to_send()) << "what has changed meanwhile";
  lose(std::move(panel));
  clock_.advance(seconds(3601));
  core_->tick(clock_.boot_now());
  EXPECT_EQ(connect({.id = "panel"})->subscriber(), nullptr);
}

// Its rights were looked at when it was made, and they were the other's.
TEST_F(ListenerCoreTest, ASubscriptionIsNotGoneOnWithByAnotherUser) {
  options_.watch = {{"anna", {"tidegate/values/#"}}};
  core_->use_latest(latest_);
  const auto panel = connect({.id = "panel", .user = "anna"});
  ASSERT_EQ(subscribe(*panel, "tidegate/values/#"), ReasonCode::granted_qos_1);
  auto other = connect({.id = "panel", .user = "bert"});
  EXPECT_EQ(other->subscriber(), nullptr);
  lose(std::move(other));
  EXPECT_EQ(connect({.id = "panel", .user = "anna"})->subscriber(), nullptr) << "it has ended";
}

TEST_F(ListenerCoreTest, WhatClientsLeaveSubscribedIsBounded) {
  options_.watch = {{"", {"#"}}};
  core_->use_latest(latest_);
  const std::string filter(Subscriber::kFilterBytesMax, 'x');
  for (int i = 0; i < 400; ++i) {
    auto panel = connect({.id = "p" + std::to_string(i)});
    ASSERT_EQ(subscribe(*panel, filter), ReasonCode::granted_qos_1);
    lose(std::move(panel));
  }
  EXPECT_EQ(connect({.id = "p0"})->subscriber(), nullptr) << "it left first";
  EXPECT_NE(connect({.id = "p399"})->subscriber(), nullptr);
}

std::string sparkplug(std::uint64_t seq, std::optional<std::string> name, std::string value) {
  mqtt::SparkplugPayload payload;
  payload.seq = seq;
  mqtt::SparkplugMetric& metric = payload.metrics.emplace_back();
  metric.name = std::move(name);
  metric.alias = 1;
  metric.value = std::move(value);
  return mqtt::encode_sparkplug(payload);
}

// As by a node that keeps its session: it has not seen our acknowledgement.
TEST_F(ListenerCoreTest, WhatASparkplugNodeSendsAgainIsAcknowledgedAndNotTakenAgain) {
  auto node = connect({.id = "n"});
  const auto send = [&](const std::string& kind, std::uint16_t id, const std::string& payload, bool duplicate) {
    mqtt::PublishPacket packet;
    const std::string topic = "spBv1.0/g/" + kind + "/n";
    packet.topic = topic;
    packet.payload = payload;
    packet.qos = 1;
    packet.packet_id = id;
    packet.duplicate = duplicate;
    std::string bytes;
    mqtt::encode(packet, ProtocolVersion::v5, bytes);
    node->receive(bytes, clock_.boot_now());
  };
  const auto birth = sparkplug(0, "state", "on");
  const auto data = sparkplug(1, std::nullopt, "off");
  send("NBIRTH", 1, birth, false);
  send("NDATA", 2, data, false);
  EXPECT_THAT(collect(), ElementsAre("on", "off"));
  lose(std::move(node));
  node = connect({.id = "n"});
  node->out().clear();
  send("NBIRTH", 1, birth, true);
  send("NDATA", 2, data, true);
  send("NDATA", 3, sparkplug(2, std::nullopt, "idle"), false);
  EXPECT_THAT(collect(), ElementsAre("idle"));
  EXPECT_THAT(core_->counters().refused, IsEmpty());
  EXPECT_THAT(core_->counters().remarked, IsEmpty());
  for (std::uint64_t settled = 1; settled <= 2; ++settled) core_->settled();
  core_->durable(2);
  node->release(core_->safe());
  std::string acks;
  for (std::uint16_t id = 1; id <= 3; ++id) {
    mqtt::encode(mqtt::PacketType::puback, mqtt::AckPacket{id, ReasonCode::success, {}}, ProtocolVersion::v5, acks);
  }
  EXPECT_EQ(node->out(), acks);
  lose(std::move(node));
}

TEST_F(ListenerCoreTest, ASparkplugNodeDiesByItsWillAndCannotBeAskedForARebirth) {
  auto node = connect({.id = "n", .will = sparkplug(0, "bdSeq", ""), .will_topic = "spBv1.0/g/NDEATH/n"});
  core_->take(*node, "spBv1.0/g/NBIRTH/n", sparkplug(0, "state", "on"), false);
  EXPECT_EQ(core_->take(*node, "spBv1.0/g/NDATA/n", sparkplug(2, std::nullopt, "off"), false).reason,
            mqtt::ReasonCode::payload_format_invalid);
  EXPECT_EQ(core_->counters().refused.at("rebirth_unasked"), 1u);
  EXPECT_THAT(collect(), ElementsAre("on"));
  lose(std::move(node));
  Intake intake;
  core_->collect(intake);
  ASSERT_EQ(intake.readings.size(), 1u);
  EXPECT_EQ(intake.readings[0].value, Value(std::string("on")));
  EXPECT_EQ(intake.readings[0].reason, Reason::not_connected);
}

}  // namespace
}  // namespace tidegate::drivers
