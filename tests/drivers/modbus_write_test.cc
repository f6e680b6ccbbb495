// Writes over real links: to libmodbus' server over TCP and a serial line, and to a server that answers as it is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "core/clock.h"
#include "drivers/modbus/libmodbus_link.h"
#include "drivers/modbus/modbus_driver.h"
#include "drivers/modbus/simulated_server.h"
#include "tests/drivers/pty_line.h"
#include "tests/drivers/raw_tcp_server.h"
#include "tests/support/wait_until.h"

namespace tidegate::drivers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using Bytes = RawTcpServer::Bytes;
using Words = std::vector<std::uint16_t>;

constexpr std::uint8_t kUnit = 7;
constexpr Duration kTimeout = milliseconds(150);

Words read_words(ModbusLink& link, ModbusTable table, std::uint16_t address, std::uint16_t count) {
  Words values(count, 0xAAAA);
  for (int tries = 0; tries < 20; ++tries) {
    if (!link.is_connected() && !link.connect()) continue;
    if (link.read({kUnit, table, address, count}, values) == ModbusResult::ok) return values;
  }
  ADD_FAILURE() << "cannot be read";
  return values;
}

class ModbusWrites : public ::testing::TestWithParam<ModbusTransport> {
 protected:
  ModbusWrites() {
    SimulatedModbusOptions server;
    server.units = {kUnit};
    server.moving = false;
    options_.transport = GetParam();
    options_.timeout = kTimeout;
    if (GetParam() == ModbusTransport::rtu) {
      server.serial_path = line_.other_end();
      server.baud = options_.baud = 115200;
      options_.path = line_.one_end();
    }
    server_ = std::move(*start_simulated_modbus(server));
    options_.host = "127.0.0.1";
    options_.port = server_->port();
    link_ = std::move(*make_libmodbus_link(options_, clock_));
    EXPECT_TRUE(link_->connect());
  }
  ModbusWriteReply write(ModbusTable table, std::uint16_t address, const Words& words) {
    if (!link_->is_connected()) {
      EXPECT_TRUE(link_->connect());
    }
    return link_->write({kUnit, table, address, words});
  }

  SystemClock clock_;
  PtyLine line_;
  std::unique_ptr<SimulatedModbusServer> server_;
  ModbusBusOptions options_;
  std::unique_ptr<ModbusLink> link_;
};

TEST_P(ModbusWrites, CoilsAndRegistersKeepWhatIsWritten) {
  EXPECT_EQ(write(ModbusTable::coil, 3, {1}).result, ModbusResult::ok);
  EXPECT_EQ(read_words(*link_, ModbusTable::coil, 3, 1), Words{1});
  EXPECT_EQ(write(ModbusTable::coil, 3, {0}).result, ModbusResult::ok);
  EXPECT_EQ(read_words(*link_, ModbusTable::coil, 3, 1), Words{0});
  EXPECT_EQ(write(ModbusTable::holding, 200, {0xBEEF}).result, ModbusResult::ok);
  EXPECT_EQ(read_words(*link_, ModbusTable::holding, 200, 1), Words{0xBEEF});
  const Words many(kRegistersWrittenMax, 0x1234);
  EXPECT_EQ(write(ModbusTable::holding, 300, many).result, ModbusResult::ok);
  EXPECT_EQ(read_words(*link_, ModbusTable::holding, 300, kRegistersWrittenMax), many);
}

TEST_P(ModbusWrites, WhatTheDeviceRefusesIsNotWritten) {
  const ModbusWriteReply reply = write(ModbusTable::holding, 999, {1, 2});
  EXPECT_EQ(reply.result, ModbusResult::illegal_address);
  EXPECT_EQ(to_write_result(reply), WriteResult::failed);
}

TEST_P(ModbusWrites, ALateEchoIsNeverTakenForThatOfALaterWrite) {
  SimulatedModbusFaults late;
  late.delay = kTimeout * 3 / 2;
  server_->set_faults(kUnit, late);
  EXPECT_EQ(to_write_result(write(ModbusTable::holding, 200, {1})), WriteResult::unknown);
  server_->set_faults(kUnit, {});
  // The same write once more: its echo looks like the one that is still owed.
  for (int tries = 0; tries < 20; ++tries) {
    const ModbusWriteReply reply = write(ModbusTable::holding, 200, {1});
    const WriteResult result = to_write_result(reply);
    ASSERT_TRUE(result == WriteResult::written || result == WriteResult::refused) << to_string(reply.result);
    if (result == WriteResult::written) break;
  }
  EXPECT_EQ(read_words(*link_, ModbusTable::holding, 200, 1), Words{1});
  EXPECT_EQ(write(ModbusTable::holding, 200, {2}).result, ModbusResult::ok);
  EXPECT_EQ(read_words(*link_, ModbusTable::holding, 200, 1), Words{2});
}

TEST_P(ModbusWrites, ASilentDeviceCostsOneTimeout) {
  SimulatedModbusFaults silent;
  silent.silent = true;
  server_->set_faults(kUnit, silent);
  const BootTime began = clock_.boot_now();
  const ModbusWriteReply reply = write(ModbusTable::coil, 3, {1});
  EXPECT_EQ(reply.result, ModbusResult::timeout);
  EXPECT_TRUE(reply.is_sent);
  EXPECT_LT(clock_.boot_now() - began, kTimeout + seconds(2));
  EXPECT_EQ(server_->requests(kUnit), 1U) << "it is sent once";
}

TEST_P(ModbusWrites, WhatIsTooLateIsNotSent) {
  const Words one{1};
  const ModbusWriteReply reply =
      link_->write({kUnit, ModbusTable::holding, 200, one, clock_.boot_now() - milliseconds(1)});
  EXPECT_TRUE(reply.is_late);
  EXPECT_EQ(to_write_result(reply), WriteResult::refused);
  EXPECT_EQ(server_->requests(kUnit), 0U);
}

INSTANTIATE_TEST_SUITE_P(Links, ModbusWrites, ::testing::Values(ModbusTransport::tcp, ModbusTransport::rtu),
                         [](const auto& one) { return one.param == ModbusTransport::tcp ? "Tcp" : "Rtu"; });

// Each look at it costs a second.
class SlowClock final : public Clock {
 public:
  WallTime wall_now() const override { return real_.wall_now(); }
  BootTime boot_now() const override { return BootTime(seconds(++looks_)); }
  ClockQuality quality() const override { return real_.quality(); }
  BootTime now() const { return BootTime(seconds(looks_)); }

 private:
  const SystemClock real_;
  mutable std::int64_t looks_ = 0;
};

class ModbusTcpWrites : public ::testing::Test {
 protected:
  ModbusTcpWrites() : server_([](const Bytes& request) { return RawTcpServer::Reply{{request}, false}; }) {}
  std::unique_ptr<ModbusLink> link_to_server(const Clock& clock, Duration timeout) const {
    ModbusBusOptions options;
    options.host = "127.0.0.1";
    options.port = server_.port();
    options.timeout = timeout;
    auto link = std::move(*make_libmodbus_link(options, clock));
    EXPECT_TRUE(link->connect());
    return link;
  }
  ModbusWrite write_of(const Words& words) const { return {kUnit, ModbusTable::holding, 10, words}; }

  const Words words_{1};
  RawTcpServer server_;
};

// What the kernel has not got rid of by then it would send again for minutes.
TEST_F(ModbusTcpWrites, AWriteWithoutAnAnswerEndsItsConnectionByAReset) {
  SystemClock clock;
  const auto link = link_to_server(clock, milliseconds(100));
  EXPECT_EQ(link->write(write_of(words_)).result, ModbusResult::ok);
  link->close();
  ASSERT_TRUE(testing::wait_until([this] { return server_.closed_connections() == 1; }, seconds(10)));
  EXPECT_EQ(server_.reset_connections(), 0) << "nothing was open";
  server_.answer_with([](const Bytes&) { return RawTcpServer::Reply{}; });
  ASSERT_TRUE(link->connect());
  EXPECT_EQ(to_write_result(link->write(write_of(words_))), WriteResult::unknown);
  EXPECT_FALSE(link->is_connected()) << "before anything else is sent";
  EXPECT_TRUE(testing::wait_until([this] { return server_.reset_connections() == 1; }, seconds(10)));
}

TEST_F(ModbusTcpWrites, AWriteThatAnInterruptLeavesUnansweredEndsInAResetToo) {
  SystemClock clock;
  const auto link = link_to_server(clock, seconds(60));
  server_.answer_with([&](const Bytes&) {
    link->interrupt();
    return RawTcpServer::Reply{};
  });
  EXPECT_EQ(link->write(write_of(words_)).result, ModbusResult::interrupted);
  EXPECT_TRUE(testing::wait_until([this] { return server_.reset_connections() == 1; }, seconds(10)));
}

TEST_F(ModbusTcpWrites, TheTimeThatANewConnectionTakesCounts) {
  SlowClock clock;
  const auto link = link_to_server(clock, seconds(600));
  ModbusWrite write = write_of(words_);
  write.until = clock.now() + seconds(2);
  EXPECT_EQ(link->write(write).result, ModbusResult::ok) << "without a new connection it is in time";
  server_.answer_with([](const Bytes& request) { return RawTcpServer::Reply{{request}, true}; });
  write.until = clock.now() + seconds(2);
  EXPECT_EQ(link->write(write).result, ModbusResult::ok);
  ASSERT_TRUE(testing::wait_until([this] { return server_.closed_connections() == 1; }, seconds(10)));
  std::atomic<int> requests = 0;
  server_.answer_with([&](const Bytes& request) {
    ++requests;
    return RawTcpServer::Reply{{request}, false};
  });
  write.until = clock.now() + seconds(2);
  EXPECT_TRUE(link->write(write).is_late);
  ASSERT_TRUE(testing::wait_until([this] { return server_.connections() == 2; }, seconds(10))) << "it connected anew";
  link->close();
  ASSERT_TRUE(testing::wait_until([this] { return server_.closed_connections() == 2; }, seconds(10)));
  EXPECT_EQ(requests, 0);
}

// The driver as the core has it, over a server that may be told to be wrong. RawTcpServer takes frames of 12 bytes:
// reads, and writes of one register or coil.
class ModbusDriverWrites : public ::testing::Test {
 protected:
  ModbusDriverWrites() : server_([this](const Bytes& request) { return answer(request); }) {
    options_.name = "line-1";
    options_.host = "127.0.0.1";
    options_.port = server_.port();
    options_.timeout = milliseconds(200);
    options_.retries = 0;
    ModbusDeviceOptions& device = options_.devices.emplace_back();
    device.name = "boiler";
    device.unit = kUnit;
    device.interval = seconds(60);
    ModbusTagOptions setpoint;
    setpoint.name = "setpoint";
    setpoint.address.address = 10;
    setpoint.scale = 0.1;
    setpoint.max = 90;
    setpoint.writable = true;
    device.tags.push_back(setpoint);
    ModbusTagOptions plain = setpoint;
    plain.name = "plain";
    plain.writable = false;
    device.tags.push_back(plain);
  }
  ~ModbusDriverWrites() override {
    if (driver_) driver_->stop();
  }

  RawTcpServer::Reply answer(const Bytes& request) {
    if (request[7] == 6) {
      ++writes_;
      register_ = static_cast<std::uint16_t>((request[10] << 8) | request[11]);
      return lose_write_ ? RawTcpServer::Reply{{}, close_} : RawTcpServer::Reply{{request}, false};
    }
    const std::uint16_t value = register_;
    return {{{request[0], request[1], 0, 0, 0, 5, request[6], request[7], 2, static_cast<std::uint8_t>(value >> 8),
              static_cast<std::uint8_t>(value & 0xff)}},
            false};
  }

  void start() {
    DriverContext context;
    context.tags = &tags_;
    context.clock = &clock_;
    context.wake = [] {};
    auto made = make_modbus_driver(options_, context);
    ASSERT_TRUE(made) << made.error().message;
    driver_ = std::move(*made);
    ASSERT_EQ(driver_->writable().size(), 1U);
    setpoint_ = driver_->writable()[0];
    ASSERT_TRUE(driver_->start());
    ASSERT_TRUE(collect_until([this] { return !readings_.empty(); }));
    readings_.clear();
  }
  bool collect_until(const std::function<bool()>& enough) {
    return testing::wait_until(
        [&] {
          Intake intake;
          while (driver_->collect(intake)) {
          }
          for (auto& reading : intake.readings) {
            if (reading.tag == setpoint_) readings_.push_back(std::move(reading));
          }
          for (auto& one : intake.answers) answers_.push_back(std::move(one));
          return enough();
        },
        seconds(20));
  }
  WriteAnswer write(const Value& value) {
    answers_.clear();
    const auto taken = driver_->write({++id_, setpoint_, value});
    EXPECT_TRUE(taken) << taken.error().message;
    EXPECT_TRUE(collect_until([this] { return !answers_.empty(); }));
    EXPECT_EQ(answers_.size(), 1U);
    EXPECT_EQ(answers_.at(0).id, id_);
    return answers_.at(0);
  }

  std::atomic<std::uint16_t> register_{0};
  std::atomic<int> writes_{0};
  std::atomic<bool> lose_write_{false};
  std::atomic<bool> close_{false};
  SystemClock clock_;
  TagRegistry tags_;
  ModbusBusOptions options_;
  RawTcpServer server_;
  std::unique_ptr<Driver> driver_;
  TagId setpoint_{};
  std::uint64_t id_ = 0;
  std::vector<Reading> readings_;
  std::vector<WriteAnswer> answers_;
};

TEST_F(ModbusDriverWrites, AWriteWakesTheBusAndIsReadBackAtOnce) {
  start();
  const WriteAnswer answer = write(60.5);
  EXPECT_EQ(answer.result, WriteResult::written);
  EXPECT_EQ(answer.reason, "");
  EXPECT_EQ(register_, 605);
  ASSERT_FALSE(readings_.empty()) << "although the next poll is a minute away";
  EXPECT_EQ(readings_.back().value, Value(60.5));
}

TEST_F(ModbusDriverWrites, AWriteWhoseAnswerIsLostIsNotSentAgainAndReadBack) {
  start();
  for (const bool close : {false, true}) {
    lose_write_ = true;
    close_ = close;
    writes_ = 0;
    const WriteAnswer answer = write(close ? 61.0 : 62.0);
    EXPECT_EQ(answer.result, WriteResult::unknown);
    EXPECT_THAT(answer.reason, HasSubstr("unknown whether it was written; it is not sent again"));
    EXPECT_THAT(answer.reason, HasSubstr(close ? "read back: 61" : "read back: 62"));
    EXPECT_EQ(writes_, 1);
  }
}

TEST_F(ModbusDriverWrites, WhatTheRegisterCannotHoldNeverReachesTheBus) {
  start();
  for (const Value& wrong : {Value(90.1), Value(-1.0), Value(21.53), Value(), Value("60")}) {
    const auto taken = driver_->write({1, setpoint_, wrong});
    ASSERT_FALSE(taken);
    EXPECT_THAT(taken.error().message, HasSubstr("is allowed"));
  }
  EXPECT_THAT(driver_->write({1, *tags_.find("boiler/plain"), 1.0}).error().message, HasSubstr("writable"));
  EXPECT_EQ(writes_, 0);
}

TEST_F(ModbusDriverWrites, WhatWaitsWhenTheDriverStopsIsRefused) {
  start();
  lose_write_ = true;
  int taken = 0;
  while (driver_->write({++id_, setpoint_, 60.0})) ++taken;
  EXPECT_GE(taken, 64);
  EXPECT_LE(taken, 70);
  driver_->stop();
  Intake intake;
  while (driver_->collect(intake)) {
  }
  EXPECT_EQ(intake.answers.size(), static_cast<std::size_t>(taken)) << "each is answered once";
  EXPECT_EQ(intake.answers.back().result, WriteResult::refused);
  EXPECT_FALSE(driver_->write({++id_, setpoint_, 60.0}));
}

}  // namespace
}  // namespace tidegate::drivers
