// Rebirths that the driver with ack = "durable" asks Sparkplug nodes for.
#include "drivers/mqtt/queue_intake.h"
#include "mqtt/packet_decoder.h"
#include "mqtt/sparkplug_payload.h"
#include "tests/drivers/mqtt_subscriber_fixture.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::drivers {
namespace {

using ::testing::SizeIs;

constexpr const char* kNodeBirth = "spBv1.0/plant/NBIRTH/gate";
constexpr const char* kNodeData = "spBv1.0/plant/NDATA/gate";
constexpr const char* kDeviceData = "spBv1.0/plant/DDATA/gate/pump";

class SubscriberRebirthTest : public ScriptedBrokerRig, public ::testing::WithParamInterface<mqtt::ProtocolVersion> {
 protected:
  SubscriberRebirthTest() {
    options_.broker.protocol = GetParam();
    packets_ = BrokerPackets(GetParam());
    options_.subscribe.clear();
    auto& subscribe = options_.subscribe.emplace_back();
    subscribe.topic = "spBv1.0/plant/#";
    subscribe.payload = PayloadFormat::sparkplug;
  }

  /// Data by an alias, of a node that nobody here has seen born.
  static std::string data_without_birth() {
    mqtt::SparkplugPayload payload;
    payload.timestamp = 1'760'000'000'000;
    payload.seq = 2;
    mqtt::SparkplugMetric& metric = payload.metrics.emplace_back();
    metric.alias = 2;
    metric.value = 22.5;
    return mqtt::encode_sparkplug(payload);
  }
  static std::string node_birth() { return node_data(0, "level"); }
  static std::string node_data(std::uint64_t seq, std::optional<std::string> name = std::nullopt) {
    mqtt::SparkplugPayload payload;
    payload.timestamp = 1'760'000'000'000 + seq;
    payload.seq = seq;
    mqtt::SparkplugMetric& metric = payload.metrics.emplace_back();
    metric.name = std::move(name);
    metric.alias = 2;
    metric.value = 22.5;
    return mqtt::encode_sparkplug(payload);
  }
  std::string publish_data(std::uint16_t id) const {
    return packets_.publish(id, data_without_birth(), 1, false, kDeviceData);
  }

  struct Command {
    std::string topic;
    int qos = 0;
    bool retain = false;
    bool is_rebirth = false;
  };
  /// What the driver has published.
  std::vector<Command> commands(RawClient& broker) const {
    std::vector<Command> found;
    std::string_view rest = broker.received();
    for (auto packet = mqtt::cut_packet(rest, 65'536); packet && *packet; packet = mqtt::cut_packet(rest, 65'536)) {
      rest.remove_prefix((*packet)->bytes);
      if ((*packet)->type != mqtt::PacketType::publish) continue;
      const auto publish = mqtt::decode_publish(**packet, GetParam());
      if (!publish) continue;
      const auto payload = mqtt::decode_sparkplug(publish->payload, 10);
      const bool is_rebirth =
          payload && payload->metrics.size() == 1 && payload->metrics[0].name == "Node Control/Rebirth";
      found.push_back({std::string(publish->topic), publish->qos, publish->retain, is_rebirth});
    }
    return found;
  }
  void expect_asked_once(RawClient& broker) const {
    const auto asked = commands(broker);
    ASSERT_THAT(asked, SizeIs(1));
    EXPECT_EQ(asked[0].topic, "spBv1.0/plant/NCMD/gate");
    EXPECT_EQ(asked[0].qos, 0);
    EXPECT_FALSE(asked[0].retain);
    EXPECT_TRUE(asked[0].is_rebirth);
    EXPECT_EQ(driver_->status().remarked.at("rebirth_asked"), 1U);
    EXPECT_EQ(driver_->status().refused.count("rebirth_unasked"), 0U);
  }
};
INSTANTIATE_TEST_SUITE_P(Both, SubscriberRebirthTest,
                         ::testing::Values(mqtt::ProtocolVersion::v3_1_1, mqtt::ProtocolVersion::v5));

TEST_P(SubscriberRebirthTest, IsAskedForWhenABirthWasNotSeenAndNotWithEachMessage) {
  start();
  const auto broker = next_up();
  ASSERT_TRUE(broker);
  broker->send(publish_data(1) + publish_data(2));
  ASSERT_TRUE(turn_until([&] { return broker->received().ends_with(packets_.ack(1) + packets_.ack(2)); }));
  expect_asked_once(*broker);
  EXPECT_EQ(driver_->status().refused.at("no_birth"), 2U);
}

// What the session still had may come before the answer to the subscription, without which no birth would come.
TEST_P(SubscriberRebirthTest, IsAskedForWhenTheBrokerHasSubscribedUs) {
  start();
  const auto broker = next_connection();
  ASSERT_TRUE(broker);
  broker->send(packets_.connack() + publish_data(1));
  ASSERT_TRUE(turn_until([&] { return broker->received().ends_with(packets_.ack(1)); }));
  EXPECT_THAT(commands(*broker), SizeIs(0));
  broker->send(packets_.suback());
  ASSERT_TRUE(turn_until([&] { return !commands(*broker).empty(); }));
  expect_asked_once(*broker);
}

TEST_P(SubscriberRebirthTest, IsAskedForOfWhatALeftQueueHeld) {
  const testing::TemporaryDirectory directory;
  context_.runtime_dir = directory.path();
  {
    std::vector<QueueRemark> remarks;
    const auto queue = SharedQueue::open(
        queue_file_options(options_, context_), [] {}, remarks);
    ASSERT_TRUE(queue) << queue.error().message;
    const std::string payload = data_without_birth();
    (*queue)->push({kDeviceData, payload, clock_.wall_now(), clock_.boot_now(), false, false});
  }
  start();
  const auto broker = next_up();
  ASSERT_TRUE(broker);
  ASSERT_TRUE(turn_until([&] { return !commands(*broker).empty(); }));
  expect_asked_once(*broker);
  driver_.reset();
}

// What was not durable when the connection was lost comes again.
TEST_P(SubscriberRebirthTest, IsNotAskedForWhenTheBrokerRepeatsAfterAReconnect) {
  is_durable_ = false;
  start();
  auto broker = next_up();
  ASSERT_TRUE(broker);
  const std::vector<std::string> all{node_birth(), node_data(1), node_data(2), node_data(3)};
  const auto send = [&](bool again) {
    for (std::uint16_t id = 1; id <= all.size(); ++id) {
      const bool is_birth = id == 1;
      std::string packet = packets_.publish(id, all[id - 1U], 1, false, is_birth ? kNodeBirth : kNodeData);
      if (again) packet[0] = static_cast<char>(packet[0] | 0x08);  // DUP
      broker->send(packet);
    }
  };
  send(false);
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 4; }));
  broker.reset();
  broker = next_up();
  ASSERT_TRUE(broker);
  send(true);
  broker->send(packets_.publish(5, node_data(4), 1, false, kNodeData));
  ASSERT_TRUE(turn_until([&] { return intake_.readings.size() == 5; }));
  make_durable();
  std::string acks;
  for (std::uint16_t id = 1; id <= 5; ++id) acks += packets_.ack(id);
  EXPECT_TRUE(turn_until([&] { return broker->received().ends_with(acks); }));
  EXPECT_EQ(intake_.readings.size(), 5U) << "nothing is taken twice";
  EXPECT_THAT(commands(*broker), SizeIs(0));
  EXPECT_EQ(driver_->status().remarked.count("sequence_gap"), 0U);
}

TEST_P(SubscriberRebirthTest, IsCountedWhenTheBrokerDoesNotTakeTheCommand) {
  if (GetParam() != mqtt::ProtocolVersion::v5) return;
  start();
  const auto broker = next_connection();
  ASSERT_TRUE(broker);
  mqtt::Properties properties;
  properties.set(mqtt::PropertyId::maximum_packet_size, 32);
  broker->send(packets_.connack(mqtt::ReasonCode::success, properties) + packets_.suback() + publish_data(1));
  ASSERT_TRUE(turn_until([&] { return broker->received().ends_with(packets_.ack(1)); }));
  EXPECT_THAT(commands(*broker), SizeIs(0));
  EXPECT_EQ(driver_->status().refused.at("rebirth_unasked"), 1U);
  EXPECT_EQ(driver_->status().remarked.count("rebirth_asked"), 0U);
}

}  // namespace
}  // namespace tidegate::drivers
