#include <gtest/gtest.h>

#include <sstream>

#include "tests/integration/gateway_process.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/network.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr const char* kRule =
    "[[rule]]\nname = \"hot\"\ntype = \"threshold\"\ntags = [\"boiler/*\"]\nraise = \"> 90\"\nclear = \"< 85\"\n";

class AlarmShort : public ::testing::Test {
 protected:
  void SetUp() override {
    broker.start();
    configure("");
    gateway.start();
    wait_until([&] { return broker.log().find("plant/+/+") != std::string::npos; }, seconds(20));
  }
  void configure(const std::string& more_of_the_rule) {
    gateway.configure("[[driver.mqtt]]\nname = \"local\"\nbroker = \"" + broker.uri() +
                      "\"\n  [[driver.mqtt.subscribe]]\n  topic = \"plant/{device}/{tag}\"\n  value = \"/value\"\n"
                      "[[uplink.file]]\nname = \"export\"\npath = \"{dir}/export-{stream}.ndjson\"\n" +
                      std::string(kRule) + more_of_the_rule);
  }

  void publish(const std::string& topic, const std::string& payload) {
    const auto published = run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(broker.port()),
                                       "-q", "1", "-t", topic, "-m", payload});
    ASSERT_EQ(published.end.exit_code, 0) << published.errors;
  }
  void publish_value(double value) { publish("plant/boiler/temp", "{\"value\":" + std::to_string(value) + "}"); }
  bool all_are_in_the_log(double count) {
    return gateway.wait_for_metric("tidegate_readings_accepted_total{driver=\"local\"}", count, seconds(20));
  }
  std::vector<std::string> alarms(const std::string& state) {
    const auto listing =
        gateway.command({"tail", "--stream", "alarms", "--from", "0", "--config", gateway.config_file()});
    return lines_with(listing.output, "\"state\":\"" + state + "\"");
  }

  std::string read_metrics() { return http_get(gateway.admin_port(), "/metrics").body; }

  MosquittoBroker broker{"log_type subscribe\n"};
  GatewayProcess gateway;
};

TEST_F(AlarmShort, NeitherRepeatsNorForgetsAnAlarmOverKills) {
  publish_value(95);
  ASSERT_TRUE(gateway.wait_for_metric("tidegate_alarms_active{severity=\"warning\"}", 1, seconds(20)));
  gateway.kill();
  gateway.start();
  EXPECT_EQ(gateway.metric("tidegate_alarms_active{severity=\"warning\"}"), 1) << "it is still raised";
  publish_value(96);
  ASSERT_TRUE(all_are_in_the_log(1));
  EXPECT_EQ(alarms("raised").size(), 1u) << "and was raised once";
  publish_value(80);
  ASSERT_TRUE(wait_until([&] { return alarms("cleared").size() == 1; }, seconds(20)));
  gateway.kill();
  gateway.start();
  EXPECT_EQ(gateway.metric("tidegate_alarms_active{severity=\"warning\"}"), 0);
  publish_value(91);
  ASSERT_TRUE(wait_until([&] { return alarms("raised").size() == 2; }, seconds(20)));
  EXPECT_EQ(alarms("cleared").size(), 1u);
}

// {"epoch":1,"seq":1,"alarm":...} without the first two: what the rule engine wrote.
std::string document(const std::string& line) { return "{" + line.substr(line.find("\"alarm\"")); }

TEST_F(AlarmShort, RulesTestSaysOfStoredReadingsWhatTheDaemonSaidOfThem) {
  const std::vector<double> values{20, 95, 99, 88, 80, 91, 70};
  for (const double value : values) publish_value(value);
  ASSERT_TRUE(all_are_in_the_log(static_cast<double>(values.size())));
  ASSERT_TRUE(wait_until([&] { return alarms("cleared").size() == 2; }, seconds(20)));
  const auto tested = gateway.command({"rules", "test", "--config", gateway.config_file()});
  EXPECT_EQ(tested.end.exit_code, 0) << tested.errors;
  std::string logged;
  for (const std::string& line : gateway.tail("alarms", "\"rule\":\"hot\"")) logged += document(line) + "\n";
  EXPECT_EQ(tested.output, logged);
  EXPECT_NE(tested.errors.find("7 readings judged by 1 rule: 2 alarms raised, 2 cleared, 0 active at the end"),
            std::string::npos)
      << tested.errors;

  const std::string other = gateway.directory() + "/other.toml";
  write_file(other, "[[rule]]\nname = \"hotter\"\ntype = \"threshold\"\ntags = [\"*\"]\nraise = \"> 98\"\n");
  const auto elsewhere = gateway.command({"rules", "test", "--config", other, "--data-dir", gateway.data_directory()});
  EXPECT_EQ(lines_with(elsewhere.output, "\"hotter/boiler/temp\"").size(), 2U) << elsewhere.output << elsewhere.errors;
  const auto later = gateway.command(
      {"rules", "test", "--config", other, "--data-dir", gateway.data_directory(), "--from", "4", "--to", "end"});
  EXPECT_EQ(later.output, "") << "what was before is not judged";
  EXPECT_EQ(alarms("raised").size(), 2U) << "and nothing was recorded";
}

TEST_F(AlarmShort, RulesTestSaysWhatItCannotTest) {
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"rules", "test", "--config", gateway.config_file()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return gateway.command(arguments).end.exit_code;
  };
  EXPECT_EQ(with({"--data-dir", gateway.directory() + "/nowhere"}), 1);
  EXPECT_EQ(with({"--from", "yesterday"}), 64);
  write_file(gateway.config_file(), "[[rule]]\nname = \"hot\"\ntype = \"treshold\"\n");
  EXPECT_EQ(with({}), 78);
  write_file(gateway.config_file(), "");
  EXPECT_EQ(with({}), 1) << "no rules";
}

TEST_F(AlarmShort, AnOperatorAcknowledgesAndShelvesOverKills) {
  const auto on_alarms = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "alarms");
    words.insert(words.end(), {"--config", gateway.config_file()});
    return gateway.command(words);
  };
  EXPECT_EQ(on_alarms({"ack", "hot/boiler/temp"}).end.exit_code, 1) << "it is not raised";
  publish_value(95);
  ASSERT_TRUE(gateway.wait_for_metric("tidegate_alarms_active{severity=\"warning\"}", 1, seconds(20)));
  EXPECT_EQ(gateway.metric("tidegate_alarms_unacknowledged{severity=\"warning\"}"), 1);
  EXPECT_EQ(lines_with(on_alarms({}).output, "hot/boiler/temp").size(), 1U);

  const auto acknowledged = on_alarms({"ack", "hot/boiler/temp", "--by", "ann", "--note", "on my way"});
  EXPECT_EQ(acknowledged.output, "hot/boiler/temp acknowledged\n") << acknowledged.errors;
  EXPECT_EQ(on_alarms({"shelve", "hot/boiler/temp", "--for", "8h"}).output, "hot/boiler/temp shelved\n");
  gateway.kill();
  gateway.start();
  EXPECT_EQ(gateway.metric("tidegate_alarms_unacknowledged{severity=\"warning\"}"), 0);
  EXPECT_EQ(gateway.metric("tidegate_alarms_shelved"), 1);
  EXPECT_EQ(lines_with(on_alarms({"ls"}).output, "by ann: on my way").size(), 1U) << on_alarms({"ls"}).output;
  EXPECT_EQ(alarms("acknowledged").size(), 1U);
  EXPECT_EQ(alarms("shelved").size(), 1U);

  EXPECT_EQ(on_alarms({"unshelve", "hot/boiler/temp"}).output, "hot/boiler/temp unshelved\n");
  EXPECT_EQ(gateway.metric("tidegate_alarms_shelved"), 0);
  EXPECT_EQ(on_alarms({"shelve", "hot/boiler/temp", "--for", "300ms"}).end.exit_code, 0);
  ASSERT_TRUE(wait_until([&] { return gateway.metric("tidegate_alarms_shelved") == 0; }, seconds(20)))
      << "it ends by itself";
  publish_value(80);
  ASSERT_TRUE(wait_until([&] { return alarms("cleared").size() == 1; }, seconds(20)));
  const std::string exported = gateway.directory() + "/export-alarms.ndjson";
  ASSERT_TRUE(wait_until([&] { return lines_with(read_file(exported), "\"state\":\"acknowledged\"").size() >= 1; },
                         seconds(20)))
      << "upstream hears of it too";
}

TEST_F(AlarmShort, ALatchedAlarmIsOverWhenSomebodyHasSeenIt) {
  configure("latch = true\n");
  gateway.stop();
  gateway.start();
  publish_value(95);
  publish_value(80);
  ASSERT_TRUE(all_are_in_the_log(2));
  EXPECT_EQ(gateway.metric("tidegate_alarms_active{severity=\"warning\"}"), 1);
  gateway.kill();
  gateway.start();
  EXPECT_EQ(gateway.metric("tidegate_alarms_active{severity=\"warning\"}"), 1);
  EXPECT_EQ(gateway.command({"alarms", "ack", "hot/boiler/temp", "--config", gateway.config_file()}).end.exit_code, 0);
  EXPECT_EQ(gateway.metric("tidegate_alarms_active{severity=\"warning\"}"), 0);
  EXPECT_EQ(alarms("cleared").size(), 1U);
}

TEST_F(AlarmShort, WhatIsWrongWithWhatIsAskedOfAlarmsIsSaid) {
  const auto post = [&](const std::string& path, const std::string& body,
                        const std::string& type = "application/json") {
    const HttpReply reply = http_post(gateway.admin_port(), "/api/v1/alarms/" + path, body, type);
    return reply.body + ' ' + std::to_string(reply.status);
  };
  publish_value(95);
  ASSERT_TRUE(gateway.wait_for_metric("tidegate_alarms_active{severity=\"warning\"}", 1, seconds(20)));
  EXPECT_EQ(post("hot/boiler/temp/ack", "{}", "text/plain"),
            "{\"error\":\"the content type is to be application/json, found \\\"text/plain\\\"\"} 415");
  EXPECT_EQ(post("hot/boiler/none/ack", "{}"), "{\"error\":\"alarm \\\"hot/boiler/none\\\" is not raised\"} 409");
  EXPECT_EQ(post("hot/boiler/temp/ack", R"({"who":"ann"})"),
            "{\"error\":\"unknown member who: known are by, note, occurrence\"} 400");
  EXPECT_EQ(post("hot/boiler/temp/ack", R"({"by":7})"), "{\"error\":\"by: a text is wanted\"} 400");
  EXPECT_EQ(post("hot/boiler/temp/ack", "{\"note\":\"" + std::string(513, 'x') + "\"}"),
            "{\"error\":\"note: at most 512 bytes, found 513\"} 400");
  EXPECT_EQ(post("hot/boiler/temp/shelve", "{}"), "{\"error\":\"for: how long is wanted, such as \\\"1h\\\"\"} 400");
  EXPECT_EQ(lines_with(post("hot/boiler/temp/shelve", R"({"for":"31d"})"), "at most").size(), 1U);
  EXPECT_EQ(lines_with(post("hot/nobody/shelve", R"({"for":"1h"})"), " 404").size(), 1U);
  EXPECT_EQ(lines_with(post("hot/boiler/temp/unshelve", "{}"), "is not shelved").size(), 1U);
  EXPECT_EQ(http_get(gateway.admin_port(), "/api/v1/alarms/hot/boiler/temp/ack").status, 405);
  EXPECT_EQ(post("hot%2Fboiler%2Ftemp/ack", "{}"), "{\"alarm\":\"hot/boiler/temp\",\"state\":\"acknowledged\"} 200");
}

TEST_F(AlarmShort, CountsBadInputByReasonAndGoesOn) {
  publish("plant/boiler/temp", "not json at all");
  publish("plant/boiler/temp", "{\"value\":{\"deep\":1}}");
  publish("plant/boiler/temp", "{\"other\":1}");
  publish("plant/boiler/temp", std::string(20'000, '['));
  publish("plant/boiler/temp", "");
  publish_value(20);
  ASSERT_TRUE(all_are_in_the_log(1));
  std::istringstream metrics(read_metrics());
  double refused = 0;
  for (std::string line; std::getline(metrics, line);) {
    if (line.starts_with("tidegate_driver_refused_total{driver=\"local\""))
      refused += std::stod(line.substr(line.rfind(' ')));
  }
  EXPECT_EQ(refused, 5) << read_metrics();
  EXPECT_EQ(gateway.metric("tidegate_readings_accepted_total{driver=\"local\"}"), 1) << "nothing is made up";
  EXPECT_NE(gateway.log().find("not json at all"), std::string::npos);
}

}  // namespace
}  // namespace tidegate::testing
