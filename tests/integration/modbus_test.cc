#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <simdjson.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "drivers/modbus/simulated_device.h"
#include "drivers/modbus/simulated_server.h"
#include "tests/integration/gateway_process.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A thousand registers of unit 1 in types of one, two and four registers.
std::string mixed_tags() {
  struct Kind {
    const char* type;
    int registers;
    int count;
  };
  constexpr Kind kKinds[] = {{"uint16", 1, 200},  {"int16", 1, 100}, {"int32", 2, 100},
                             {"float32", 2, 100}, {"uint64", 4, 50}, {"float64", 4, 25}};
  std::string tags;
  int address = 0;
  for (const auto& kind : kKinds) {
    for (int i = 0; i < kind.count; ++i, address += kind.registers) {
      tags += "    { name = \"r" + std::to_string(address) + "\", address = \"holding:" + std::to_string(address) +
              "\", type = \"" + kind.type + "\" },\n";
    }
  }
  return tags;
}

std::string device(const std::string& name, int unit, const std::string& tags) {
  return "  [[driver.modbus.device]]\n  name = \"" + name + "\"\n  unit = " + std::to_string(unit) +
         "\n  interval = \"1s\"\n  tags = [\n" + tags + "  ]\n";
}

std::string bus(const std::string& url) {
  return "[[driver.modbus]]\nname = \"line-1\"\nurl = \"" + url + "\"\ntimeout = \"300ms\"\nretries = 0\n";
}

struct Logged {
  std::string tag;
  std::int64_t time = 0;
  std::string quality;
  std::string reason;
  std::string value;
};

std::vector<Logged> logged_readings(const GatewayProcess& gateway) {
  const auto listing = gateway.command({"log", "cat", "--data-dir", gateway.data_directory(), "--stream", "readings"});
  EXPECT_EQ(listing.end.exit_code, 0) << listing.errors;
  std::vector<Logged> readings;
  simdjson::dom::parser parser;
  const simdjson::padded_string text(listing.output);
  for (const simdjson::dom::element line : parser.parse_many(text)) {
    Logged reading;
    reading.tag = std::string(line["tag"].get_string().value());
    reading.time = line["time"].get_int64();
    reading.quality = std::string(line["quality"].get_string().value());
    std::string_view reason;
    if (line["reason"].get(reason) == simdjson::SUCCESS) reading.reason = std::string(reason);
    reading.value = simdjson::minify(line["value"]);
    readings.push_back(std::move(reading));
  }
  return readings;
}

std::unique_ptr<drivers::SimulatedModbusServer> serve(const drivers::SimulatedModbusOptions& options) {
  auto server = drivers::start_simulated_modbus(options);
  if (!server) throw std::runtime_error(server.error().message);
  return std::move(*server);
}

TEST(Modbus, KeepsTheIntervalOfALiveUnitBesideADeadOne) {
  drivers::SimulatedModbusOptions options;
  options.units = {1};
  options.registers = 2'000;
  options.moving = false;
  const auto server = serve(options);
  GatewayProcess gateway;
  gateway.configure(bus("tcp://127.0.0.1:" + std::to_string(server->port())) + device("live", 1, mixed_tags()) +
                    device("dead", 2, "    { name = \"x\", address = \"holding:0\" },\n"));
  gateway.start();
  const std::string timeouts = "tidegate_modbus_requests_total{driver=\"line-1\",device=\"dead\",result=\"timeout\"}";
  // Twenty seconds: a dead unit is asked at second 0, then after pauses that double from one second on.
  ASSERT_TRUE(gateway.wait_for_metric("tidegate_readings_accepted_total{driver=\"line-1\"}", 575 * 20, seconds(40)));
  EXPECT_EQ(gateway.metric("tidegate_device_up{driver=\"line-1\",device=\"live\"}"), 1);
  EXPECT_EQ(gateway.metric("tidegate_device_up{driver=\"line-1\",device=\"dead\"}"), 0);
  const auto events = gateway.tail("events", "\"driver\":\"line-1\"");
  ASSERT_EQ(events.size(), 3U) << ::testing::PrintToString(events);
  EXPECT_NE(events[0].find("\"event\":\"driver-up\""), std::string::npos) << events[0];
  EXPECT_EQ(lines_with(events[1] + "\n" + events[2], "\"event\":\"device-up\"").size(), 1U);
  EXPECT_EQ(lines_with(events[1] + "\n" + events[2], "\"event\":\"device-down\"").size(), 1U);
  const double asked = gateway.metric(timeouts);
  EXPECT_GE(asked, 2);
  EXPECT_LE(asked, 8);
  EXPECT_EQ(static_cast<double>(server->requests(2)), asked) << "one request a try";
  EXPECT_NE(gateway.command({"status", "--json", "--config", gateway.config_file()}).output.find("timeout"),
            std::string::npos);
  gateway.stop();

  std::map<std::string, std::vector<std::int64_t>> times;
  std::set<std::string> dead_reasons;
  for (const auto& reading : logged_readings(gateway)) {
    if (reading.tag == "dead/x") {
      EXPECT_EQ(reading.quality, "bad");
      dead_reasons.insert(reading.reason);
      continue;
    }
    EXPECT_EQ(reading.quality, "good") << reading.tag << " " << reading.reason;
    times[reading.tag].push_back(reading.time);
  }
  EXPECT_TRUE(dead_reasons.contains("timeout")) << ::testing::PrintToString(dead_reasons);
  EXPECT_EQ(times.size(), 575u);
  std::int64_t shortest = 1'000;
  std::int64_t longest = 1'000;
  for (const auto& [tag, at] : times) {
    for (std::size_t i = 1; i < at.size(); ++i) {
      const std::int64_t interval = at[i] - at[i - 1];
      shortest = std::min(shortest, interval);
      longest = std::max(longest, interval);
      if (interval < 900 || interval > 1'100) {
        std::printf("%s: %lld ms before its reading %zu\n", tag.c_str(), static_cast<long long>(interval), i);
      }
    }
  }
  std::printf("interval of the live unit: %lld to %lld ms; the dead one was asked %.0f times\n",
              static_cast<long long>(shortest), static_cast<long long>(longest), asked);
  EXPECT_GE(shortest, 900);
  EXPECT_LE(longest, 1'100);
}

// Both ends of a serial line: a pseudo-terminal, whose other side is joined to that of a second one.
class SerialLine {
 public:
  SerialLine() {
    open(first_);
    open(second_);
    relay_ = std::thread([this] { relay(); });
  }
  SerialLine(const SerialLine&) = delete;
  SerialLine& operator=(const SerialLine&) = delete;
  ~SerialLine() {
    const char end = 0;
    if (::write(stop_[1], &end, 1) == 1) relay_.join();
    for (const int fd : {first_.fd, second_.fd, first_.keep, second_.keep, stop_[0], stop_[1]}) ::close(fd);
  }
  const std::string& first() const { return first_.path; }
  const std::string& second() const { return second_.path; }

 private:
  struct End {
    int fd = -1;
    int keep = -1;  // keeps the terminal alive while nobody has it open
    std::string path;
  };

  static void open(End& end) {
    char name[64];
    termios raw{};
    ::cfmakeraw(&raw);
    if (::openpty(&end.fd, &end.keep, name, &raw, nullptr) != 0) throw std::runtime_error("openpty failed");
    end.path = name;
  }

  static bool copy(int from, int to) {
    char bytes[256];
    const auto got = ::read(from, bytes, sizeof bytes);
    return got > 0 && ::write(to, bytes, static_cast<std::size_t>(got)) == got;
  }

  void relay() {
    pollfd waited[3] = {{first_.fd, POLLIN, 0}, {second_.fd, POLLIN, 0}, {stop_[0], POLLIN, 0}};
    while (::poll(waited, 3, -1) > 0 && waited[2].revents == 0) {
      if (waited[0].revents != 0 && !copy(first_.fd, second_.fd)) return;
      if (waited[1].revents != 0 && !copy(second_.fd, first_.fd)) return;
    }
  }

  End first_;
  End second_;
  int stop_[2] = {-1, -1};
  int made_ = ::pipe(stop_);
  std::thread relay_;
};

TEST(ModbusShort, ReadsOverASerialLine) {
  const SerialLine line;
  drivers::SimulatedModbusOptions options;
  options.serial_path = line.second();
  options.units = {7};
  options.moving = false;
  const auto server = serve(options);
  server->set_value(7, drivers::ModbusTable::holding, 100, 0x41ac);  // 21.5 as float32
  server->set_value(7, drivers::ModbusTable::holding, 101, 0x0000);
  server->set_value(7, drivers::ModbusTable::input, 8, 0xff85);  // -123
  GatewayProcess gateway;
  gateway.configure(bus("rtu://" + line.first() + "?baud=9600&parity=none&stop=1") +
                    device("boiler", 7,
                           "    { name = \"temp\", address = \"holding:100\", type = \"float32\" },\n"
                           "    { name = \"power\", address = \"input:8\", type = \"int16\", scale = 0.1 },\n"));
  gateway.start();
  EXPECT_TRUE(gateway.wait_for_metric("tidegate_readings_accepted_total{driver=\"line-1\"}", 6, seconds(30)));
  EXPECT_EQ(gateway.metric("tidegate_device_up{driver=\"line-1\",device=\"boiler\"}"), 1);
  gateway.stop();
  std::map<std::string, std::set<std::string>> values;
  for (const auto& reading : logged_readings(gateway))
    values[reading.tag].insert(reading.quality + " " + reading.value);
  EXPECT_EQ(values["boiler/temp"], std::set<std::string>{"good 21.5"});
  EXPECT_EQ(values["boiler/power"], std::set<std::string>{"good -12.3"});
}

}  // namespace
}  // namespace tidegate::testing
