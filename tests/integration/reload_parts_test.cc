// Drivers and uplinks that come, go and change while the daemon runs, and the two commands for it.
#include <gmock/gmock.h>
#include <simdjson.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "drivers/modbus/simulated_server.h"
#include "tests/integration/relay_rig.h"
#include "tests/support/network.h"
#include "tests/support/silent_port.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kSimulator = "[[driver.simulator]]\nname = \"sim\"\ninterval = \"20ms\"\n";

std::string exporter(const std::string& name, const std::string& more = "") {
  return "[[uplink.file]]\nname = \"" + name + "\"\npath = \"{dir}/" + name +
         ".ndjson\"\nstreams = [\"readings\"]\nbatch = { max_delay = \"10ms\" }\n" + more;
}

std::string listener(const std::string& host, std::uint16_t port) {
  return "[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"" + host + ":" + std::to_string(port) +
         "\"\n[[driver.mqtt_listener.subscribe]]\ntopic = \"plant/{device}/{tag}\"\n";
}

class ReloadPartsShort : public ::testing::Test {
 protected:
  FinishedProcess reload() const { return gateway_.command({"reload", "--config", gateway_.config_file()}); }
  FinishedProcess check() const {
    return gateway_.command({"check", "--against-running", "--config", gateway_.config_file()});
  }
  void reload_well() const {
    const auto done = reload();
    ASSERT_EQ(done.end.exit_code, 0) << done.output << done.errors << gateway_.log();
  }
  double delivered(const std::string& uplink) const {
    return gateway_.metric("tidegate_readings_delivered_total{uplink=\"" + uplink + "\",stream=\"readings\"}");
  }

  GatewayProcess gateway_;
};

std::size_t times_in(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

TEST_F(ReloadPartsShort, WhatHasNotChangedKeepsItsConnections) {
  MosquittoBroker broker("log_type notice\nlog_type subscribe\n");
  broker.start();
  const auto devices = drivers::start_simulated_modbus({}).value();
  const std::string unchanged =
      relay_config(broker.port(), broker.port()) +
      "[[driver.modbus]]\nname = \"line-1\"\nurl = \"tcp://127.0.0.1:" + std::to_string(devices->port()) +
      "\"\n[[driver.modbus.device]]\nname = \"boiler\"\ninterval = \"20ms\"\n"
      "tags = [ { name = \"a\", address = \"holding:0\" } ]\n";
  gateway_.configure(unchanged + exporter("one"));
  gateway_.start();
  ASSERT_TRUE(gateway_.wait_for_metric("tidegate_uplink_up{uplink=\"cloud\"}", 1, seconds(20))) << gateway_.log();
  ASSERT_TRUE(broker.wait_for_log("plant/+/+"));
  gateway_.configure("# other lines\n\n" + unchanged + exporter("two") + kSimulator);
  const auto done = reload();
  ASSERT_EQ(done.end.exit_code, 0) << done.errors << gateway_.log();
  EXPECT_THAT(done.output,
              AllOf(HasSubstr("+ uplink.file two: was started"), HasSubstr("- uplink.file one: was stopped"),
                    HasSubstr("+ driver.simulator sim"), HasSubstr("3 other drivers and uplinks")));
  EXPECT_TRUE(gateway_.wait_for_metric("tidegate_readings_accepted_total{driver=\"sim\"}", 10, seconds(20)));
  EXPECT_TRUE(wait_until([this] { return delivered("two") >= 10; }, seconds(20))) << gateway_.log();
  EXPECT_EQ(times_in(broker.log(), "New client connected"), 2U) << broker.log();
  EXPECT_EQ(devices->connections(), 1U);
  EXPECT_EQ(delivered("one"), -1) << "it is gone";
}

TEST_F(ReloadPartsShort, SaysWhatAStoppedUplinkHasNotDelivered) {
  std::filesystem::create_directory(gateway_.directory() + "/one.ndjson");  // where its file should be
  const std::string backlog = "tidegate_uplink_backlog_readings{uplink=\"one\",stream=\"readings\"}";
  gateway_.configure(std::string(kSimulator) + exporter("one") + exporter("two"));
  gateway_.start();
  ASSERT_TRUE(gateway_.wait_for_metric(backlog, 20, seconds(20))) << gateway_.log();
  gateway_.configure(std::string(kSimulator) + exporter("two"));
  const std::string said = " records not delivered \\(readings [0-9]+\\): nothing sends them";
  const auto preview = check();
  EXPECT_THAT(preview.output, ContainsRegex("- uplink.file one: is stopped .*\n    [0-9]+" + said)) << preview.errors;
  const auto done = reload();
  EXPECT_THAT(done.output, ContainsRegex("- uplink.file one: was stopped .*\n    [0-9]+" + said)) << done.errors;
  EXPECT_THAT(done.output, HasSubstr("called one again goes on there"));
  EXPECT_THAT(gateway_.log(), ContainsRegex("one is stopped with [0-9]+" + said));
}

TEST_F(ReloadPartsShort, AnUplinkOfTheSameNameAndAnotherKindGoesOnWithTheBacklog) {
  std::filesystem::create_directory(gateway_.directory() + "/one.ndjson");
  gateway_.configure(std::string(kSimulator) + exporter("one"));
  gateway_.start();
  const std::string backlog = "tidegate_uplink_backlog_readings{uplink=\"one\",stream=\"readings\"}";
  ASSERT_TRUE(gateway_.wait_for_metric(backlog, 20, seconds(20))) << gateway_.log();
  gateway_.configure(std::string(kSimulator) + "[[uplink.http]]\nname = \"one\"\nurl = \"http://127.0.0.1:9\"\n");
  EXPECT_THAT(check().output, HasSubstr("): uplink.http one goes on with them"));
  reload_well();
  EXPECT_GE(gateway_.metric(backlog), 20);
}

TEST_F(ReloadPartsShort, AChangedUplinkGoesOnWhereItWas) {
  gateway_.configure(std::string(kSimulator) + exporter("export"));
  gateway_.start();
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(wait_until([&] { return delivered("export") >= 20.0 * i; }, seconds(20))) << gateway_.log();
    gateway_.configure(std::string(kSimulator) + exporter("export", "inflight = " + std::to_string(i) + "\n"));
    reload_well();
  }
  gateway_.stop();
  std::set<std::uint64_t> numbers;
  std::size_t lines = 0;
  simdjson::dom::parser parser;
  const simdjson::padded_string text(read_file(gateway_.directory() + "/export.ndjson"));
  for (const simdjson::dom::element line : parser.parse_many(text)) {
    numbers.insert(line["seq"].get_uint64().value());
    ++lines;
  }
  EXPECT_EQ(numbers.size(), lines) << "none twice";
  ASSERT_FALSE(numbers.empty());
  EXPECT_EQ(*numbers.rbegin() - *numbers.begin() + 1, lines) << "none lost";
}

TEST_F(ReloadPartsShort, AnUplinkThatComesBackGoesOnWhereItWas) {
  gateway_.configure(std::string(kSimulator) + exporter("export"));
  gateway_.start();
  ASSERT_TRUE(wait_until([&] { return delivered("export") >= 20; }, seconds(20))) << gateway_.log();
  gateway_.configure(kSimulator);
  reload_well();
  const std::string before = read_file(gateway_.directory() + "/export.ndjson");
  gateway_.configure(std::string(kSimulator) + exporter("export"));
  reload_well();
  ASSERT_TRUE(wait_until([&] { return delivered("export") >= 60; }, seconds(20))) << gateway_.log();
  const std::string after = read_file(gateway_.directory() + "/export.ndjson");
  EXPECT_TRUE(after.starts_with(before));
  EXPECT_EQ(times_in(after, "\"seq\":1,"), times_in(before, "\"seq\":1,"));
}

TEST_F(ReloadPartsShort, APortThatIsTakenChangesNothingAndIsNamedWithItsLine) {
  const std::uint16_t number = free_port();
  const int taken = listen_on_loopback(number);
  const std::string port = std::to_string(number);
  gateway_.configure(std::string(kSimulator) + exporter("export"));
  gateway_.start();
  gateway_.configure(std::string(kSimulator) + exporter("export", "inflight = 3\n") + listener("127.0.0.1", number));
  const auto done = reload();
  ::close(taken);
  EXPECT_EQ(done.end.exit_code, 1) << done.output;
  EXPECT_THAT(done.errors, AllOf(HasSubstr("tidegate.toml:"), HasSubstr("driver.mqtt_listener direct: "),
                                 HasSubstr("cannot listen on 127.0.0.1:" + port), HasSubstr("goes on, untouched")));
  EXPECT_TRUE(wait_until([this] { return !gateway_.tail("events", "reload-failed").empty(); }, seconds(20)));
  const double before = delivered("export");
  EXPECT_TRUE(wait_until([&] { return delivered("export") >= before + 10; }, seconds(20))) << gateway_.log();
  EXPECT_THAT(check().output, HasSubstr("inflight: 8 -> 3"));
  const auto again = reload();
  EXPECT_EQ(again.end.exit_code, 0) << "the port is free now: " << again.errors;
}

// The port was ours, at another address: that it cannot be had there shows only when all that changes has ended.
TEST_F(ReloadPartsShort, WhatCannotStartBringsTheOldSettingsBack) {
  const std::uint16_t port = free_port();
  gateway_.configure(std::string(kSimulator) + listener("127.0.0.1", port) + exporter("export"));
  gateway_.start();
  drivers::SimulatedModbusOptions there;
  there.host = "127.0.0.2";
  there.port = port;
  const auto in_the_way = drivers::start_simulated_modbus(there).value();
  ASSERT_TRUE(wait_until([&] { return delivered("export") >= 20; }, seconds(20))) << gateway_.log();
  gateway_.configure(std::string(kSimulator) + listener("127.0.0.2", port) + exporter("export", "inflight = 3\n") +
                     exporter("other"));
  const auto done = reload();
  EXPECT_EQ(done.end.exit_code, 1) << done.output;
  EXPECT_THAT(done.errors, AllOf(HasSubstr("cannot listen on 127.0.0.2:" + std::to_string(port)),
                                 HasSubstr("started again: driver.mqtt_listener direct, uplink.file export")));
  EXPECT_EQ(delivered("other"), -1);
  const double before = delivered("export");
  EXPECT_TRUE(wait_until([&] { return delivered("export") >= before + 20; }, seconds(20))) << gateway_.log();
  const auto published = run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(port), "-q", "1",
                                     "-t", "plant/d/t", "-m", "1"});
  EXPECT_EQ(published.end.exit_code, 0) << published.errors;
}

TEST_F(ReloadPartsShort, AWrongFileChangesNothingAndSaysWhy) {
  gateway_.configure(std::string(kSimulator) + exporter("export"));
  gateway_.start();
  gateway_.configure("[[driver.simulator]]\nname = \"sim\"\nintervall = \"1s\"\n");
  for (const auto& done : {reload(), check()}) {
    EXPECT_EQ(done.end.exit_code, 78);
    EXPECT_THAT(done.errors, AllOf(HasSubstr("tidegate.toml:"), HasSubstr("did you mean \"interval\"?")));
  }
  EXPECT_TRUE(wait_until([this] { return !gateway_.tail("events", "reload-failed").empty(); }, seconds(20)));
  EXPECT_THAT(gateway_.status_of("export"), HasSubstr("\"name\":\"export\""));
}

TEST_F(ReloadPartsShort, SaysBeforehandWhatAReloadWouldChangeAndWhatWaits) {
  gateway_.configure(std::string(kSimulator) + exporter("export"));
  gateway_.start();
  const auto same = check();
  EXPECT_EQ(same.end.exit_code, 0) << same.errors;
  EXPECT_THAT(same.output, HasSubstr("a reload would change nothing"));
  gateway_.configure("[[driver.simulator]]\nname = \"sim\"\ninterval = \"40ms\"\n" + exporter("export"));
  const auto possible = check();
  EXPECT_EQ(possible.end.exit_code, 0) << possible.errors;
  EXPECT_THAT(possible.output, AllOf(HasSubstr("~ driver.simulator sim: is stopped and begins anew"),
                                     HasSubstr("    interval: \"20ms\" -> \"40ms\"")));
  gateway_.configure(std::string(kSimulator) + exporter("export") + "[buffer]\nsize = \"64MiB\"\n");
  const auto waits = check();
  EXPECT_EQ(waits.end.exit_code, 1) << waits.output;
  EXPECT_THAT(waits.output, HasSubstr("~ buffer: waits for a restart"));
  EXPECT_THAT(waits.errors, HasSubstr("buffer.size"));
  const auto done = reload();
  EXPECT_EQ(done.end.exit_code, 0) << done.errors;
  EXPECT_THAT(done.errors, HasSubstr("waits for a restart: buffer.size"));
  EXPECT_EQ(check().end.exit_code, 1) << "it still waits";
  const auto shown = [&](const char* command) {
    const std::string config = gateway_.config_file();
    return command == std::string("top") ? gateway_.command({"top", "--count", "1", "--config", config})
                                         : gateway_.command({command, "--config", config});
  };
  EXPECT_THAT(shown("status").output, AllOf(HasSubstr("; changed setting buffer.size waits for a restart\n"),
                                            HasSubstr("\nchanged buffer.size waits for a restart\n")));
  EXPECT_THAT(shown("top").output, HasSubstr("\nchanged, and waits for a restart: buffer.size\n"));
  EXPECT_EQ(gateway_.metric("tidegate_restart_needed_settings"), 1);
  gateway_.configure(std::string(kSimulator) + exporter("export"));
  EXPECT_EQ(reload().end.exit_code, 0);
  EXPECT_THAT(shown("status").output, Not(HasSubstr("restart"))) << "it is as it runs again";
  const std::uint16_t port = free_port();
  const SilentPort taken("127.0.0.1", port);
  gateway_.configure(std::string(kSimulator) + exporter("export") +
                     "[buffer]\nsize = \"64MiB\"\n[[driver.mqtt_listener]]\n" +
                     "name = \"late\"\nlisten = \"127.0.0.1:" + std::to_string(port) +
                     "\"\n  [[driver.mqtt_listener.subscribe]]\n  topic = \"a/{device}/{tag}\"\n");
  EXPECT_NE(reload().end.exit_code, 0);
  EXPECT_THAT(shown("status").output, HasSubstr("buffer.size waits for a restart"))
      << "a reload that fails finds it, too";
}

TEST_F(ReloadPartsShort, WillNotSayOfOneFileWhatAnotherOneWouldChange) {
  gateway_.configure(kSimulator);
  gateway_.start();
  const std::string other = gateway_.directory() + "/other.toml";
  write_file(other, read_file(gateway_.config_file()));
  const auto done = gateway_.command({"check", "--against-running", "--config", other});
  EXPECT_EQ(done.end.exit_code, 1);
  EXPECT_THAT(done.errors, HasSubstr("runs by " + gateway_.config_file()));
}

// The publisher goes on while the driver that takes from the broker, and the uplink, are exchanged again and again.
// With each end of a connection acknowledgements may go that were on their way, `ends`: the broker sends that again.
void reload_under_load(const std::string& ack, unsigned ends) {
  RelayRig rig({30'000, 4'000});
  const auto configure = [&](int i) {
    rig.gateway().configure(relay_config(rig.source().port(), rig.target().port(),
                                         "ack = \"" + ack + "\"\nkeep_alive = \"" + std::to_string(20 + i) + "s\"\n") +
                            "inflight = " + std::to_string(i % 2 + 7) + "\n");
  };
  configure(0);
  rig.start_gateway();
  rig.publisher().start();
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(rig.publisher().wait_for_acknowledged(3'000 * static_cast<std::uint64_t>(i), seconds(60)));
    configure(i);
    const auto done = rig.gateway().command({"reload", "--config", rig.gateway().config_file()});
    ASSERT_EQ(done.end.exit_code, 0) << done.errors << rig.gateway().log();
    EXPECT_THAT(done.output, AllOf(HasSubstr("driver.mqtt local"), HasSubstr("uplink.mqtt cloud")));
    const auto is_back = [&] { return times_in(rig.gateway().log(), "local driver-up") > static_cast<std::size_t>(i); };
    ASSERT_TRUE(wait_until(is_back, seconds(20))) << rig.gateway().log();
  }
  EXPECT_TRUE(rig.publisher().wait_for_all(seconds(60)));
  rig.expect_all_arrived(seconds(60), ends);
  EXPECT_EQ(rig.checker().report().repeats, 0U);
  rig.gateway().stop();
}

TEST(ReloadUnderLoad, LosesNothingOfWhatABrokerHas) { reload_under_load("written", 5); }
TEST(ReloadUnderLoad, LosesNothingAndTakesNothingTwiceWithDurableAcknowledgements) { reload_under_load("durable", 0); }

std::size_t descriptors_of(pid_t process) {
  const std::filesystem::directory_iterator folder("/proc/" + std::to_string(process) + "/fd");
  return static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

TEST(ReloadAgain, AHundredTimesNeedsNoMoreMemoryAndNoMoreDescriptors) {
  constexpr int kReloads = 100;
  constexpr int kSettled = 20;
  constexpr std::uint64_t kMiB = 1024 * 1024;
  MosquittoBroker broker;
  broker.start();
  const auto devices = drivers::start_simulated_modbus({}).value();
  const std::string port = std::to_string(free_port());
  GatewayProcess gateway;
  const auto configure = [&](bool is_odd) {
    const std::string word = is_odd ? "odd" : "even";
    gateway.configure(
        "[[driver.mqtt]]\nname = \"local\"\nbroker = \"" + broker.uri() + "\"\nack = \"" +
        (is_odd ? "durable" : "written") + "\"\n[[driver.mqtt.subscribe]]\ntopic = \"plant/{device}/{tag}\"\n" +
        "[[driver.mqtt]]\nname = \"" + word + "\"\nbroker = \"" + broker.uri() +
        "\"\n[[driver.mqtt.subscribe]]\ntopic = \"" + word + "/{device}/{tag}\"\n" +
        "[[driver.mqtt_listener]]\nname = \"direct\"\nlisten = \"127.0.0.1:" + port + "\"\nconnections_max = " +
        (is_odd ? "100" : "200") + "\n[[driver.mqtt_listener.subscribe]]\ntopic = \"hall/{device}/{tag}\"\n" +
        "[[driver.mqtt_listener.watch]]\ntopics = [\"tidegate/#\"]\n" +
        "[[driver.modbus]]\nname = \"line-1\"\nurl = \"tcp://127.0.0.1:" + std::to_string(devices->port()) +
        "\"\n[[driver.modbus.device]]\nname = \"boiler\"\ninterval = \"20ms\"\ntags = [ { name = \"a\", address = "
        "\"holding:0\", unit = \"" +
        word + "\" } ]\n" + "[[uplink.mqtt]]\nname = \"cloud\"\nbroker = \"" + broker.uri() +
        "\"\ninflight = " + (is_odd ? "7" : "8") + "\n" + exporter(word));
  };
  configure(false);
  gateway.start();
  std::uint64_t memory = 0;
  std::size_t descriptors = 0;
  for (int i = 1; i <= kReloads; ++i) {
    configure(i % 2 == 1);
    const auto done = gateway.command({"reload", "--config", gateway.config_file()});
    ASSERT_EQ(done.end.exit_code, 0) << i << ": " << done.errors << gateway.log();
    if (i == kSettled) {
      memory = gateway.process().resident_bytes();
      descriptors = descriptors_of(gateway.process().pid());
    }
  }
  const std::uint64_t memory_after = gateway.process().resident_bytes();
  std::printf("resident after %d reloads %.1f MiB, after %d %.1f MiB\n", kSettled, static_cast<double>(memory) / kMiB,
              kReloads, static_cast<double>(memory_after) / kMiB);
  EXPECT_LT(memory_after, memory + 2 * kMiB);
  EXPECT_TRUE(wait_until([&] { return descriptors_of(gateway.process().pid()) <= descriptors + 1; }, seconds(20)))
      << descriptors << " before, " << descriptors_of(gateway.process().pid()) << " now";
  std::set<std::string> queues;
  for (const auto& entry : std::filesystem::directory_iterator(gateway.directory() + "/run")) {
    queues.insert(entry.path().filename().string());
  }
  EXPECT_EQ(queues.count("mqtt-odd.queue"), 0U) << "its driver is gone";
  EXPECT_EQ(queues.count("mqtt-even.queue"), 1U);
  gateway.stop();
}

}  // namespace
}  // namespace tidegate::testing
