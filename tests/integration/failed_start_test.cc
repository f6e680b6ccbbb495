#include <gmock/gmock.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/integration/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/silent_port.h"

namespace tidegate::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Thread sanitizers and Kafka's library do not go together, so by itself.
constexpr const char* kKafka = R"(
[[uplink.kafka]]
name = "fleet"
brokers = ["127.0.0.1:1"]
)";

// One of each kind; where they look for their peers, nobody is.
std::string everything_but_kafka(std::uint16_t listener) {
  return R"(
[[driver.simulator]]
name = "sim"
[[driver.modbus]]
name = "bus"
url = "tcp://127.0.0.1:1"
  [[driver.modbus.device]]
  name = "meter"
  tags = [ { name = "power", address = "holding:0" } ]
[[driver.mqtt]]
name = "written"
broker = "mqtt://127.0.0.1:1"
  [[driver.mqtt.subscribe]]
  topic = "plant/{device}/{tag}"
[[driver.mqtt]]
name = "durable"
broker = "mqtt://127.0.0.1:1"
ack = "durable"
  [[driver.mqtt.subscribe]]
  topic = "line/{device}/{tag}"
[[driver.mqtt_listener]]
name = "direct"
listen = "127.0.0.1:)" +
         std::to_string(listener) + R"("
  [[driver.mqtt_listener.subscribe]]
  topic = "direct/{device}/{tag}"
[[rule]]
name = "high"
type = "threshold"
tags = ["sim-*/tag-*"]
raise = "> 1e9"
raise_after = "1s"
[[uplink.mqtt]]
name = "cloud"
broker = "mqtt://127.0.0.1:1"
[[uplink.http]]
name = "lake"
url = "http://127.0.0.1:1/"
[[uplink.postgresql]]
name = "table"
url = "postgresql://127.0.0.1:1/postgres"
username = "nobody"
[[uplink.file]]
name = "export"
path = "{dir}/{stream}.ndjson"
)";
}

class FailedStartShort : public ::testing::Test {
 protected:
  /// Runs to its end while this port is taken.
  void fail_to_start(std::uint16_t taken) {
    const SilentPort other("127.0.0.1", taken);
    gateway_.start_without_waiting();
    const auto end = gateway_.process().wait_for_end(std::chrono::seconds(60));
    ASSERT_TRUE(end) << gateway_.log();
    EXPECT_EQ(end->exit_code, 1) << gateway_.log();
    EXPECT_THAT(gateway_.log(), HasSubstr("127.0.0.1:" + std::to_string(taken) + ": "));
  }

  /// Where the ports are free again it starts, and delivers.
  void expect_clean_ends(const std::string& more) {
    const std::uint16_t listener = free_port();
    gateway_.configure(everything_but_kafka(listener) + more);
    fail_to_start(gateway_.admin_port());
    fail_to_start(listener);
    gateway_.start();
    EXPECT_THAT(lines_with(gateway_.log(), "after a clean stop"), SizeIs(2)) << gateway_.log();
    EXPECT_THAT(lines_with(gateway_.log(), "unclean"), IsEmpty());
    EXPECT_TRUE(gateway_.wait_for_metric("tidegate_readings_delivered_total{uplink=\"export\",stream=\"readings\"}", 1,
                                         std::chrono::seconds(60)))
        << gateway_.status_of("export");
    gateway_.stop();
  }

  GatewayProcess gateway_;
};

// A restart each second, until the address is there, is no row of power cuts.
TEST_F(FailedStartShort, LeavesACleanEndWhereAPortIsTaken) { expect_clean_ends(""); }

TEST_F(FailedStartShort, LeavesACleanEndOfKafkaToo) { expect_clean_ends(kKafka); }

}  // namespace
}  // namespace tidegate::testing
