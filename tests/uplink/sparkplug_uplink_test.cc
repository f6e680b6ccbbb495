// A Sparkplug uplink, a real mosquitto, and a host that looks at everything.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/fault_proxy.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/sparkplug_host.h"
#include "tests/uplink/sparkplug_messages.h"
#include "tests/uplink/uplink_harness.h"
#include "uplink/transport.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using tidegate::testing::MosquittoBroker;
using tidegate::testing::NumberedReadings;
using tidegate::testing::SparkplugHost;
using tidegate::testing::SparkplugReport;

class SparkplugUplinkTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kReadings = 3'000;

  SparkplugUplinkTest() : broker_("persistence true\npersistence_location {dir}/\nmax_queued_messages 0\n") {
    readings_.count = kReadings;
    readings_.devices = 10;
    broker_.start();
    host_ = std::make_unique<SparkplugHost>(broker_.port());
    host_->start();
    options_.forwarder.name = "cloud";
    options_.forwarder.batch_readings_max = 100;
    options_.forwarder.batch_delay_max = milliseconds(50);
    options_.format = MqttFormat::sparkplug;
    options_.sparkplug.group = "plant";
    options_.broker.uri = broker_.uri();
    options_.broker.client_id = "gw-cloud";
    options_.broker.reconnect_first = milliseconds(50);
    options_.broker.reconnect_most = milliseconds(500);
  }

  std::unique_ptr<UplinkHarness> start_uplink(const Cursor& cursor = {{1, 0}, {1, 0}}) {
    auto uplink = std::make_unique<UplinkHarness>(options_.forwarder, readings_);
    const auto make = [this](TransportHandlers handlers) {
      return make_sparkplug_transport(options_, "gw", 3, std::move(handlers));
    };
    EXPECT_TRUE(uplink->start(make, cursor));
    return uplink;
  }
  bool deliver(UplinkHarness& uplink, std::uint64_t count) {
    uplink.announce(count);
    return uplink.run_until([&] { return uplink.delivered() >= count; }, seconds(30));
  }

  // Each reading is there, at its time, and those of a tag are in order but for repeats.
  bool has_all(const SparkplugReport& report) const {
    for (std::uint64_t number = 0; number < kReadings; ++number) {
      const auto tag = report.data.find("gw/" + readings_.tag(number));
      if (tag == report.data.end() || !has(tag->second, number)) return false;
    }
    return true;
  }
  bool has(const std::vector<tidegate::testing::SparkplugValueSeen>& values, std::uint64_t number) const {
    const auto time = static_cast<std::uint64_t>(readings_.time_ms(number));
    return std::any_of(values.begin(), values.end(), [&](const auto& seen) {
      return seen.timestamp == time && seen.value == mqtt::SparkplugValue(number);
    });
  }
  void expect_everything_arrived() {
    EXPECT_TRUE(host_->wait_for([this](const SparkplugReport& report) { return has_all(report); }, seconds(30)));
    const auto report = host_->report();
    EXPECT_TRUE(report.defects.empty()) << report.defects.size() << " defects: " << report.defects.front();
  }

  void expect_each_tag_in_order(const SparkplugReport& report) const {
    for (const auto& [metric, values] : report.data) {
      if (metric.find("Tidegate/") != std::string::npos) continue;
      const auto later = [](const auto& one, const auto& next) { return one.timestamp >= next.timestamp; };
      EXPECT_EQ(std::adjacent_find(values.begin(), values.end(), later), values.end()) << metric;
    }
  }

  MosquittoBroker broker_;
  NumberedReadings readings_;
  MqttUplinkOptions options_;
  std::unique_ptr<SparkplugHost> host_;
};

TEST_F(SparkplugUplinkTest, AHostGetsEverythingInOrderOverALinkThatHolds) {
  auto uplink = start_uplink();
  ASSERT_TRUE(deliver(*uplink, kReadings));
  expect_everything_arrived();
  uplink->stop(seconds(5));
  ASSERT_TRUE(host_->wait_for([](const SparkplugReport& report) { return !report.deaths.empty(); }, seconds(10)));
  uplink.reset();
  const auto report = host_->report();
  EXPECT_EQ(report.births, std::vector<std::uint64_t>{3});
  EXPECT_EQ(report.deaths, std::vector<std::uint64_t>{3}) << "of its own, and no will";
  EXPECT_EQ(report.count("plant/DBIRTH/gw/dev-0"), 1U);
  expect_each_tag_in_order(report);
}

TEST_F(SparkplugUplinkTest, NothingIsLostThroughABrokerThatGoesAwayAndComesBack) {
  const auto uplink = start_uplink();
  for (std::uint64_t stop = 1; stop <= 2; ++stop) {
    uplink->announce(stop * kReadings / 3);
    ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() > (stop - 1) * kReadings / 3; }, seconds(30)));
    broker_.stop();
    ASSERT_TRUE(uplink->run_until([&] { return !uplink->is_up(); }, seconds(30)));
    broker_.start();
  }
  ASSERT_TRUE(deliver(*uplink, kReadings));
  expect_everything_arrived();
  const auto report = host_->report();
  // A broker that starts may end a connection at once.
  const std::set<std::uint64_t> sessions(report.births.begin(), report.births.end());
  EXPECT_GE(sessions.size(), 3U);
  EXPECT_EQ(sessions.size(), report.births.size()) << "each has a number of its own";
}

TEST_F(SparkplugUplinkTest, ANodeThatIsCutOffDiesByItsWillAndGoesOnAtTheCursor) {
  tidegate::testing::FaultProxy proxy(broker_.port());
  options_.broker.uri = "mqtt://" + proxy.address();
  const auto uplink = start_uplink();
  ASSERT_TRUE(deliver(*uplink, kReadings / 2));
  ASSERT_TRUE(host_->wait_for([](const SparkplugReport& report) { return !report.births.empty(); }, seconds(10)));
  proxy.set({.resets = true});
  uplink->announce(kReadings);
  EXPECT_TRUE(uplink->run_until([&] { return host_->report().count("plant/NDEATH/gw") > 0; }, seconds(30)));
  proxy.set({});
  ASSERT_TRUE(deliver(*uplink, kReadings));
  expect_everything_arrived();
}

TEST_F(SparkplugUplinkTest, APrimaryHostIsWaitedForAndLeftAndComesBackTo) {
  options_.sparkplug.primary_host = "scada";
  const auto uplink = start_uplink();
  uplink->announce(kReadings / 2);
  ASSERT_TRUE(uplink->run_until([&] { return !uplink->details().empty(); }, seconds(30)));
  EXPECT_NE(uplink->details().back().find("waits for the primary host \"scada\""), std::string::npos);
  EXPECT_TRUE(host_->report().births.empty());
  host_->publish_state("scada", true, 10);
  ASSERT_TRUE(deliver(*uplink, kReadings / 2));
  host_->publish_state("scada", false, 20);
  ASSERT_TRUE(uplink->run_until([&] { return !uplink->is_up(); }, seconds(30)));
  ASSERT_TRUE(host_->wait_for([](const SparkplugReport& report) { return report.deaths.size() == 1; }, seconds(10)));
  uplink->announce(kReadings);
  const auto waits_again = [&] { return uplink->details().back().find("it is offline") != std::string::npos; };
  ASSERT_TRUE(uplink->run_until(waits_again, seconds(30))) << uplink->details().back();
  EXPECT_EQ(uplink->delivered(), kReadings / 2);
  host_->publish_state("scada", true, 30);
  ASSERT_TRUE(deliver(*uplink, kReadings));
  expect_everything_arrived();
  EXPECT_EQ(host_->report().births.size(), 2U);
  EXPECT_EQ(host_->report().deaths.size(), 1U) << "it said goodbye, so that there was no will";
}

TEST_F(SparkplugUplinkTest, AHostMayAskForARebirth) {
  const auto uplink = start_uplink();
  ASSERT_TRUE(deliver(*uplink, 100));
  host_->publish("spBv1.0/plant/NCMD/gw", rebirth_command());
  EXPECT_TRUE(uplink->run_until([&] { return host_->report().births.size() == 2; }, seconds(30)));
  ASSERT_TRUE(deliver(*uplink, kReadings));
  expect_everything_arrived();
  EXPECT_EQ(host_->report().births, (std::vector<std::uint64_t>{3, 3}));
}

TEST_F(SparkplugUplinkTest, WithQosZeroAllArrivesWhileTheLinkHolds) {
  options_.sparkplug.qos = 0;
  auto uplink = start_uplink();
  ASSERT_TRUE(deliver(*uplink, kReadings));
  expect_everything_arrived();
}

}  // namespace
}  // namespace tidegate::uplink::testing
