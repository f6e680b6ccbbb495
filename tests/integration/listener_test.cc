#include <gmock/gmock.h>
#include <simdjson.h>

#include <fstream>
#include <map>
#include <random>

#include "tests/integration/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/seed.h"
#include "tests/support/sensor_fleet.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Sensors that publish straight to the daemon.
class ListenerRig {
 public:
  explicit ListenerRig(SensorFleet::Options load, const std::string& settings = "") : port_(free_port()) {
    gateway_.configure(
        "[buffer]\nsync_interval = \"50ms\"\n" + settings +
        "\n[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" + std::to_string(port_) +
        "\"\n  [[driver.mqtt_listener.subscribe]]\n  topic = \"plant/{device}/{tag}\"\n  value = \"/value\"\n");
    gateway_.start();
    load.port = port_;
    fleet_ = std::make_unique<SensorFleet>(load);
  }

  std::uint16_t port() const { return port_; }
  GatewayProcess& gateway() { return gateway_; }
  SensorFleet& fleet() { return *fleet_; }

  /// How often each value stands in the log, read from its files.
  std::map<std::int64_t, int> logged() {
    std::map<std::int64_t, int> counts;
    const auto listed =
        run_to_end({program_path(), "tail", "--data-dir", gateway_.data_directory(), "--from", "0"}, {}, seconds(60));
    EXPECT_EQ(listed.end.exit_code, 0) << listed.errors;
    simdjson::dom::parser parser;
    std::size_t begin = 0;
    while (begin < listed.output.size()) {
      const std::size_t end = std::min(listed.output.find('\n', begin), listed.output.size());
      const simdjson::dom::element record = parser.parse(listed.output.substr(begin, end - begin));
      const std::int64_t value = record["value"].get_int64();
      const std::string tag = "sensor-" + std::to_string(value / SensorFleet::kValuesEach) + "/count";
      EXPECT_EQ(std::string_view(record["tag"]), tag) << "value " << value << " is not as it was sent";
      ++counts[value];
      begin = end + 1;
    }
    return counts;
  }

  /// Every acknowledged value is in the log, and nothing that was never sent. Returns how many stand there twice or
  /// more.
  int expect_all_logged() {
    const auto counts = logged();
    int missing = 0;
    for (const std::int64_t value : fleet_->acknowledged_values()) missing += counts.contains(value) ? 0 : 1;
    EXPECT_EQ(missing, 0) << "acknowledged and not in the log";
    int twice = 0;
    for (const auto& [value, count] : counts) twice += count > 1 ? 1 : 0;
    return twice;
  }

 private:
  std::uint16_t port_;
  GatewayProcess gateway_;
  std::unique_ptr<SensorFleet> fleet_;
};

void keep_all_through_kills(SensorFleet::Options load, int kills, bool by_kill = true) {
  const std::uint64_t seed = from_environment("TIDEGATE_SEED", 1);
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(static_cast<std::uint32_t>(seed));
  ListenerRig rig(load);
  rig.fleet().start();
  const std::size_t total = rig.fleet().total();
  for (int i = 1; i <= kills; ++i) {
    const std::size_t share = total * static_cast<std::size_t>(i) / static_cast<std::size_t>(kills + 1);
    ASSERT_TRUE(rig.fleet().wait_for_acknowledged(share + random() % (total / 50 + 1), seconds(60)));
    if (by_kill) {
      rig.gateway().kill();
    } else {
      rig.gateway().stop();
    }
    rig.expect_all_logged();
    rig.gateway().start();
  }
  EXPECT_TRUE(rig.fleet().wait_for_acknowledged(total, seconds(60)))
      << rig.fleet().acknowledged() << " of " << total << " acknowledged";
  rig.gateway().stop();
  const int twice = rig.expect_all_logged();
  std::printf("%zu acknowledged over %d kills, %d of them more than once in the log\n", rig.fleet().acknowledged(),
              kills, twice);
  if (load.qos == 2) {
    EXPECT_EQ(twice, 0) << "the sensors sent with QoS 2, in sessions that outlive a connection";
  }
}

TEST(KillShort, TheListenerKeepsWhatItAcknowledged) { keep_all_through_kills({0, 10, 1, 20, 300}, 2); }

TEST(Kill, TheListenerKeepsWhatItAcknowledgedToFiftySensors) { keep_all_through_kills({0, 50, 1, 20, 400}, 5); }

TEST(Kill, TheListenerKeepsWhatItAcknowledgedToFiftySensorsWithQos2Once) {
  keep_all_through_kills({0, 50, 2, 20, 400}, 5);
}

TEST(KillShort, TheListenerTakesQos2OnceOverKills) { keep_all_through_kills({0, 10, 2, 20, 300}, 4); }

TEST(KillShort, TheListenerTakesQos2OnceOverKillsInVersion5) { keep_all_through_kills({0, 10, 2, 20, 300, true}, 4); }

TEST(ListenerShort, TakesQos2OnceOverStops) { keep_all_through_kills({0, 10, 2, 20, 300}, 4, false); }

TEST(ListenerShort, AcknowledgesWhatIsOnTheWayWhenItStops) {
  ListenerRig rig({0, 10, 1, 20, 1000});
  rig.fleet().start();
  ASSERT_TRUE(rig.fleet().wait_for_acknowledged(1000, seconds(60)));
  rig.gateway().stop();
  const std::size_t acknowledged = rig.fleet().acknowledged();
  const auto counts = rig.logged();
  // What is in the log was acknowledged on the way out; the last acknowledgements may still be on their way to us.
  EXPECT_TRUE(wait_until([&] { return rig.fleet().acknowledged() >= counts.size(); }, seconds(5)))
      << acknowledged << " acknowledged, " << counts.size() << " in the log";
  rig.expect_all_logged();
}

// In a log of small segments less fits than a value may have elsewhere.
TEST(ListenerShort, RefusesAReadingThatTheLogCanNeverTake) {
  ListenerRig rig({0, 1, 1, 1, 1}, "segment_size = \"64KiB\"\n");
  const std::string file = rig.gateway().directory() + "/long.json";
  std::ofstream(file) << R"({"value":")" << std::string(60'000, 'x') << "\"}";
  const auto published = run_to_end({"/usr/bin/mosquitto_pub", "-V", "5", "-d", "-h", "127.0.0.1", "-p",
                                     std::to_string(rig.port()), "-q", "1", "-t", "plant/pump/note", "-f", file},
                                    {}, seconds(20));
  EXPECT_THAT(published.output + published.errors, ::testing::HasSubstr("RC:153")) << "payload format invalid";
  EXPECT_EQ(rig.gateway().metric("tidegate_driver_refused_total{driver=\"direct\",reason=\"text_too_long\"}"), 1);
  EXPECT_EQ(rig.gateway().metric("tidegate_log_refused_total{stream=\"readings\"}"), 0);
  EXPECT_THAT(rig.gateway().log(), ::testing::HasSubstr("text_too_long on topic \"plant/pump/note\""));
  rig.gateway().stop();
}

class CsvShort : public ::testing::Test {
 protected:
  CsvShort() : port_(free_port()) {
    gateway_.configure(
        "[buffer]\nsync_interval = \"20ms\"\n[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" +
        std::to_string(port_) +
        "\"\n  [[driver.mqtt_listener.subscribe]]\n  topic = \"logger/{device}\"\n  payload = \"csv\"\n"
        "  values = { temp = \"/1\", state = \"/2\", count = \"/3\" }\n  time = \"/0\"\n  time_unit = \"s\"\n");
    gateway_.start();
  }

  FinishedProcess publish(const std::string& line) const {
    return run_to_end({"/usr/bin/mosquitto_pub", "-V", "5", "-d", "-h", "127.0.0.1", "-p", std::to_string(port_), "-q",
                       "1", "-t", "logger/pump", "-m", line},
                      {}, seconds(60));
  }

  std::uint16_t port_;
  GatewayProcess gateway_;
};

TEST_F(CsvShort, ColumnsOfALineArriveInTheLog) {
  ASSERT_EQ(publish("1760000000.5, 21.0,\"on, \"\"idle\"\"\",7\r\n").end.exit_code, 0);
  const auto refused = publish("1760000001,22,on,8\r\n1760000002,23,on,9\r\n");
  EXPECT_THAT(refused.output + refused.errors, ::testing::HasSubstr("RC:153")) << "payload format invalid";
  ASSERT_EQ(publish("1760000003,,off,10").end.exit_code, 0);
  EXPECT_EQ(gateway_.metric("tidegate_driver_refused_total{driver=\"direct\",reason=\"not_csv\"}"), 1);
  EXPECT_THAT(gateway_.log(), ::testing::HasSubstr("not_csv on topic \"logger/pump\""));
  EXPECT_EQ(gateway_.tail("readings", "\"tag\":\"pump/").size(), 6U);
  EXPECT_EQ(gateway_.tail("readings", "\"value\":21.0,").size(), 1U);
  EXPECT_EQ(gateway_.tail("readings", R"("value":"on, \"idle\"",)").size(), 1U);
  EXPECT_EQ(gateway_.tail("readings", "\"value\":7,").size(), 1U);
  const auto empty = gateway_.tail("readings", "\"tag\":\"pump/temp\",");
  ASSERT_EQ(empty.size(), 2U);
  EXPECT_THAT(empty.back(), ::testing::AllOf(::testing::HasSubstr("\"value\":null,"), ::testing::HasSubstr("\"bad\"")));
  gateway_.stop();
}

}  // namespace
}  // namespace tidegate::testing
