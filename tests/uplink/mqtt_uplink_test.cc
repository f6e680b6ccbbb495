#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/uplink/uplink_harness.h"
#include "uplink/transport.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using tidegate::testing::BatchSubscriber;
using tidegate::testing::MosquittoBroker;
using tidegate::testing::NumberedReadings;

// A real mosquitto as the target, which keeps over a stop what it has acknowledged.
class MqttUplinkTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kReadings = 30'000;

  static constexpr const char* kKeepsAll = "persistence true\npersistence_location {dir}/\nmax_queued_messages 0\n";

  MqttUplinkTest() : broker_(kKeepsAll) {
    readings_.count = kReadings;
    broker_.start();
    subscriber_ = std::make_unique<BatchSubscriber>(broker_.port(), "tidegate/gw/readings", readings_);
    subscriber_->start();
    options_.forwarder.name = "cloud";
    options_.forwarder.batch_readings_max = 100;
    options_.forwarder.batch_delay_max = milliseconds(50);
    options_.broker.uri = broker_.uri();
    options_.broker.client_id = "gw-cloud";
    options_.broker.reconnect_first = milliseconds(50);
    options_.broker.reconnect_most = milliseconds(500);
  }

  std::unique_ptr<UplinkHarness> start_uplink(const Cursor& cursor = {{1, 0}, {1, 0}}) {
    auto uplink = std::make_unique<UplinkHarness>(options_.forwarder, readings_);
    const auto make = [this](TransportHandlers handlers) {
      return make_mqtt_transport(options_, "gw", std::move(handlers));
    };
    EXPECT_TRUE(uplink->start(make, cursor));
    return uplink;
  }
  void deliver_through_restarts() {
    const auto uplink = start_uplink();
    for (std::uint64_t stop = 1; stop <= 3; ++stop) {
      uplink->announce(stop * kReadings / 4);
      ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() > (stop - 1) * kReadings / 4; }, seconds(30)));
      broker_.stop();
      ASSERT_TRUE(uplink->run_until([&] { return !uplink->is_up(); }, seconds(30)));
      broker_.start();
    }
    uplink->announce(kReadings);
    ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() == kReadings; }, seconds(60)));
    expect_everything_arrived_in_order();
  }
  void expect_everything_arrived_in_order() {
    ASSERT_TRUE(subscriber_->wait_for_all(seconds(30)));
    const auto report = subscriber_->report();
    EXPECT_EQ(report.distinct, kReadings);
    EXPECT_EQ(report.defects(), 0U) << (report.complaints.empty() ? "" : report.complaints.front());
    EXPECT_EQ(report.taken_twice, 0U);
    repeats_ = report.repeats;
  }

  MosquittoBroker broker_;
  NumberedReadings readings_;
  MqttUplinkOptions options_;
  std::unique_ptr<BatchSubscriber> subscriber_;
  std::uint64_t repeats_ = 0;
};

TEST_F(MqttUplinkTest, DeliversEverythingOnceOverALinkThatHolds) {
  const auto uplink = start_uplink();
  uplink->announce(kReadings);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() == kReadings; }, seconds(30)));
  expect_everything_arrived_in_order();
  EXPECT_EQ(repeats_, 0U);
  EXPECT_EQ(uplink->failures(), 0U);
}

TEST_F(MqttUplinkTest, DeliversEverythingThroughABrokerThatGoesAwayAndComesBack) { deliver_through_restarts(); }

TEST_F(MqttUplinkTest, OfVersion5DeliversTheSameWithinTheLimitsOfTheBroker) {
  broker_.set_configuration(kKeepsAll + std::string("max_inflight_messages 2\nmax_packet_size 3000\n"));
  broker_.restart();
  options_.broker.protocol = mqtt::ProtocolVersion::v5;
  deliver_through_restarts();
}

TEST_F(MqttUplinkTest, GoesOnAtTheCursorAfterAStopInTheMiddle) {
  auto uplink = start_uplink();
  uplink->announce(kReadings);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() > kReadings / 3; }, seconds(30)));
  uplink->stop(seconds(5));
  const Cursor cursor = uplink->cursor();
  EXPECT_LT(cursor.acked_to.sequence, kReadings);
  uplink = start_uplink(cursor);
  uplink->announce(kReadings);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->cursor().acked_to.sequence == kReadings; }, seconds(30)));
  expect_everything_arrived_in_order();
  EXPECT_EQ(repeats_, 0U) << "what was in flight was waited for";
}

}  // namespace
}  // namespace tidegate::uplink::testing
