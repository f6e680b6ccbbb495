#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/clock.h"
#include "drivers/modbus/libmodbus_link.h"
#include "drivers/modbus/simulated_device.h"
#include "drivers/modbus/simulated_server.h"
#include "tests/drivers/pty_line.h"

namespace tidegate::drivers {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr std::uint8_t kUnit = 17;
constexpr std::uint8_t kNeighbour = 18;
constexpr Duration kTimeout = milliseconds(120);

// A real link over a serial line to libmodbus' RTU server.
class ModbusRtuLink : public ::testing::Test {
 protected:
  ModbusRtuLink() {
    SimulatedModbusOptions server;
    server.serial_path = line_.other_end();
    server.baud = 115200;
    server.units = {kUnit, kNeighbour};
    server.moving = false;
    server_ = std::move(*start_simulated_modbus(server));
    options_.transport = ModbusTransport::rtu;
    options_.path = line_.one_end();
    options_.baud = 115200;
    options_.timeout = kTimeout;
    link_ = std::move(*make_libmodbus_link(options_, clock_));
    const auto connected = link_->connect();
    EXPECT_TRUE(connected) << connected.error().message;
  }

  ModbusResult read(std::uint16_t address, std::uint16_t count, ModbusTable table = ModbusTable::holding,
                    std::uint8_t unit = kUnit) {
    values_.assign(count, 0xAAAA);
    const auto result = link_->read({unit, table, address, count}, values_);
    if (result != ModbusResult::ok) return result;
    for (std::uint16_t i = 0; i < count; ++i) {
      const auto expected = fixed_value(unit, table, static_cast<std::uint16_t>(address + i));
      EXPECT_EQ(values_[i], expected) << "a wrong value was taken for good: "
                                      << describe({unit, table, address, count});
    }
    return result;
  }

  void fault(SimulatedModbusFaults faults, std::uint8_t unit = kUnit) { server_->set_faults(unit, std::move(faults)); }

  // Polls until the link is in step again; how many polls that took.
  int polls_until_good(std::uint16_t address, std::uint16_t count) {
    for (int polls = 1; polls < 100; ++polls) {
      if (read(address, count) == ModbusResult::ok) return polls;
    }
    return 100;
  }

  SystemClock clock_;
  PtyLine line_;
  std::unique_ptr<SimulatedModbusServer> server_;
  ModbusBusOptions options_;
  std::unique_ptr<ModbusLink> link_;
  std::vector<std::uint16_t> values_;
};

TEST_F(ModbusRtuLink, ReadsAllTables) {
  for (const auto table : {ModbusTable::coil, ModbusTable::discrete, ModbusTable::input, ModbusTable::holding}) {
    EXPECT_EQ(read(10, 125, table), ModbusResult::ok) << to_string(table);
    EXPECT_EQ(read(999, 1, table), ModbusResult::ok) << to_string(table);
    EXPECT_EQ(read(999, 2, table), ModbusResult::illegal_address) << to_string(table);
  }
}

TEST_F(ModbusRtuLink, UnitsOnOneLineDoNotDisturbEachOther) {
  constexpr std::uint8_t kMissing = 99;
  for (std::uint16_t i = 0; i < 10; ++i) {
    EXPECT_EQ(read(i, 3), ModbusResult::ok);
    EXPECT_EQ(read(i, 3, ModbusTable::holding, kMissing), ModbusResult::timeout);
    EXPECT_EQ(read(i, 3, ModbusTable::holding, kNeighbour), ModbusResult::ok);
  }
}

TEST_F(ModbusRtuLink, ExceptionsHaveTheirResult) {
  for (const auto& [code, result] : {std::pair{2, ModbusResult::illegal_address},
                                     {4, ModbusResult::device_failure},
                                     {6, ModbusResult::device_busy},
                                     {11, ModbusResult::gateway_failure}}) {
    SimulatedModbusFaults faults;
    faults.refused.push_back({ModbusTable::holding, 0, 10, static_cast<std::uint8_t>(code)});
    fault(faults);
    EXPECT_EQ(read(5, 2), result);
    fault({});
    EXPECT_EQ(polls_until_good(5, 2), 1);
  }
}

TEST_F(ModbusRtuLink, WrongRepliesAreNeverTakenForGood) {
  for (const auto wrong :
       {WrongReply::unit, WrongReply::function, WrongReply::byte_count, WrongReply::truncated, WrongReply::checksum}) {
    SimulatedModbusFaults faults;
    faults.wrong = wrong;
    fault(faults);
    const auto result = read(100, 3);
    EXPECT_TRUE(result == ModbusResult::bad_reply || result == ModbusResult::timeout)
        << static_cast<int>(wrong) << " " << to_string(result);
    fault({});
    EXPECT_EQ(polls_until_good(200, 3), 1) << static_cast<int>(wrong);
  }
}

// What libmodbus alone gets wrong: after a time-out it hands out the previous request's data for ever.
TEST_F(ModbusRtuLink, LateAnswersAreNeverTakenForGoodHoweverLateTheyAre) {
  for (const int late : {2, 3, 5}) {
    SimulatedModbusFaults faults;
    faults.delay = kTimeout * late * 2 / 3;
    fault(faults);
    int good = 0;
    for (std::uint16_t i = 0; i < 6; ++i) good += read(static_cast<std::uint16_t>(10 * i), 2) == ModbusResult::ok;
    EXPECT_EQ(good, 0);
    fault({});
    EXPECT_LT(polls_until_good(500, 2), 30);
    for (std::uint16_t i = 0; i < 6; ++i) EXPECT_EQ(read(static_cast<std::uint16_t>(10 * i), 2), ModbusResult::ok);
  }
}

TEST_F(ModbusRtuLink, ALateAnswerIsWaitedOutAndCostsNoSecondPoll) {
  SimulatedModbusFaults faults;
  faults.delay = kTimeout * 3 / 2;
  fault(faults);
  EXPECT_EQ(read(10, 2), ModbusResult::timeout);
  fault({});
  EXPECT_EQ(polls_until_good(20, 2), 1);
}

TEST_F(ModbusRtuLink, ALateAnswerOfOneUnitIsNotTheOthers) {
  SimulatedModbusFaults slow;
  slow.delay = kTimeout * 3 / 2;
  fault(slow, kNeighbour);
  for (std::uint16_t i = 0; i < 4; ++i) {
    read(i, 2, ModbusTable::holding, kNeighbour);
    read(i, 2);  // read() itself checks that a good value is the right one
  }
  fault({}, kNeighbour);
  EXPECT_LT(polls_until_good(7, 2), 10);
}

TEST_F(ModbusRtuLink, AReadOfADeadUnitIsOneRequest) {
  fault({.silent = true});
  for (std::uint16_t i = 0; i < 10; ++i) {
    EXPECT_EQ(read(i, 2), ModbusResult::timeout);
    EXPECT_EQ(server_->requests(kUnit), i + 1U) << "each costs the bus its time-out";
  }
}

TEST_F(ModbusRtuLink, ADeviceThatIsMissingSaysWhatToCheck) {
  options_.path = "/dev/tidegate-no-such-line";
  const auto link = std::move(*make_libmodbus_link(options_, clock_));
  const auto connected = link->connect();
  ASSERT_FALSE(connected);
  EXPECT_THAT(connected.error().message, HasSubstr("/dev/tidegate-no-such-line"));
  EXPECT_THAT(connected.error().message, HasSubstr("plugged in"));
}

TEST_F(ModbusRtuLink, AFileThatIsNoSerialDeviceIsRefused) {
  options_.path = "/dev/null";
  const auto link = std::move(*make_libmodbus_link(options_, clock_));
  const auto connected = link->connect();
  ASSERT_FALSE(connected);
  EXPECT_THAT(connected.error().message, HasSubstr("no serial device"));
}

}  // namespace
}  // namespace tidegate::drivers
