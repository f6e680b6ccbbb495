// Sensors, a broker, the real daemon as a Sparkplug node, another broker, and behind it a host that looks at
// everything, and a second daemon that takes what the first one sends.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <string>

#include "tests/integration/gateway_process.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/sparkplug_host.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr seconds kPatience{60};

class SparkplugUplinkShort : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kReadings = 4'000;

  SparkplugUplinkShort()
      : source_("max_queued_messages 0\nlog_type subscribe\n"),
        target_("max_queued_messages 0\nlog_type subscribe\npersistence true\npersistence_location {dir}/\n"),
        readings_{kReadings, 20},
        publisher_({source_.port(), readings_, 2'000, 1}),
        host_(target_.port()) {
    source_.start();
    target_.start();
    host_.start();
  }

  std::string configuration(const std::string& more = "") const {
    return "[[driver.mqtt]]\nname = \"sensors\"\nbroker = \"" + source_.uri() +
           "\"\n[[driver.mqtt.subscribe]]\ntopic = \"plant/{device}/{tag}\"\nvalue = \"/value\"\n"
           "time = \"/ts\"\n[[uplink.mqtt]]\nname = \"scada\"\nbroker = \"" +
           target_.uri() + "\"\nformat = \"sparkplug\"\nreconnect_most = \"1s\"\nbatch.max_delay = \"50ms\"\n" +
           "sparkplug = { group = \"works\", node = \"gate\"" + more + " }\n";
  }
  void start_node(const std::string& more = "") {
    node_.configure(configuration(more));
    start_node_again(1);
  }
  void start_node_again(std::size_t times) {
    node_.start();
    ASSERT_TRUE(source_.wait_for_log("plant/+/+", times)) << node_.log();
  }
  void start_second_daemon() {
    second_.configure("[[driver.mqtt]]\nname = \"works\"\nbroker = \"" + target_.uri() +
                      "\"\n[[driver.mqtt.subscribe]]\ntopic = \"spBv1.0/works/#\"\npayload = \"sparkplug\"\n");
    second_.start();
    ASSERT_TRUE(target_.wait_for_log("spBv1.0/works/#")) << second_.log();
  }

  bool has(const SparkplugReport& report, std::uint64_t number) const {
    const auto tag = report.data.find("gate/" + readings_.tag(number));
    const auto time = static_cast<std::uint64_t>(readings_.time_ms(number));
    return tag != report.data.end() && std::any_of(tag->second.begin(), tag->second.end(), [&](const auto& seen) {
             return seen.timestamp == time && seen.value == mqtt::SparkplugValue(number);
           });
  }
  std::uint64_t missing(const SparkplugReport& report) const {
    std::uint64_t count = 0;
    for (std::uint64_t number = 0; number < kReadings; ++number) count += has(report, number) ? 0U : 1U;
    return count;
  }
  // bdSeq of all that were born; rebirths have the same.
  std::set<std::uint64_t> sessions() const {
    const auto births = host_.report().births;
    return {births.begin(), births.end()};
  }
  void expect_all_arrived() {
    EXPECT_TRUE(publisher_.wait_for_all(kPatience));
    EXPECT_TRUE(node_.wait_for_metric("tidegate_readings_delivered_total{uplink=\"scada\",stream=\"readings\"}",
                                      kReadings, kPatience))
        << node_.log();
    EXPECT_TRUE(wait_until([this] { return missing(host_.report()) == 0; }, kPatience)) << missing(host_.report());
    const auto report = host_.report();
    EXPECT_TRUE(report.defects.empty()) << ::testing::PrintToString(report.defects);
  }

  MosquittoBroker source_;
  MosquittoBroker target_;
  NumberedReadings readings_;
  NumberedPublisher publisher_;
  SparkplugHost host_;
  GatewayProcess node_;
  GatewayProcess second_;
};

TEST_F(SparkplugUplinkShort, NothingIsLostThroughABrokerThatIsRestarted) {
  start_node();
  publisher_.start();
  ASSERT_TRUE(publisher_.wait_for_acknowledged(kReadings / 3, kPatience));
  target_.stop();
  ASSERT_TRUE(publisher_.wait_for_acknowledged(2 * kReadings / 3, kPatience));
  target_.start();
  expect_all_arrived();
  EXPECT_GE(sessions().size(), 2U);
  node_.stop();
  EXPECT_TRUE(host_.wait_for(
      [](const SparkplugReport& seen) { return !seen.deaths.empty() && seen.deaths.back() == seen.births.back(); },
      kPatience));
}

TEST_F(SparkplugUplinkShort, ARestartedNodeGoesOnWithAnotherNumber) {
  start_node();
  publisher_.start();
  ASSERT_TRUE(publisher_.wait_for_acknowledged(kReadings / 3, kPatience));
  node_.stop();
  start_node_again(2);
  expect_all_arrived();
  EXPECT_EQ(sessions().size(), 2U);
}

TEST_F(SparkplugUplinkShort, AReloadThatChangesItBringsAnotherBirthAndLosesNothing) {
  start_node();
  publisher_.start();
  for (std::size_t round = 1; round <= 3; ++round) {
    ASSERT_TRUE(publisher_.wait_for_acknowledged(round * kReadings / 4, kPatience));
    ASSERT_TRUE(wait_until([&] { return sessions().size() == round; }, kPatience)) << node_.log();
    node_.change_to(configuration() + "inflight = " + std::to_string(round) + "\n");
  }
  expect_all_arrived();
  EXPECT_EQ(sessions().size(), 4U);
}

TEST_F(SparkplugUplinkShort, ASecondDaemonTakesWhatTheFirstSends) {
  start_second_daemon();
  start_node();
  publisher_.start();
  expect_all_arrived();
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{19}, kReadings / 2, kReadings - 1}) {
    const std::string value = "\"time\":" + std::to_string(readings_.time_ms(number)) +
                              ",\"value\":" + std::to_string(number) + ",\"quality\":\"good\"";
    EXPECT_TRUE(wait_until([&] { return !second_.tail("readings", value).empty(); }, kPatience)) << value;
    const auto found = second_.tail("readings", value);
    EXPECT_NE(found.at(0).find("\"tag\":\"works/gate/" + readings_.tag(number) + "\""), std::string::npos) << found[0];
  }
  EXPECT_TRUE(wait_until([&] { return second_.tail("readings", "/temp\"").size() >= kReadings; }, kPatience));
  for (const char* reason : {"rebirth_asked", "sequence_gap"}) {
    EXPECT_LE(second_.metric("tidegate_driver_remarked_total{driver=\"works\",reason=\"" + std::string(reason) + "\"}"),
              0);
  }
}

TEST_F(SparkplugUplinkShort, WithoutItsPrimaryHostTheGatewayStoresAndSaysSo) {
  start_node(", primary_host = \"scada\"");
  publisher_.start();
  ASSERT_TRUE(publisher_.wait_for_all(kPatience));
  EXPECT_TRUE(wait_until(
      [&] { return node_.status_of("scada").find("waits for the primary host \\\"scada\\\"") != std::string::npos; },
      kPatience))
      << node_.status_of("scada");
  EXPECT_TRUE(host_.report().births.empty());
  host_.publish_state("scada", true, 1);
  expect_all_arrived();
}

}  // namespace
}  // namespace tidegate::testing
