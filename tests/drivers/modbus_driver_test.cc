#include "drivers/modbus/modbus_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>

#include "drivers/modbus/register_decoder.h"
#include "drivers/modbus/simulated_device.h"
#include "drivers/modbus/simulated_server.h"
#include "tests/drivers/pty_line.h"
#include "tests/support/wait_until.h"

namespace tidegate::drivers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

// The core thread's side of a driver: woken by it, collects, remembers.
class Collector {
 public:
  std::function<void()> wake() {
    return [this] {
      const std::lock_guard lock(mutex_);
      woken_ = true;
      changed_.notify_all();
    };
  }

  // Collects until `enough` holds, which may be about more than readings; false when that takes longer than `most`.
  bool collect_until(Driver& driver, Duration most, const std::function<bool()>& enough) {
    const BootTime deadline = clock_.boot_now() + most;
    for (;;) {
      Intake intake;
      while (driver.collect(intake)) {
      }
      for (auto& reading : intake.readings) readings.push_back({std::move(reading), clock_.boot_now()});
      for (auto& event : intake.events) events.push_back(std::move(event));
      if (enough()) return true;
      std::unique_lock lock(mutex_);
      const Duration left = deadline - clock_.boot_now();
      if (left <= Duration::zero()) return false;
      changed_.wait_for(lock, std::min<Duration>(left, milliseconds(20)), [this] { return woken_; });
      woken_ = false;
    }
  }

  struct Arrived {
    Reading reading;
    BootTime at;
  };
  std::vector<Arrived> readings;
  std::vector<DriverEvent> events;

 private:
  SystemClock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

class ModbusDriverTest : public ::testing::Test {
 protected:
  ModbusDriverTest() {
    options_.name = "line-1";
    options_.timeout = milliseconds(200);
    options_.backoff_most = seconds(2);
  }

  void serve(SimulatedModbusOptions server = {}) {
    server.moving = false;
    auto started = start_simulated_modbus(server);
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
    options_.host = "127.0.0.1";
    options_.port = server_->port();
  }

  // A device with `count` tags t0, t1 ... at holding registers from 0.
  void device(const std::string& name, std::uint8_t unit, std::uint16_t count, Duration interval) {
    ModbusDeviceOptions& device = options_.devices.emplace_back();
    device.name = name;
    device.unit = unit;
    device.interval = interval;
    for (std::uint16_t i = 0; i < count; ++i) {
      ModbusTagOptions& tag = device.tags.emplace_back();
      tag.name = "t" + std::to_string(i);
      tag.address.address = i;
    }
  }

  void start() {
    DriverContext context;
    context.tags = &tags_;
    context.clock = &clock_;
    context.wake = collector_.wake();
    auto made = make_modbus_driver(options_, context);
    ASSERT_TRUE(made) << made.error().message;
    driver_ = std::move(*made);
    ASSERT_TRUE(driver_->start());
  }

  bool collect_until(const std::function<bool()>& enough, Duration most = seconds(20)) {
    return collector_.collect_until(*driver_, most, enough);
  }

  // While nobody collects the bus must come to rest by itself; how many requests it made until then.
  std::uint64_t wait_until_it_rests() {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    std::uint64_t seen = 0;
    for (int i = 0; i < 200; ++i) {
      if (std::exchange(seen, server_->requests(1)) == seen && seen >= 256) return seen;
      never.wait_for(lock, milliseconds(50));
    }
    ADD_FAILURE() << "still polling after 10 s, " << seen << " requests";
    return seen;
  }

  std::size_t count(const std::string& tag, Quality quality) const {
    std::size_t found = 0;
    for (const auto& [reading, at] : collector_.readings) {
      found += tags_.tag(reading.tag).path == tag && reading.quality == quality;
    }
    return found;
  }

  // A device whose tags of all types lie one behind the other in `registers` holding registers.
  void device_of_all_types(const std::string& name, std::uint8_t unit, std::uint16_t registers, Duration interval) {
    device(name, unit, 0, interval);
    constexpr ModbusType kTypes[] = {ModbusType::uint16, ModbusType::int32,   ModbusType::float32, ModbusType::int64,
                                     ModbusType::int16,  ModbusType::float64, ModbusType::uint32,  ModbusType::uint64};
    constexpr ByteOrder kOrders[] = {ByteOrder::abcd, ByteOrder::cdab, ByteOrder::badc, ByteOrder::dcba};
    std::size_t number = 0;
    for (std::uint16_t address = 0; address + 4 <= registers; ++number) {
      ModbusTagOptions& tag = options_.devices.back().tags.emplace_back();
      tag.name = "t" + std::to_string(number);
      tag.address.address = address;
      tag.type = kTypes[number % std::size(kTypes)];
      tag.order = kOrders[number / 3 % std::size(kOrders)];
      address = static_cast<std::uint16_t>(address + make_value_format(tag).count);
    }
  }

  static DecodedValue expected_value(std::uint8_t unit, const ModbusTagOptions& tag) {
    const ValueFormat format = make_value_format(tag);
    std::vector<std::uint16_t> words;
    for (std::uint16_t i = 0; i < format.count; ++i) {
      words.push_back(fixed_value(unit, ModbusTable::holding, static_cast<std::uint16_t>(tag.address.address + i)));
    }
    return decode_value(format, words);
  }

  // Every good reading carries the value that its registers have.
  void expect_right_values() const {
    std::map<std::string, DecodedValue> expected;
    for (const auto& device : options_.devices) {
      for (const auto& tag : device.tags) expected[device.name + "/" + tag.name] = expected_value(device.unit, tag);
    }
    for (const auto& [reading, at] : collector_.readings) {
      const std::string& path = tags_.tag(reading.tag).path;
      if (reading.quality != Quality::good) continue;
      ASSERT_EQ(expected.at(path).quality, Quality::good) << path;
      ASSERT_EQ(reading.value, expected.at(path).value) << path;
    }
  }

  TagRegistry tags_;
  SystemClock clock_;
  Collector collector_;
  ModbusBusOptions options_;
  std::unique_ptr<SimulatedModbusServer> server_;
  std::unique_ptr<Driver> driver_;
};

TEST_F(ModbusDriverTest, ReadsOverTcpFromTheSimulatedServer) {
  serve();
  device("boiler", 1, 10, milliseconds(50));
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_TRUE(collect_until([&] { return count("boiler/t9", Quality::good) >= 5; }));
  driver_->stop();
  expect_right_values();
  const auto status = driver_->status();
  EXPECT_TRUE(status.up);
  EXPECT_TRUE(status.devices.at(0).up);
  EXPECT_GE(status.devices.at(0).requests.at("ok"), 5U);
  EXPECT_EQ(server_->connections(), 1U);
  EXPECT_EQ(tags_.tag(*tags_.find("boiler/t0")).driver, "line-1");
}

TEST_F(ModbusDriverTest, ReadsOverRtuFromTheSimulatedServer) {
  PtyLine line;
  SimulatedModbusOptions server;
  server.serial_path = line.other_end();
  server.baud = 19200;
  server.parity = 'E';
  server.units = {1, 2};
  serve(server);
  options_.transport = ModbusTransport::rtu;
  options_.path = line.one_end();
  options_.baud = 19200;
  options_.parity = 'E';
  device("boiler", 1, 40, milliseconds(100));
  device("pump", 2, 3, milliseconds(100));
  device("gone", 3, 3, milliseconds(100));
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_TRUE(
      collect_until([&] { return count("boiler/t39", Quality::good) >= 10 && count("pump/t2", Quality::good) >= 10; }));
  driver_->stop();
  expect_right_values();
  EXPECT_EQ(count("gone/t0", Quality::good), 0U);
  EXPECT_EQ(count("gone/t0", Quality::bad), 1U);
}

TEST_F(ModbusDriverTest, ADeadUnitLeavesTheIntervalOfALiveOneAlone) {
  SimulatedModbusOptions server;
  server.units = {1};
  serve(server);
  options_.timeout = milliseconds(200);
  options_.backoff_most = seconds(1);
  device("dead", 2, 200, milliseconds(400));
  device_of_all_types("live", 1, 1000, milliseconds(400));
  const std::string last = "live/" + options_.devices.back().tags.back().name;
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_TRUE(collect_until([&] { return count(last, Quality::good) >= 12; }));
  driver_->stop();
  expect_right_values();
  std::vector<BootTime> times;
  for (const auto& [reading, at] : collector_.readings) {
    if (tags_.tag(reading.tag).path == last) times.push_back(at);
  }
  const Duration mean = (times.back() - times[1]) / static_cast<std::int64_t>(times.size() - 2);
  EXPECT_NEAR(static_cast<double>(mean / milliseconds(1)), 400, 40);
  int late = 0;
  for (std::size_t i = 2; i < times.size(); ++i) late += times[i] - times[i - 1] > milliseconds(440);
  EXPECT_LE(late, 2) << "the dead one is tried in the gaps of the live one";
  for (int i = 0; i < 200; ++i) ASSERT_EQ(count("dead/t" + std::to_string(i), Quality::bad), 1U) << i;
  std::map<std::string, std::string> told;
  for (const auto& event : collector_.events) EXPECT_TRUE(told.emplace(event.event, event.detail).second);
  EXPECT_EQ(told.size(), 3U);
  EXPECT_EQ(told["driver-up"], "connected");
  EXPECT_EQ(told["device-up"], "answers");
  EXPECT_THAT(told["device-down"], HasSubstr("no answer within 200ms"));
  const auto status = driver_->status();
  EXPECT_FALSE(status.devices.at(0).up);
  const Duration ran = times.back() - times.front();
  EXPECT_LE(status.devices.at(0).requests.at("timeout"), static_cast<std::uint64_t>(ran / milliseconds(300)) + 1);
  EXPECT_EQ(server_->connections(), 1U) << "a dead unit is no reason to leave the live one's connection";
}

TEST_F(ModbusDriverTest, LateAnswersOverTcpAreNeverGoodValuesOfOthers) {
  SimulatedModbusOptions server;
  server.units = {1, 2};
  serve(server);
  options_.timeout = milliseconds(50);
  options_.max_gap = 0;
  options_.backoff_most = milliseconds(200);
  device("slow", 1, 1, milliseconds(20));
  device("quick", 2, 1, milliseconds(20));
  for (std::uint16_t i = 1; i < 8; ++i) {
    options_.devices[0].tags.push_back(options_.devices[0].tags[0]);
    options_.devices[0].tags.back().name = "t" + std::to_string(10 * i);
    options_.devices[0].tags.back().address.address = static_cast<std::uint16_t>(10 * i);
  }
  server_->set_faults(1, {.delay = milliseconds(80)});
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_TRUE(collect_until([&] { return count("quick/t0", Quality::good) >= 20; }));
  server_->set_faults(1, {});
  ASSERT_TRUE(collect_until([&] { return count("slow/t70", Quality::good) >= 5; }));
  driver_->stop();
  expect_right_values();
}

TEST_F(ModbusDriverTest, AServerThatGoesAndComesBackIsFollowed) {
  serve();
  device("boiler", 1, 3, milliseconds(50));
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_TRUE(collect_until([&] { return count("boiler/t0", Quality::good) >= 2; }));
  const std::uint16_t port = server_->port();
  server_.reset();
  ASSERT_TRUE(collect_until([&] { return collector_.events.back().event == "driver-down"; }));
  EXPECT_FALSE(driver_->status().up);
  EXPECT_EQ(count("boiler/t0", Quality::bad), 1U);
  SimulatedModbusOptions again;
  again.port = port;
  serve(again);
  const std::size_t good = count("boiler/t0", Quality::good);
  ASSERT_TRUE(collect_until([&] { return count("boiler/t0", Quality::good) >= good + 2; }));
  EXPECT_EQ(collector_.events.back().event, "driver-up");
  expect_right_values();
}

TEST_F(ModbusDriverTest, StopIsPromptInTheMiddleOfALongWait) {
  serve();
  server_->set_faults(1, {.silent = true});
  options_.timeout = seconds(30);
  options_.backoff_most = seconds(60);
  device("boiler", 1, 3, seconds(1));
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_TRUE(collect_until([&] { return server_->requests(1) > 0; }));
  const BootTime before = clock_.boot_now();
  driver_->stop();
  EXPECT_LT(clock_.boot_now() - before, seconds(5));
  Intake rest;
  driver_->collect(rest);
  EXPECT_TRUE(rest.readings.empty()) << "a stop says nothing of the devices";
  for (const auto& event : rest.events) EXPECT_EQ(event.event, "driver-up");
}

TEST_F(ModbusDriverTest, ACoreThatIsHeldUpStopsThePollsAndLosesNothing) {
  serve();
  device("boiler", 1, 2, milliseconds(1));
  ASSERT_NO_FATAL_FAILURE(start());
  const std::uint64_t seen = wait_until_it_rests();
  EXPECT_EQ(seen, 256U) << "the queue, where one place tells of the connection, and the one in hand";
  const auto held = driver_->status();
  EXPECT_GE(held.queue_bytes, 510 * sizeof(Reading));
  EXPECT_LE(held.queue_bytes, held.queue_capacity_bytes);
  EXPECT_TRUE(testing::wait_until([&] { return driver_->status().skipped > held.skipped + 20; }, seconds(20)))
      << "skipped polls are counted while the core is held up, not only afterwards";
  ASSERT_TRUE(collect_until([&] { return count("boiler/t0", Quality::good) >= 300; }));
  EXPECT_GE(count("boiler/t0", Quality::bad), 1U) << "the hole in the readings is said";
  driver_->stop();
  // The stop cuts off a request that is under way, if there is one.
  const std::uint64_t answered = server_->requests(1);
  ASSERT_TRUE(collect_until([&] { return count("boiler/t1", Quality::good) + 1 >= answered; }))
      << count("boiler/t1", Quality::good) << " readings of " << answered << " answers";
}

TEST_F(ModbusDriverTest, StoppedWhileTheCoreIsHeldUpNothingReadIsLost) {
  serve();
  device("boiler", 1, 2, milliseconds(1));
  ASSERT_NO_FATAL_FAILURE(start());
  const std::uint64_t answered = wait_until_it_rests();
  driver_->stop();
  collect_until([&] { return count("boiler/t1", Quality::good) == answered; });
  EXPECT_EQ(count("boiler/t1", Quality::good), answered);
  EXPECT_EQ(driver_->status().queue_bytes, 0U);
}

TEST_F(ModbusDriverTest, StoppedBeforeAnythingWasCollectedTheReadingsAreStillThere) {
  serve();
  device("boiler", 1, 2, milliseconds(5));
  ASSERT_NO_FATAL_FAILURE(start());
  while (server_->requests(1) < 10) driver_->status();
  driver_->stop();
  ASSERT_TRUE(collect_until([&] { return count("boiler/t0", Quality::good) >= 9; }, milliseconds(1)));
}

TEST_F(ModbusDriverTest, WrongOptionsAndTagsOfOthersAreRefused) {
  device("boiler", 1, 1, seconds(1));
  DriverContext context;
  context.tags = &tags_;
  context.clock = &clock_;
  Tag other;
  other.path = "boiler/t0";
  other.driver = "local";
  ASSERT_TRUE(tags_.claim(other));
  auto made = make_modbus_driver(options_, context);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("local"));
  options_.devices[0].tags[0].bit = 16;
  made = make_modbus_driver(options_, context);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("bit is 16"));
}

TEST_F(ModbusDriverTest, DeadBandUnitAndTypeAreDeclared) {
  device("boiler", 1, 1, seconds(1));
  options_.devices[0].tags[0].deadband = 0.5;
  options_.devices[0].tags[0].unit = "kW";
  options_.devices[0].tags[0].scale = 0.1;
  DriverContext context;
  context.tags = &tags_;
  context.clock = &clock_;
  ASSERT_TRUE(make_modbus_driver(options_, context));
  const Tag& tag = tags_.tag(*tags_.find("boiler/t0"));
  EXPECT_EQ(tag.deadband, 0.5);
  EXPECT_EQ(tag.unit, "kW");
  EXPECT_EQ(tag.type, ValueType::float64);
}

}  // namespace
}  // namespace tidegate::drivers
