#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "core/parse_whole.h"
#include "tests/integration/gateway_process.h"
#include "tests/support/http_server.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/network.h"
#include "tests/support/test_authority.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kUsage = 64;
constexpr int kWrongConfiguration = 78;

constexpr const char* kSimulator =
    "[[driver.simulator]]\nname = \"sim\"\ndevices = 2\ntags = 3\ninterval = \"100ms\"\n";
constexpr const char* kAccepted = "tidegate_readings_accepted_total{driver=\"sim\"}";

class CommandShort : public ::testing::Test {
 protected:
  FinishedProcess check(const std::string& body) {
    gateway.configure(body);
    return gateway.command({"check", "--config", gateway.config_file()});
  }
  // A daemon with a simulator that has taken some readings in.
  void run_for_a_while(double readings = 30) {
    gateway.configure(kSimulator);
    gateway.start();
    ASSERT_TRUE(gateway.wait_for_metric(kAccepted, readings, seconds(30)));
  }

  /// Of the log, as `tidegate status` tells it; 0 when it does not.
  std::uint32_t epoch() {
    const auto status = gateway.command({"status", "--json", "--config", gateway.config_file()});
    std::smatch found;
    if (!std::regex_search(status.output, found, std::regex(R"("epoch":(\d+),)"))) return 0;
    return parse_whole<std::uint32_t>(found[1].str()).value_or(0);
  }

  GatewayProcess gateway;
};

TEST_F(CommandShort, SaysItsVersionAndItsUsage) {
  const auto version = gateway.command({"--version"});
  EXPECT_EQ(version.end.exit_code, 0);
  EXPECT_THAT(version.output, HasSubstr("tidegate 0."));
  EXPECT_EQ(gateway.command({"--help"}).end.exit_code, 0);
  EXPECT_EQ(gateway.command({"run", "--help"}).end.exit_code, 0);
  EXPECT_EQ(gateway.command({}).end.exit_code, kUsage);
  EXPECT_EQ(gateway.command({"swim"}).end.exit_code, kUsage);
  EXPECT_EQ(gateway.command({"run", "--depth", "3"}).end.exit_code, kUsage);
}

TEST_F(CommandShort, NamesACommandThatIsNotKnown) {
  const auto said = [this](std::vector<std::string> words) {
    const auto done = gateway.command(std::move(words));
    EXPECT_EQ(done.end.exit_code, kUsage);
    return done.errors.substr(0, done.errors.find('\n'));
  };
  EXPECT_EQ(said({"stauts"}), "tidegate: unknown command \"stauts\": did you mean status?");
  EXPECT_EQ(said({"rules", "tset", "--from", "-1h"}), "tidegate: unknown command \"tset\": did you mean test?");
  EXPECT_EQ(said({"log", "frobnicate"}), "tidegate: unknown command \"frobnicate\": there are ls, cat, verify");
  EXPECT_THAT(said({"status", "--jsno"}), Not(HasSubstr("unknown command")));
  EXPECT_THAT(said({"log"}), HasSubstr("subcommand is required"));
}

TEST_F(CommandShort, AcceptsAGoodConfiguration) { EXPECT_EQ(check(kSimulator).end.exit_code, 0); }

TEST_F(CommandShort, AcceptsTheExampleOfTheReadMe) {
  const std::string read_me = read_file(TIDEGATE_SOURCE_DIR "/README.md");
  const std::string fence = "```toml\n";
  const auto begin = read_me.find(fence);
  ASSERT_NE(begin, std::string::npos);
  const auto end = read_me.find("```", begin + fence.size());
  write_file(gateway.config_file(), read_me.substr(begin + fence.size(), end - begin - fence.size()));
  const auto checked = gateway.command({"check", "--config", gateway.config_file()});
  EXPECT_EQ(checked.end.exit_code, 0) << checked.errors;
}

TEST_F(CommandShort, ReportsAllMistakesAtOnceWithTheirPlaces) {
  const auto checked = check(
      "[buffer]\nsiez = \"1MiB\"\nsync = \"sometimes\"\nsync_interval = \"soon\"\n"
      "[[driver.modbus]]\nname = \"m\"\nurl = \"tcp://10.0.0.5:99999\"\n");
  EXPECT_EQ(checked.end.exit_code, kWrongConfiguration);
  const std::string file = gateway.config_file();
  EXPECT_THAT(checked.errors, HasSubstr(file + ":7:1: error: "));
  EXPECT_THAT(checked.errors, HasSubstr("siez"));
  EXPECT_THAT(checked.errors, HasSubstr("size"));
  EXPECT_THAT(checked.errors, HasSubstr(file + ":8:"));
  EXPECT_THAT(checked.errors, HasSubstr("sometimes"));
  EXPECT_THAT(checked.errors, HasSubstr("always"));
  EXPECT_THAT(checked.errors, HasSubstr(file + ":9:"));
  EXPECT_THAT(checked.errors, HasSubstr(file + ":12:"));
  EXPECT_GE(lines_with(checked.errors, ": error: ").size(), 4u);
}

TEST_F(CommandShort, ReportsASyntaxErrorWithItsPlace) {
  const auto checked = check("[buffer\n");
  EXPECT_EQ(checked.end.exit_code, kWrongConfiguration);
  EXPECT_THAT(checked.errors, HasSubstr(gateway.config_file() + ":6:"));
}

TEST_F(CommandShort, TakesDurableAcknowledgementForTheMqttDriver) {
  const std::string driver =
      "[[driver.mqtt]]\nname = \"a\"\nbroker = \"mqtt://127.0.0.1:1883\"\nack = \"durable\"\n"
      "  [[driver.mqtt.subscribe]]\n  topic = \"plant/{device}/{tag}\"\n";
  EXPECT_EQ(check(driver).end.exit_code, 0);
  const auto qos2 = check(driver + "  qos = 2\n");
  EXPECT_EQ(qos2.end.exit_code, kWrongConfiguration);
  EXPECT_THAT(qos2.errors, HasSubstr(gateway.config_file() + ":12:"));
  EXPECT_THAT(qos2.errors, HasSubstr("qos"));
  EXPECT_THAT(qos2.errors, HasSubstr("from 0 to 1"));
  const auto os = check("[buffer]\nsync = \"os\"\nack = \"written\"\n" + driver);
  EXPECT_EQ(os.end.exit_code, kWrongConfiguration);
  EXPECT_THAT(os.errors, HasSubstr("\"durable\" does not go with buffer.sync \"os\""));
}

TEST_F(CommandShort, NamesThePackageOfALibraryThatAnUplinkLacks) {
  const std::string http = "[[uplink.http]]\nname = \"h\"\nurl = \"https://127.0.0.1/\"\n";
  EXPECT_EQ(check(http + "[[uplink.kafka]]\nname = \"k\"\nbrokers = [\"127.0.0.1\"]\n" +
                  "[[uplink.postgresql]]\nname = \"p\"\nurl = \"postgresql://127.0.0.1/d\"\nusername = \"u\"\n")
                .end.exit_code,
            0);
  // Found before those of the system, and no libraries.
  const std::string folder = gateway.directory() + "/libraries";
  std::filesystem::create_directory(folder);
  const auto check_without = [&](const std::string& library) {
    write_file(folder + "/" + library, "nothing");
    const auto checked =
        run_to_end({program_path(), "check", "--config", gateway.config_file()}, {{"LD_LIBRARY_PATH", folder}});
    std::filesystem::remove(folder + "/" + library);
    EXPECT_EQ(checked.end.exit_code, kWrongConfiguration) << library;
    return checked.errors;
  };
  EXPECT_THAT(check_without("libcurl.so.4"), HasSubstr("package libcurl4"));
  EXPECT_THAT(check_without("librdkafka.so.1"), HasSubstr("package librdkafka1"));
  EXPECT_THAT(check_without("libpq.so.5"), HasSubstr("package libpq5"));
}

TEST_F(CommandShort, StartsNothingOnAWrongConfiguration) {
  gateway.configure("[gatewya]\n");
  const auto run = gateway.command({"run", "--config", gateway.config_file()});
  EXPECT_EQ(run.end.exit_code, kWrongConfiguration);
  EXPECT_FALSE(std::filesystem::exists(gateway.data_directory()));
  EXPECT_EQ(gateway.command({"run", "--config", gateway.directory() + "/none.toml"}).end.exit_code,
            kWrongConfiguration);
}

TEST_F(CommandShort, RefusesADataDirectoryThatIsInUse) {
  run_for_a_while(1);
  const auto second = gateway.command({"run", "--config", gateway.config_file()});
  EXPECT_EQ(second.end.exit_code, 1);
  EXPECT_THAT(second.errors, HasSubstr("in use"));
  EXPECT_THAT(second.errors, HasSubstr(std::to_string(gateway.process().pid())));
  EXPECT_TRUE(gateway.is_running());
}

// A broker ends the connection of who has the client id that another one comes with.
TEST_F(CommandShort, ASecondDaemonTakesNoSessionOverBeforeItFindsWhatIsTaken) {
  MosquittoBroker broker("log_type all\n");
  broker.start();
  const std::string body =
      "[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" + std::to_string(free_port()) +
      "\"\n  [[driver.mqtt_listener.subscribe]]\n  topic = \"plant/{device}/{tag}\"\n"
      "[[driver.mqtt]]\nname = \"local\"\nbroker = \"" +
      broker.uri() +
      "\"\n  [[driver.mqtt.subscribe]]\n  topic = \"line/{device}/{tag}\"\n"
      "[[uplink.mqtt]]\nname = \"cloud\"\nbroker = \"" +
      broker.uri() + "\"\n";
  gateway.configure(body);
  gateway.start();
  ASSERT_TRUE(broker.wait_for_log("New client connected", 2)) << broker.log();
  GatewayProcess second;
  const std::string address = "127.0.0.1:" + std::to_string(gateway.admin_port());
  const auto refused = [&](const std::string& data_dir, const std::string& admin) {
    write_file(second.config_file(),
               "[gateway]\nid = \"test-gateway\"\ndata_dir = \"" + data_dir + "\"\nadmin = \"" + admin + "\"\n" + body);
    const auto run = second.command({"run", "--config", second.config_file()});
    EXPECT_EQ(run.end.exit_code, 1);
    return run.errors;
  };
  EXPECT_THAT(refused(gateway.data_directory(), address), HasSubstr("is in use by process"));
  EXPECT_THAT(refused(second.data_directory(), address), HasSubstr(address));
  EXPECT_THAT(refused(second.data_directory(), ""), HasSubstr("cannot listen on"));
  const auto taken_over = [&] { return broker.log().find("already connected") != std::string::npos; };
  EXPECT_FALSE(wait_until(taken_over, seconds(1))) << broker.log();
}

TEST_F(CommandShort, RefusesADataDirectoryThatCannotBe) {
  write_file(gateway.data_directory(), "a file");
  gateway.configure(kSimulator);
  const auto run = gateway.command({"run", "--config", gateway.config_file()});
  EXPECT_EQ(run.end.exit_code, 1);
  EXPECT_THAT(run.errors, HasSubstr(gateway.data_directory()));
}

TEST_F(CommandShort, KeepsItsFilesToItself) {
  run_for_a_while(1);
  struct stat found {};
  ASSERT_EQ(::stat(gateway.data_directory().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0700U);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(gateway.data_directory())) {
    ASSERT_EQ(::stat(entry.path().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0077U, 0U) << entry.path();
  }
}

TEST_F(CommandShort, StopsCleanlyAndGoesOnInTheSameEpoch) {
  run_for_a_while();
  const std::uint32_t first = epoch();
  ASSERT_NE(first, 0U);
  gateway.stop();
  EXPECT_THAT(gateway.log(), HasSubstr("stopped"));
  gateway.start();
  EXPECT_THAT(gateway.log(), HasSubstr("after a clean stop"));
  EXPECT_EQ(epoch(), first);
}

TEST_F(CommandShort, BeginsAnEpochAfterAKill) {
  run_for_a_while();
  const std::uint32_t first = epoch();
  ASSERT_NE(first, 0U);
  gateway.kill();
  gateway.start();
  EXPECT_EQ(epoch(), first + 1);
}

TEST_F(CommandShort, ShowsItsStateAsTextAndAsJson) {
  run_for_a_while();
  const auto text = gateway.command({"status", "--config", gateway.config_file()});
  EXPECT_EQ(text.end.exit_code, 0);
  EXPECT_THAT(text.output, HasSubstr("sim"));
  const auto json =
      gateway.command({"status", "--json", "--admin", "127.0.0.1:" + std::to_string(gateway.admin_port())});
  EXPECT_EQ(json.end.exit_code, 0);
  simdjson::dom::parser parser;
  const simdjson::dom::element root = parser.parse(json.output);
  for (const char* part : {"drivers", "log", "uplinks", "alarms_active"}) {
    EXPECT_EQ(root[part].error(), simdjson::SUCCESS) << part;
  }
  const std::string clock = "\"clock\":";
  EXPECT_EQ(json.output.find(clock), json.output.rfind(clock)) << "a name stands once in an object";
  gateway.stop();
  const auto gone = gateway.command({"status", "--config", gateway.config_file()});
  EXPECT_EQ(gone.end.exit_code, 1);
  EXPECT_THAT(gone.errors, HasSubstr(std::to_string(gateway.admin_port())));
}

TEST_F(CommandShort, ShowsRulesThatMatchNoTag) {
  gateway.configure(std::string(kSimulator) +
                    "[[rule]]\nname = \"right\"\ntype = \"threshold\"\ntags = [\"sim-*\"]\nraise = \"> 1e9\"\n"
                    "[[rule]]\nname = \"astray\"\ntype = \"threshold\"\ntags = [\"sin-*\"]\nraise = \"> 1e9\"\n");
  gateway.start();
  ASSERT_TRUE(gateway.wait_for_metric(kAccepted, 6, seconds(30)));
  const auto text = gateway.command({"status", "--config", gateway.config_file()});
  EXPECT_THAT(text.output, ContainsRegex("\nrule +astray +matches no tag so far\n"));
  EXPECT_THAT(text.output, Not(ContainsRegex("rule +right")));
  EXPECT_THAT(text.output, HasSubstr("\nall is well; no uplink is configured; rule astray matches no tag so far\n"));
  const auto top = gateway.command({"top", "--count", "1", "--config", gateway.config_file()});
  EXPECT_THAT(top.output, HasSubstr("\nrules that match no tag so far: astray\n"));
  EXPECT_EQ(gateway.metric("tidegate_rules_without_tag"), 1);
}

TEST_F(CommandShort, ShowsItsStateAgainAndAgain) {
  run_for_a_while();
  const auto top = gateway.command({"top", "--interval", "0.2", "--count", "3", "--config", gateway.config_file()});
  EXPECT_EQ(top.end.exit_code, 0);
  std::size_t screens = 0;
  for (std::size_t at = top.output.find("DRIVER "); at != std::string::npos; at = top.output.find("DRIVER ", at + 1)) {
    ++screens;
  }
  EXPECT_EQ(screens, 3U) << top.output;
  EXPECT_THAT(top.output, Not(HasSubstr("\x1b"))) << "it is no terminal";
  gateway.stop();
  const auto gone = gateway.command({"top", "--config", gateway.config_file()});
  EXPECT_EQ(gone.end.exit_code, 1);
  EXPECT_THAT(gone.errors, HasSubstr(std::to_string(gateway.admin_port())));
}

TEST_F(CommandShort, AnswersHealthReadinessAndMetrics) {
  run_for_a_while();
  EXPECT_EQ(http_get(gateway.admin_port(), "/healthz").status, 200);
  EXPECT_EQ(http_get(gateway.admin_port(), "/readyz").status, 200);
  EXPECT_EQ(http_get(gateway.admin_port(), "/nowhere").status, 404);
  const std::string metrics = http_get(gateway.admin_port(), "/metrics").body;
  for (const char* name :
       {"tidegate_readings_accepted_total", "tidegate_readings_delivered_total", "tidegate_readings_dropped_total",
        "tidegate_readings_filtered_total", "tidegate_log_stored_readings", "tidegate_log_bytes",
        "tidegate_log_written_bytes_total", "tidegate_log_sync_seconds", "tidegate_uplink_up",
        "tidegate_uplink_backlog_readings", "tidegate_uplink_delay_seconds", "tidegate_device_up",
        "tidegate_modbus_requests_total", "tidegate_alarms_active", "tidegate_build_info"}) {
    EXPECT_THAT(metrics, HasSubstr(std::string("# TYPE ") + name + " "));
  }
}

TEST_F(CommandShort, TailsReadingsFromTheDaemonAndFromTheFiles) {
  run_for_a_while();
  const auto asked = gateway.command({"tail", "--from", "0", "--tag", "sim-1/*", "--config", gateway.config_file()});
  EXPECT_EQ(asked.end.exit_code, 0) << asked.errors;
  const auto from_daemon = lines_with(asked.output, "\"tag\":\"sim-1/tag-1\"");
  EXPECT_GE(from_daemon.size(), 3u);
  EXPECT_THAT(asked.output, Not(HasSubstr("sim-2/")));
  gateway.stop();
  const auto read =
      gateway.command({"tail", "--data-dir", gateway.data_directory(), "--from", "oldest", "--tag", "sim-1/*"});
  EXPECT_EQ(read.end.exit_code, 0) << read.errors;
  EXPECT_TRUE(read.output.starts_with(asked.output.substr(0, asked.output.find('\n'))));
  const auto events =
      gateway.command({"tail", "--data-dir", gateway.data_directory(), "--from", "oldest", "--stream", "events"});
  EXPECT_THAT(events.output, HasSubstr("\"event\":\"start\""));
}

// The readings that a daemon has which takes no more of them.
TEST_F(CommandShort, TailsTheLastOnesWhereThatIsAskedFor) {
  run_for_a_while(200);
  gateway.stop();
  gateway.configure("[[driver.simulator]]\nname = \"sim\"\ninterval = \"1h\"\n");
  gateway.start();
  const auto tail = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"tail", "--config", gateway.config_file()});
    const auto done = gateway.command(more);
    EXPECT_EQ(done.end.exit_code, 0) << done.errors;
    return done;
  };
  const auto all = lines_with(tail({"--from", "oldest"}).output, "{");
  ASSERT_GE(all.size(), 200U);
  const auto ends_all = [&](const std::vector<std::string>& lines) {
    return lines.size() <= all.size() && std::equal(lines.rbegin(), lines.rend(), all.rbegin());
  };
  EXPECT_EQ(lines_with(tail({}).output, "{"), all);
  const auto last = tail({"--last", "10"});
  EXPECT_EQ(lines_with(last.output, "{").size(), 10U);
  EXPECT_TRUE(ends_all(lines_with(last.output, "{"))) << last.output;
  EXPECT_THAT(last.errors, HasSubstr("the last 10; --from oldest prints all"));
  EXPECT_EQ(lines_with(tail({"--last", "25"}).output, "{").size(), 25U);
  const auto many = tail({"--last", "100000"});
  EXPECT_EQ(lines_with(many.output, "{"), all);
  EXPECT_EQ(many.errors, "") << "nothing is left out";
  const auto of_tag = lines_with(tail({"--last", "10", "--tag", "sim-2/tag-1"}).output, "{");
  EXPECT_EQ(of_tag.size(), 10U);
  EXPECT_EQ(lines_with(tail({"--last", "10", "--tag", "sim-2/tag-1"}).output, "sim-2/tag-1"), of_tag);
  gateway.stop();
  const auto of_files = tail({"--last", "10", "--data-dir", gateway.data_directory()});
  EXPECT_EQ(of_files.output, last.output);
  EXPECT_EQ(gateway.command({"tail", "--last", "3", "--from", "oldest"}).end.exit_code, kUsage);
}

// Something else may listen at the address.
TEST_F(CommandShort, ShowsTheBeginningOfAnAnswerThatIsNone) {
  ScriptedHttpServer server([](const HttpRequestSeen&) {
    return http_reply(200, "<html>\x1b[2J" + std::string(100'000, 'x'), "Content-Type: text/html\r\n");
  });
  const std::string address = "127.0.0.1:" + std::to_string(server.port());
  for (const std::vector<std::string>& words : {std::vector<std::string>{"alarms", "ls"},
                                                {"alarms", "ack", "hot/boiler/temp"},
                                                {"deadletter", "ls"},
                                                {"deadletter", "retry", "--uplink", "lake", "--all"},
                                                {"deadletter", "drop", "--uplink", "lake", "--id", "3"},
                                                {"replay", "--uplink", "lake", "--from", "oldest"},
                                                {"tail"},
                                                {"reload"}}) {
    std::vector<std::string> arguments = words;
    arguments.insert(arguments.end(), {"--admin", address});
    const auto done = gateway.command(arguments);
    EXPECT_EQ(done.end.exit_code, 1) << words.front();
    EXPECT_THAT(done.errors, HasSubstr("is not what this version understands: <html>\\x1b[2J")) << words.front();
    EXPECT_LT(done.errors.size(), 600U) << words.front();
  }
}

TEST_F(CommandShort, NamesWhatIsWrongByWhatItIsCalledHere) {
  const auto simulate = gateway.command({"simulate", "modbus", "--listen", "nowhere"});
  EXPECT_THAT(simulate.errors, HasSubstr("--listen \"nowhere\": allowed is HOST:PORT"));
  const auto fast = gateway.command({"simulate", "mqtt", "--rate", "0"});
  EXPECT_EQ(fast.end.exit_code, kUsage);
  EXPECT_THAT(fast.errors, HasSubstr("tidegate: --rate \"0\": allowed is a number from 0.01 to 1000000"));
  const auto broker = gateway.command({"simulate", "mqtt", "--broker", "hub:1883"});
  EXPECT_EQ(broker.end.exit_code, kUsage);
  EXPECT_THAT(broker.errors, HasSubstr("tidegate: --broker \"hub:1883\": allowed is mqtt://HOST[:PORT]"));
  run_for_a_while(1);
  for (const char* limit : {"0", "1001", "x", "-1"}) {
    const auto answer = http_get(gateway.admin_port(), std::string("/api/v1/records?limit=") + limit);
    EXPECT_EQ(answer.status, 400) << limit;
    EXPECT_THAT(answer.body, HasSubstr("from 1 to 1000")) << limit;
  }
  EXPECT_EQ(http_get(gateway.admin_port(), "/api/v1/records?limit=1000").status, 200);
}

TEST_F(CommandShort, SimulatedSensorsGiveABrokerUpThatIsNotThere) {
  const std::string broker = "mqtt://127.0.0.1:" + std::to_string(free_port());
  const auto simulated = gateway.command({"simulate", "mqtt", "--broker", broker, "--wait", "0.5"});
  EXPECT_EQ(simulated.end.exit_code, 1);
  EXPECT_THAT(simulated.errors, HasSubstr("tidegate: --broker " + broker + ": no connection within 0.5 s: "));
}

// Each shape of a simulated payload, with and without faults, is what a subscription can take; what is spoiled is
// counted, and what is not is all there.
TEST_F(CommandShort, SimulatesSensorsWithFaults) {
  const std::uint16_t port = free_port();
  const auto subscription = [](const std::string& topic, const std::string& keys) {
    return "  [[driver.mqtt_listener.subscribe]]\n  topic = \"" + topic + "\"\n" + keys;
  };
  gateway.configure(
      "[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" + std::to_string(port) + "\"\n" +
      subscription("json/{device}/{tag}", "  value = \"/value\"\n  time = \"/ts\"\n") +
      subscription("number/{device}/{tag}", "  payload = \"number\"\n") +
      subscription("csv/{device}/{tag}", "  payload = \"csv\"\n  time = \"/0\"\n  value = \"/1\"\n") +
      subscription("flat/{device}", "  values = \"*\"\n  time = \"/ts\"\n") +
      subscription("array/{device}/{tag}", "  each = \"/readings\"\n  value = \"/value\"\n  time = \"/ts\"\n"));
  gateway.start();
  const std::string accepted = "tidegate_readings_accepted_total{driver=\"direct\"}";
  double before = 0;
  for (const auto& [shape, readings_a_message] :
       {std::pair{"json", 1}, {"number", 1}, {"csv", 1}, {"flat", 2}, {"array", 10}}) {
    const std::string topic = std::string(shape) + (shape == std::string("flat") ? "/{device}" : "/{device}/{tag}");
    const auto simulated =
        gateway.command({"simulate", "mqtt", "--broker", "mqtt://127.0.0.1:" + std::to_string(port), "--topic", topic,
                         "--payload", shape, "--count", "60", "--rate", "1000", "--faults", "0.2"});
    EXPECT_EQ(simulated.end.exit_code, 0) << simulated.errors;
    EXPECT_THAT(simulated.output, HasSubstr("published 60")) << shape;
    EXPECT_THAT(simulated.output, HasSubstr("faulty 12")) << shape;
    const double good = 48.0 * readings_a_message;
    EXPECT_TRUE(gateway.wait_for_metric(accepted, before + good, seconds(30)))
        << shape << ": " << gateway.metric(accepted) - before << " of " << good;
    before = gateway.metric(accepted);
  }
  const auto status = gateway.command({"status", "--json", "--config", gateway.config_file()}).output;
  for (const char* reason : {"not_json", "bad_number", "key_twice", "bad_time"}) EXPECT_THAT(status, HasSubstr(reason));
  const auto unknown = gateway.command({"simulate", "mqtt", "--payload", "xml"});
  EXPECT_EQ(unknown.end.exit_code, 64);
  EXPECT_THAT(unknown.errors, HasSubstr("tidegate: --payload \"xml\": allowed are json, number, csv, flat, array"));
}

TEST_F(CommandShort, LooksAtSoManyRecordsInOneAnswerAndGoesOn) {
  gateway.configure("[[driver.simulator]]\nname = \"sim\"\ndevices = 50\ntags = 100\ninterval = \"100ms\"\n");
  gateway.start();
  ASSERT_TRUE(gateway.wait_for_metric("tidegate_log_stored_readings{stream=\"readings\"}", 60'000, seconds(60)));
  const auto answer = http_get(gateway.admin_port(), "/api/v1/records?from=oldest&tag=nosuch");
  EXPECT_EQ(answer.body, R"({"records":[],"next":")" + std::to_string(epoch()) + R"(:50001","end":false})");
  const auto tail = gateway.command({"tail", "--from", "oldest", "--tag", "nosuch", "--config", gateway.config_file()});
  EXPECT_EQ(tail.end.exit_code, 0) << tail.errors;
  EXPECT_EQ(tail.output, "");
}

TEST_F(CommandShort, VerifiesAWholeLogAndFindsADamagedOne) {
  run_for_a_while();
  gateway.stop();
  const auto whole = gateway.command({"log", "verify", "--data-dir", gateway.data_directory()});
  EXPECT_EQ(whole.end.exit_code, 0) << whole.output;
  const auto listing = gateway.command({"log", "ls", "--data-dir", gateway.data_directory()});
  EXPECT_THAT(listing.output, HasSubstr("readings"));
  // A byte in the first frame behind the segment's header.
  std::filesystem::path segment;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(gateway.data_directory() + "/log")) {
    if (entry.is_regular_file() && entry.path().string().find("readings") != std::string::npos) segment = entry.path();
  }
  ASSERT_FALSE(segment.empty());
  constexpr std::streamoff kInFirstFrame = 4096 + 80;
  std::fstream file(segment, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(kInFirstFrame);
  const auto byte = static_cast<char>(file.get() ^ 0x5a);
  file.seekp(kInFirstFrame);
  file.put(byte);
  file.close();
  const auto damaged = gateway.command({"log", "verify", "--data-dir", gateway.data_directory()});
  EXPECT_EQ(damaged.end.exit_code, 1);
  EXPECT_THAT(damaged.output, HasSubstr(segment.filename().string()));
  gateway.start();
  EXPECT_TRUE(gateway.is_running()) << "no content of the data directory stops the start";
}

TEST_F(CommandShort, ReloadsRulesAndIsNotStoppedByAWrongFile) {
  run_for_a_while(1);
  gateway.configure(std::string(kSimulator) +
                    "[[rule]]\nname = \"low\"\ntype = \"threshold\"\ntags = [\"sim-1/*\"]\nraise = \"> -1000\"\n"
                    "[[uplink.file]]\nname = \"export\"\npath = \"{dir}/export.ndjson\"\n");
  gateway.reload();
  EXPECT_TRUE(gateway.wait_for_metric("tidegate_alarms_active{severity=\"warning\"}", 3, seconds(20))) << gateway.log();
  EXPECT_TRUE(wait_until([&] { return gateway.log().find("started rule low") != std::string::npos; }, seconds(20)))
      << gateway.log();
  gateway.configure("[gatewya]\n");
  gateway.reload();
  EXPECT_TRUE(wait_until([&] { return gateway.log().find("nothing was changed") != std::string::npos; }, seconds(20)));
  EXPECT_TRUE(gateway.is_running());
}

TEST_F(CommandShort, AReloadShowsNewClientsTheCertificateThatTheFilesHoldNow) {
  const TestAuthority authority;
  for (const char* name : {"old", "new"}) {
    authority.make_authority(name);
    authority.make_certificate(std::string(name) + "-server", name, "IP:127.0.0.1");
  }
  const auto install = [&](const std::string& name) {
    for (const char* suffix : {".crt", ".key"}) {
      std::filesystem::copy_file(authority / (name + "-server" + suffix), authority / (std::string("shown") + suffix),
                                 std::filesystem::copy_options::overwrite_existing);
    }
  };
  const std::string port = std::to_string(free_port());
  const auto is_trusted_by = [&](const std::string& ca) {
    return run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", port, "--cafile", authority.certificate(ca),
                       "-q", "1", "-t", "plant/d/t", "-m", "{\"v\":1}"})
               .end.exit_code == 0;
  };
  install("old");
  gateway.configure("[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" + port +
                    "\"\n  [driver.mqtt_listener.tls]\n  cert = \"" + (authority / "shown.crt") + "\"\n  key = \"" +
                    (authority / "shown.key") +
                    "\"\n  [[driver.mqtt_listener.subscribe]]\n  topic = \"plant/{device}/{tag}\"\n  value = \"/v\"\n");
  gateway.start();
  ASSERT_TRUE(is_trusted_by("old")) << gateway.log();
  install("new");
  EXPECT_TRUE(is_trusted_by("old")) << "nobody has said so yet";
  gateway.reload();
  EXPECT_TRUE(wait_until([&] { return is_trusted_by("new"); }, seconds(20))) << gateway.log();
  EXPECT_FALSE(is_trusted_by("old"));
}

}  // namespace
}  // namespace tidegate::testing
