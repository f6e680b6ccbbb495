#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/kafka_cluster.h"
#include "tests/support/kafka_records.h"
#include "tests/uplink/uplink_harness.h"
#include "uplink/target_cursor.h"
#include "uplink/transport.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using tidegate::testing::KafkaCluster;
using tidegate::testing::KafkaMessage;
using tidegate::testing::NumberedReadings;
using tidegate::testing::read_kafka_records;
using tidegate::testing::read_kafka_topic;

constexpr seconds kPatience{120};

// Over the mock cluster, which has neither isolation nor fencing and makes every topic: those are
// shown with Kafka itself, by
// scripts/test-kafka.
class KafkaExactlyOnceTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kReadings = 10'000;

  KafkaExactlyOnceTest() {
    readings_.count = kReadings;
    options_.topic = "plant.{stream}";
    options_.exactly_once = true;
    options_.brokers = cluster_.brokers();
    options_.forwarder.name = "fleet";
    options_.forwarder.batch_readings_max = 100;
    options_.forwarder.batch_delay_max = milliseconds(10);
    options_.forwarder.retry_first = milliseconds(10);
    options_.forwarder.retry_most = milliseconds(50);
    cluster_.create_topic("plant.readings", 4);
    cluster_.create_topic("tidegate-cursors", 1);
  }

  // An uplink whose own cursor says that nothing is delivered.
  std::unique_ptr<UplinkHarness> start_uplink() {
    auto uplink = std::make_unique<UplinkHarness>(options_.forwarder, readings_);
    const auto make = [this](TransportHandlers handlers) {
      return make_kafka_exactly_once_transport(options_, "gw", {"ab", {1ULL << 32U}}, std::move(handlers));
    };
    const auto started = uplink->start(make);
    EXPECT_TRUE(started) << started.error().message;
    return uplink;
  }
  void deliver(UplinkHarness& uplink, std::uint64_t count) {
    uplink.announce(count);
    ASSERT_TRUE(uplink.run_until([&] { return uplink.cursor().acked_to.sequence >= count; }, kPatience))
        << uplink.cursor().acked_to.sequence << ::testing::PrintToString(uplink.details());
  }
  void expect_each_once(std::uint64_t count) const {
    const auto records = read_kafka_records(options_.brokers, "plant.readings", readings_);
    EXPECT_EQ(records.defects(), 0U) << ::testing::PrintToString(records.complaints);
    EXPECT_EQ(records.distinct, count);
    EXPECT_EQ(records.messages, count);
  }

  KafkaCluster cluster_;
  NumberedReadings readings_;
  KafkaUplinkOptions options_;
};

TEST_F(KafkaExactlyOnceTest, ProducesEveryRecordOnceAndTheCursorBehindIt) {
  const auto uplink = start_uplink();
  deliver(*uplink, kReadings);
  expect_each_once(kReadings);
  std::vector<TargetCursor> cursors;
  read_kafka_topic(options_.brokers, "tidegate-cursors", [&](const KafkaMessage& message) {
    EXPECT_EQ(message.key, "tidegate/gw/fleet");
    cursors.push_back(parse_target_cursor(message.value).value());
  });
  ASSERT_FALSE(cursors.empty());
  EXPECT_EQ(cursors.back().next.at(Stream::readings), (Position{1, kReadings}));
  EXPECT_EQ(cursors.back().history.log, "ab");
}

TEST_F(KafkaExactlyOnceTest, GoesOnWhereTheTargetIsAndNotWhereItRemembers) {
  for (const std::uint64_t part : {1U, 2U, 3U}) {
    const auto uplink = start_uplink();
    deliver(*uplink, kReadings * part / 3);
    uplink->stop(seconds(5));
  }
  expect_each_once(kReadings);
}

TEST_F(KafkaExactlyOnceTest, IsNotDownBecauseItIsStopped) {
  const auto uplink = start_uplink();
  deliver(*uplink, 100);
  ASSERT_TRUE(uplink->is_up());
  uplink->stop(seconds(5));
  EXPECT_TRUE(uplink->is_up()) << ::testing::PrintToString(uplink->details());
}

TEST_F(KafkaExactlyOnceTest, RepeatsNothingThroughOutages) {
  const auto uplink = start_uplink();
  for (const std::uint64_t part : {1U, 2U, 3U}) {
    deliver(*uplink, kReadings * part / 4);
    cluster_.set_up(1, false);
    uplink->announce(kReadings * part / 4 + 100);
    ASSERT_TRUE(uplink->run_until([&] { return !uplink->is_up() || !uplink->trouble().empty(); }, kPatience));
    cluster_.set_up(1, true);
  }
  deliver(*uplink, kReadings);
  expect_each_once(kReadings);
}

// The claim waits for its report at the same inbox as the thread does later, and takes what it is woken by there.
TEST_F(KafkaExactlyOnceTest, EndsWhenItIsToldSoWhileItClaimsItsCursor) {
  constexpr std::size_t kRefusals = 20;  // each is repeated after a tenth of a second
  cluster_.refuse_to_produce_at(1, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, kRefusals);
  const auto uplink = start_uplink();
  ASSERT_TRUE(uplink->run_until([&] { return cluster_.refusals_left() < kRefusals; }, kPatience));
  auto ended = std::async(std::launch::async, [&] { uplink->stop(kPatience); });
  const bool is_in_time = ended.wait_for(seconds(30)) == std::future_status::ready;
  EXPECT_TRUE(is_in_time);
  if (!is_in_time) cluster_.set_up(1, false);  // which wakes it
}

TEST_F(KafkaExactlyOnceTest, StopsInTimeWithoutABroker) {
  cluster_.set_up(1, false);
  const auto uplink = start_uplink();
  uplink->announce(kReadings);
  uplink->run_until([&] { return !uplink->details().empty(); }, kPatience);
  const auto began = std::chrono::steady_clock::now();
  uplink->stop(milliseconds(100));
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(20));
}

}  // namespace
}  // namespace tidegate::uplink::testing
