// With InfluxDB and Prometheus themselves: scripts/test --target databases.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "tests/integration/gateway_process.h"
#include "tests/support/databases.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr seconds kPatience{120};

std::string programs() {
  const char* const found = std::getenv("TIDEGATE_DATABASES");
  return found == nullptr ? "/usr/bin" : found;
}

/// Publisher -> broker -> the daemon -> InfluxDB.
class Databases : public ::testing::Test {
 protected:
  Databases() : source_("max_queued_messages 0\nlog_type subscribe\n") { source_.start(); }

  void start_gateway(const std::string& uplink) {
    const std::string relay = relay_config(source_.port(), 0);
    gateway_.configure(relay.substr(0, relay.find("[[uplink")) + uplink);
    gateway_.start();
    ASSERT_TRUE(wait_until([this] { return source_.log().find("plant/+/+") != std::string::npos; }, kPatience))
        << gateway_.log();
  }
  void publish(const std::string& topic, const std::string& payload) const {
    const auto done = run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(source_.port()),
                                  "-q", "1", "-t", topic, "-m", payload});
    ASSERT_EQ(done.end.exit_code, 0) << done.errors;
  }

  MosquittoBroker source_;
  GatewayProcess gateway_;
};

class InfluxDatabases : public Databases {
 protected:
  InfluxDatabases() : influx_(programs()) {
    influx_.start();
    influx_.query("CREATE%20DATABASE%20plant");
    start_gateway("[[uplink.http]]\nname = \"influx\"\nformat = \"influx\"\nretry_most = \"1s\"\nurl = \"http://" +
                  influx_.address() + "/write?db=plant\"\nbatch = { max_delay = \"100ms\" }\n");
  }

  // By measurement and time: {"results":[{"series":[{"name":...,"values":[[TIME,VALUE],...]},...]}]}
  using Points = std::map<std::pair<std::string, std::int64_t>, std::string>;
  Points points(const std::string& from) const {
    simdjson::dom::parser parser;
    const simdjson::padded_string text(influx_.query("SELECT%20value%20FROM%20" + from));
    simdjson::dom::array series;
    Points found;
    if (parser.parse(text).at_pointer("/results/0/series").get(series) != simdjson::SUCCESS) return found;
    for (const simdjson::dom::element one : series) {
      const std::string name(one["name"].get_string().value());
      const simdjson::dom::array rows = one["values"].get_array();
      for (const simdjson::dom::element row : rows) {
        found[{name, row.at(0).get_int64().value()}] = simdjson::minify(row.at(1).value());
      }
    }
    return found;
  }
  /// `from` as it stands in a URL.
  Points wait_for_points(const std::string& from, std::size_t count) const {
    Points found;
    EXPECT_TRUE(wait_until([&] { return (found = points(from)).size() >= count; }, kPatience))
        << found.size() << " of " << count << ", " << influx_.query("SELECT%20value%20FROM%20" + from)
        << gateway_.log();
    return found;
  }

  InfluxDatabase influx_;
};

TEST_F(InfluxDatabases, HaveEveryReadingAsItWasThroughARestart) {
  const NumberedReadings readings{20'000};
  NumberedPublisher publisher({source_.port(), readings, 5'000});
  publisher.start();
  ASSERT_TRUE(publisher.wait_for_acknowledged(readings.count / 2, kPatience));
  influx_.stop();
  influx_.start();
  ASSERT_TRUE(publisher.wait_for_all(kPatience));
  Points expected;
  for (std::uint64_t n = 0; n < readings.count; ++n) {
    expected[{readings.tag(n), readings.time_ms(n) * 1'000'000}] = std::to_string(n);
  }
  const Points found = wait_for_points("%2Ftemp%2F", readings.count);
  EXPECT_EQ(found.size(), expected.size());
  EXPECT_TRUE(found == expected) << "values or times are others";
  gateway_.stop();
}

TEST_F(InfluxDatabases, HaveValuesOfEveryKindAsTheyWere) {
  const std::map<std::string, std::string> values{
      {"half", "21.5"},
      {"tiny", "-1.25e-7"},
      {"third", "0.3333333333333333"},
      {"large", "9007199254740993"},
      {"least", "-9223372036854775808"},
      {"yes", "true"},
      {"text", R"("say \"hi\", a=1 \\ 20 \u00b0C")"},
  };
  for (const auto& [device, value] : values) {
    publish("plant/" + device + "/level", R"({"ts":1760000000001,"value":)" + value + "}");
  }
  simdjson::dom::parser parser;
  for (const auto& [device, value] : values) {
    const Points found = wait_for_points("%22" + device + "%2Flevel%22", 1);
    const auto at = found.find({device + "/level", 1'760'000'000'001'000'000});
    ASSERT_NE(at, found.end()) << device;
    EXPECT_EQ(at->second, simdjson::minify(parser.parse(value).value())) << device;
  }
  gateway_.stop();
}

class PrometheusDatabases : public Databases {};

TEST_F(PrometheusDatabases, ReadsTheMetricsOfTheDaemon) {
  constexpr std::uint64_t kCount = 1'000;
  start_gateway("[[uplink.file]]\nname = \"f\"\npath = \"{dir}/f.ndjson\"\n");
  PrometheusServer prometheus(programs(), "127.0.0.1:" + std::to_string(gateway_.admin_port()));
  prometheus.start();
  EXPECT_TRUE(wait_until([&] { return prometheus.values("up") == std::vector<double>{1}; }, kPatience));
  NumberedPublisher publisher({source_.port(), NumberedReadings{kCount}});
  publisher.start();
  ASSERT_TRUE(publisher.wait_for_all(kPatience));
  std::vector<double> read;
  const auto has_all = [&] {
    // tidegate_readings_delivered_total{uplink="f",stream="readings"}
    read = prometheus.values("tidegate_readings_delivered_total%7Buplink%3D%22f%22%2Cstream%3D%22readings%22%7D");
    return read == std::vector<double>{kCount};
  };
  EXPECT_TRUE(wait_until(has_all, kPatience)) << ::testing::PrintToString(read);
  const double samples = prometheus.values("scrape_samples_scraped").at(0);
  EXPECT_GT(samples, 50);
  gateway_.stop();
}

}  // namespace
}  // namespace tidegate::testing
