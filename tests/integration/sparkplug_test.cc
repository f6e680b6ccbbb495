// A Sparkplug node that is played by mosquitto_pub, a broker, and the real daemon as the host.
#include <gmock/gmock.h>

#include <fstream>
#include <string>
#include <vector>

#include "mqtt/sparkplug_payload.h"
#include "tests/integration/gateway_process.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using mqtt::SparkplugMetric;
using mqtt::SparkplugPayload;
using mqtt::SparkplugType;
using mqtt::SparkplugValue;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr seconds kPatience{30};

SparkplugMetric metric(const std::string& name, std::uint64_t alias, SparkplugType type, SparkplugValue value) {
  SparkplugMetric made;
  if (!name.empty()) made.name = name;
  made.alias = alias;
  made.type = type;
  made.value = std::move(value);
  return made;
}

/// With either way of acknowledging, which are two drivers.
class SparkplugShort : public ::testing::TestWithParam<const char*> {
 protected:
  SparkplugShort() : broker_("log_type subscribe\n") {
    broker_.start();
    gateway_.configure("[buffer]\nsync_interval = \"50ms\"\n[[driver.mqtt]]\nname = \"plant\"\nack = \"" +
                       std::string(GetParam()) + "\"\nbroker = \"" + broker_.uri() +
                       "\"\n  [[driver.mqtt.subscribe]]\n  topic = \"spBv1.0/plant/#\"\n  payload = \"sparkplug\"\n");
    command_file_ = gateway_.directory() + "/command";
    ProcessUnderTest::Options listen;
    listen.arguments = {"/usr/bin/mosquitto_sub",  "-h", "127.0.0.1", "-p", std::to_string(broker_.port()), "-t",
                        "spBv1.0/plant/NCMD/gate", "-C", "1",         "-N"};
    listen.output_path = command_file_;
    command_ = std::make_unique<ProcessUnderTest>(std::move(listen));
    EXPECT_TRUE(broker_.wait_for_log("spBv1.0/plant/NCMD/gate"));
    start_gateway(1);
  }

  void start_gateway(std::size_t times) {
    gateway_.start();
    EXPECT_TRUE(broker_.wait_for_log("spBv1.0/plant/#", times)) << gateway_.log();
  }

  void publish(const std::string& topic, std::uint64_t seq, std::vector<SparkplugMetric> metrics) {
    SparkplugPayload payload;
    payload.timestamp = 1'760'000'000'000;
    payload.seq = seq;
    payload.metrics = std::move(metrics);
    const std::string file = gateway_.directory() + "/payload";
    std::ofstream(file, std::ios::binary) << mqtt::encode_sparkplug(payload);
    const auto done = run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(broker_.port()),
                                  "-q", "1", "-t", topic, "-f", file});
    EXPECT_EQ(done.end.exit_code, 0) << done.errors;
  }

  void publish_births(std::uint64_t bd_seq) {
    publish("spBv1.0/plant/NBIRTH/gate", 0,
            {metric("bdSeq", 0, SparkplugType::int64, bd_seq), metric("uptime", 1, SparkplugType::uint32, 5U)});
    publish("spBv1.0/plant/DBIRTH/gate/pump", 1, {metric("speed", 2, SparkplugType::float64, 21.5)});
  }

  /// Waits for so many records of a tag; the last one.
  std::string record(const std::string& tag, std::size_t count) {
    std::vector<std::string> found;
    EXPECT_TRUE(wait_until(
        [&] {
          found = gateway_.tail("readings", "\"tag\":\"" + tag + "\"");
          return found.size() >= count;
        },
        kPatience))
        << gateway_.log();
    EXPECT_THAT(found, SizeIs(count));
    return found.empty() ? "" : found.back();
  }

  MosquittoBroker broker_;
  GatewayProcess gateway_;
  std::string command_file_;
  std::unique_ptr<ProcessUnderTest> command_;
};

INSTANTIATE_TEST_SUITE_P(Ack, SparkplugShort, ::testing::Values("written", "durable"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_P(SparkplugShort, BirthsDataAndDeathsBecomeReadings) {
  publish_births(7);
  publish("spBv1.0/plant/DDATA/gate/pump", 2, {metric("", 2, SparkplugType::unknown, 22.5)});
  EXPECT_THAT(record("plant/gate/pump/speed", 2), HasSubstr("\"value\":22.5"));
  publish("spBv1.0/plant/NDEATH/gate", 0, {metric("bdSeq", 0, SparkplugType::int64, std::uint64_t{6})});
  publish("spBv1.0/plant/NDEATH/gate", 0, {metric("bdSeq", 0, SparkplugType::int64, std::uint64_t{7})});
  const std::string dead = record("plant/gate/pump/speed", 3);
  EXPECT_THAT(dead, HasSubstr("\"value\":22.5"));
  EXPECT_THAT(dead, HasSubstr("not-connected"));
  EXPECT_THAT(record("plant/gate/uptime", 2), HasSubstr("not-connected"));
  EXPECT_EQ(gateway_.metric("tidegate_driver_refused_total{driver=\"plant\",reason=\"death_of_other_birth\"}"), 1);
  EXPECT_TRUE(command_->is_running()) << "no rebirth was asked for";
}

TEST_P(SparkplugShort, AfterARestartAliasesAreWorthNothingUntilTheRebirthThatIsAskedFor) {
  publish_births(7);
  record("plant/gate/pump/speed", 1);
  gateway_.stop();  // by a kill, births that are not durable yet would come again
  start_gateway(2);
  publish("spBv1.0/plant/DDATA/gate/pump", 2, {metric("", 2, SparkplugType::unknown, 22.5)});
  ASSERT_TRUE(command_->wait_for_end(kPatience)) << gateway_.log();
  const auto asked = mqtt::decode_sparkplug(read_file(command_file_), 10);
  ASSERT_TRUE(asked);
  ASSERT_THAT(asked->metrics, SizeIs(1));
  EXPECT_EQ(asked->metrics[0].name, "Node Control/Rebirth");
  EXPECT_EQ(asked->metrics[0].value, SparkplugValue(true));
  EXPECT_TRUE(gateway_.wait_for_metric("tidegate_driver_remarked_total{driver=\"plant\",reason=\"rebirth_asked\"}", 1,
                                       kPatience));
  EXPECT_EQ(gateway_.metric("tidegate_driver_refused_total{driver=\"plant\",reason=\"no_birth\"}"), 1);
  publish_births(7);
  publish("spBv1.0/plant/DDATA/gate/pump", 2, {metric("", 2, SparkplugType::unknown, 23.5)});
  EXPECT_THAT(record("plant/gate/pump/speed", 3), HasSubstr("\"value\":23.5"));
}

}  // namespace
}  // namespace tidegate::testing
