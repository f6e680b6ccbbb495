// A Sparkplug host, a broker, the real daemon, and Modbus servers whose registers and coils change, or do not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>

#include "core/clock.h"
#include "drivers/modbus/libmodbus_link.h"
#include "drivers/modbus/simulated_server.h"
#include "tests/integration/gateway_process.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/network.h"
#include "tests/support/sparkplug_host.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using drivers::ModbusTable;
using mqtt::SparkplugMetric;
using mqtt::SparkplugType;
using mqtt::SparkplugValue;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr seconds kPatience{30};

class TagWritesShort : public ::testing::Test {
 protected:
  TagWritesShort() : broker_("persistence true\npersistence_location {dir}/\n"), host_(broker_.port()) {
    broker_.start();
    host_.start();
  }

  void serve() {
    drivers::SimulatedModbusOptions options;
    options.moving = false;
    server_ = drivers::start_simulated_modbus(options).value();
    port_ = server_->port();
  }
  // The polls are far apart: what comes in between is what was read back.
  void start_node(const std::string& interval = "60s", const std::string& commands = "true") {
    node_.configure(
        "[[driver.modbus]]\nname = \"line-1\"\nurl = \"tcp://127.0.0.1:" + std::to_string(port_) +
        "\"\ntimeout = \"300ms\"\nretries = 0\n[[driver.modbus.device]]\nname = \"boiler\"\ninterval = \"" + interval +
        "\"\ntags = [\n{ name = \"setpoint\", address = \"holding:200\", type = \"float32\", writable = true, min = 0, "
        "max = 90 },\n{ name = \"run\", address = \"coil:3\", writable = true },\n{ name = \"temp\", address = "
        "\"holding:10\" },\n]\n[[uplink.mqtt]]\nname = \"scada\"\nbroker = \"" +
        broker_.uri() +
        "\"\nformat = \"sparkplug\"\nreconnect_most = \"1s\"\nbatch.max_delay = \"50ms\"\n"
        "sparkplug = { group = \"works\", node = \"gate\", commands = " +
        commands + " }\n");
    node_.start();
    ASSERT_TRUE(wait_until([this] { return host_.alias("gate", "boiler/temp").has_value(); }, kPatience))
        << node_.log();
  }

  static SparkplugMetric named(const std::string& name, SparkplugType type, SparkplugValue value) {
    SparkplugMetric metric;
    metric.name = name;
    metric.type = type;
    metric.value = std::move(value);
    return metric;
  }
  void command(SparkplugMetric metric, bool retain = false) {
    host_.command("works", "DCMD/gate/boiler", {std::move(metric)}, retain);
  }
  void set_point(double value) { command(named("setpoint", SparkplugType::float64, value)); }

  std::vector<std::uint16_t> in_device(ModbusTable table, std::uint16_t address, std::uint16_t count) const {
    drivers::ModbusBusOptions options;
    options.host = "127.0.0.1";
    options.port = port_;
    const auto link = drivers::make_libmodbus_link(options, clock_).value();
    std::vector<std::uint16_t> words(count);
    if (!link->connect() || link->read({1, table, address, count}, words) != drivers::ModbusResult::ok) return {};
    return words;
  }
  float set_point_in_device() const {
    const auto words = in_device(ModbusTable::holding, 200, 2);
    if (words.size() != 2) return -1;
    return std::bit_cast<float>(std::uint32_t{words[0]} << 16 | words[1]);
  }
  bool comes_as_data(const std::string& metric, const SparkplugValue& value) {
    return host_.wait_for(
        [&](const SparkplugReport& report) {
          const auto found = report.data.find("gate/boiler/" + metric);
          return found != report.data.end() && found->second.back().value == value;
        },
        kPatience);
  }
  std::vector<std::string> wait_for_events(std::size_t count) {
    wait_until([&] { return node_.tail("events", "\"event\":\"tag-write\"").size() >= count; }, kPatience);
    auto events = node_.tail("events", "\"event\":\"tag-write\"");
    EXPECT_THAT(events, SizeIs(count)) << node_.log();
    events.resize(count);
    return events;
  }
  double counted(const std::string& result) const {
    return node_.metric("tidegate_tag_writes_total{driver=\"line-1\",result=\"" + result + "\"}");
  }

  SystemClock clock_;
  std::uint16_t port_ = 0;
  std::unique_ptr<drivers::SimulatedModbusServer> server_;
  MosquittoBroker broker_;
  SparkplugHost host_;
  GatewayProcess node_;
};

TEST_F(TagWritesShort, ACommandChangesTheRegisterAndWhatIsReadBackComesAsData) {
  port_ = free_port();
  ProcessUnderTest simulator(
      {{program_path(), "simulate", "modbus", "--listen", "127.0.0.1:" + std::to_string(port_)}, {}, "", ""});
  ASSERT_TRUE(wait_until([&] { return simulator.output().find("listening") != std::string::npos; }, kPatience));
  start_node();
  SparkplugMetric by_alias;
  by_alias.alias = host_.alias("gate", "boiler/setpoint");
  by_alias.value = 60.5;
  command(by_alias);
  EXPECT_TRUE(comes_as_data("setpoint", 60.5)) << node_.log();
  EXPECT_EQ(set_point_in_device(), 60.5F);
  command(named("run", SparkplugType::boolean, true));
  EXPECT_TRUE(comes_as_data("run", true)) << node_.log();
  EXPECT_EQ(in_device(ModbusTable::coil, 3, 1), std::vector<std::uint16_t>{1});
  command(named("run", SparkplugType::boolean, false));
  EXPECT_TRUE(comes_as_data("run", false)) << node_.log();
  const auto events = wait_for_events(3);
  EXPECT_THAT(events[0], HasSubstr("\"tag\":\"boiler/setpoint\",\"value\":60.5,\"by\":\"uplink scada\",\"result\":"
                                   "\"written\",\"driver\":\"line-1\",\"detail\":\"spBv1.0/works/DCMD/gate/boiler, "
                                   "metric alias "));
  EXPECT_EQ(counted("written"), 3);
  EXPECT_THAT(node_.status_of("line-1"), HasSubstr("\"writes\":{\"written\":3}"));
  node_.kill();
  const auto stored = node_.command({"log", "cat", "--data-dir", node_.data_directory(), "--stream", "events"});
  EXPECT_THAT(lines_with(stored.output, "\"event\":\"tag-write\""), SizeIs(3)) << "what was done survives a kill";
  EXPECT_TRUE(host_.report().defects.empty()) << ::testing::PrintToString(host_.report().defects);
}

TEST_F(TagWritesShort, WhatIsNotAllowedChangesNothingAndIsRecorded) {
  serve();
  command(named("setpoint", SparkplugType::float64, 33.0), true);  // from long ago: the broker keeps it
  start_node();
  const float before = set_point_in_device();
  set_point(90.5);
  command(named("temp", SparkplugType::int64, std::uint64_t{1}));
  command(named("none", SparkplugType::int64, std::uint64_t{1}));
  command(named("run", SparkplugType::int64, std::uint64_t{2}));
  const auto events = wait_for_events(5);
  for (const auto& event : events) EXPECT_THAT(event, HasSubstr("\"result\":\"refused\""));
  EXPECT_THAT(events[0], HasSubstr("retained by the broker"));
  EXPECT_THAT(events[1], HasSubstr("found 90.5; what min and max say, from 0.0 to 90.0 is allowed"));
  EXPECT_THAT(events[2], HasSubstr("the tag is not writable"));
  EXPECT_THAT(events[3], HasSubstr("no driver has a tag of this name"));
  EXPECT_THAT(events[4], HasSubstr("found 2; true or false, or 1 or 0 is allowed"));
  EXPECT_EQ(set_point_in_device(), before);
  EXPECT_EQ(counted("refused"), 4);
  EXPECT_THAT(node_.log(), HasSubstr("boiler/none = 1 by uplink scada (spBv1.0/works/DCMD/gate/boiler, metric none): "
                                     "refused: no driver has a tag of this name"));
  EXPECT_THAT(node_.log(), HasSubstr("boiler/setpoint = 90.5 by uplink scada (spBv1.0/works/DCMD/gate/boiler, metric "
                                     "setpoint): refused: found 90.5; "));
  broker_.restart();  // the retained command comes with each connection
  EXPECT_THAT(wait_for_events(6)[5], HasSubstr("retained by the broker"));
  EXPECT_EQ(set_point_in_device(), before);
}

TEST_F(TagWritesShort, AWriteThatIsNotAnsweredIsSentOnceAndADeviceThatIsDownGetsNone) {
  serve();
  start_node("1s");
  drivers::SimulatedModbusFaults late;
  late.delay = milliseconds(400);  // it does what it is told, and says so too late
  server_->set_faults(1, late);
  set_point(60.5);
  auto events = wait_for_events(1);
  EXPECT_THAT(events[0], HasSubstr("\"result\":\"unknown\",\"reason\":\"no answer within 300ms to a write of holding "
                                   "200 to 201 of unit 1: unknown whether it was written; it is not sent again"));
  drivers::SimulatedModbusFaults silent;
  silent.silent = true;
  server_->set_faults(1, silent);
  ASSERT_TRUE(wait_until(
      [this] { return node_.metric("tidegate_device_up{driver=\"line-1\",device=\"boiler\"}") == 0; }, kPatience));
  set_point(61.5);
  events = wait_for_events(2);
  EXPECT_THAT(events[1],
              HasSubstr("\"result\":\"refused\",\"reason\":\"device boiler is down, and is tried again in "));
  server_->set_faults(1, {});
  EXPECT_TRUE(wait_until(
      [this] { return node_.metric("tidegate_device_up{driver=\"line-1\",device=\"boiler\"}") == 1; }, kPatience));
  EXPECT_EQ(set_point_in_device(), 60.5F) << "what was refused is not done later";
}

TEST_F(TagWritesShort, WithoutCommandsTheyArePassedOver) {
  serve();
  start_node("60s", "false");
  const float before = set_point_in_device();
  set_point(60.5);
  EXPECT_TRUE(wait_until(
      [this] {
        return node_.log().find(
                   "a DCMD is passed over, commands = true is not set for this uplink: "
                   "spBv1.0/works/DCMD/gate/boiler") != std::string::npos;
      },
      kPatience))
      << node_.log();
  EXPECT_EQ(set_point_in_device(), before);
  EXPECT_THAT(node_.tail("events", "tag-write"), SizeIs(0));
}

}  // namespace
}  // namespace tidegate::testing
