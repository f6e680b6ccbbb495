#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <condition_variable>
#include <random>
#include <set>

#include "core/clock.h"
#include "drivers/modbus/libmodbus_link.h"
#include "drivers/modbus/simulated_device.h"
#include "drivers/modbus/simulated_server.h"
#include "tests/drivers/raw_tcp_server.h"

namespace tidegate::drivers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using Bytes = RawTcpServer::Bytes;
using Reply = RawTcpServer::Reply;

constexpr std::uint8_t kUnit = 7;
constexpr Duration kTimeout = milliseconds(120);

std::uint16_t value_at(std::size_t address) {
  return fixed_value(kUnit, ModbusTable::holding, static_cast<std::uint16_t>(address));
}

// The right answer to a read of holding registers.
Bytes right_answer(const Bytes& request) {
  const auto address = static_cast<std::size_t>((request[8] << 8) | request[9]);
  const auto count = static_cast<std::size_t>((request[10] << 8) | request[11]);
  Bytes answer{request[0], request[1], 0,
               0,          0,          static_cast<std::uint8_t>(3 + 2 * count),
               request[6], request[7], static_cast<std::uint8_t>(2 * count)};
  for (std::size_t i = 0; i < count; ++i) {
    answer.push_back(static_cast<std::uint8_t>(value_at(address + i) >> 8));
    answer.push_back(static_cast<std::uint8_t>(value_at(address + i) & 0xff));
  }
  return answer;
}

Reply one(Bytes bytes) { return {{std::move(bytes)}, false}; }

// A real link over TCP to a server that answers as the test wants.
class ModbusTcpLink : public ::testing::Test {
 protected:
  ModbusTcpLink() : server_([](const Bytes& request) { return one(right_answer(request)); }) {
    options_.host = "127.0.0.1";
    options_.port = server_.port();
    options_.timeout = kTimeout;
    link_ = std::move(*make_libmodbus_link(options_, clock_));
  }

  // What a bus does: connect when it has to, and ask.
  ModbusResult read(std::uint16_t address, std::uint16_t count) {
    values_.assign(count, 0xAAAA);
    if (!link_->is_connected()) {
      const auto connected = link_->connect();
      EXPECT_TRUE(connected) << connected.error().message;
    }
    return link_->read({kUnit, ModbusTable::holding, address, count}, values_);
  }

  void expect_right(std::uint16_t address, std::uint16_t count, const std::string& after) {
    ASSERT_EQ(read(address, count), ModbusResult::ok) << "after " << after;
    for (std::uint16_t i = 0; i < count; ++i) {
      ASSERT_EQ(values_[i], value_at(std::size_t{address} + i)) << "after " << after;
    }
  }

  // One answer as `spoil` makes it, then right ones again: the first must fail, the next poll must be right.
  void expect_refused(const std::string& what, const std::function<Reply(const Bytes&)>& spoil,
                      std::set<ModbusResult> allowed = {ModbusResult::bad_reply}) {
    bool spoilt = false;
    server_.answer_with([&](const Bytes& request) {
      return std::exchange(spoilt, true) ? one(right_answer(request)) : spoil(request);
    });
    const auto result = read(100, 3);
    ASSERT_TRUE(allowed.contains(result)) << what << ": " << to_string(result);
    ASSERT_EQ(values_, std::vector<std::uint16_t>(3, 0xAAAA)) << what;
    expect_right(200, 3, what);
  }

  SystemClock clock_;
  ModbusBusOptions options_;
  RawTcpServer server_;
  std::unique_ptr<ModbusLink> link_;
  std::vector<std::uint16_t> values_;
};

TEST_F(ModbusTcpLink, ReadsOverOneConnection) {
  for (std::uint16_t i = 0; i < 50; ++i) expect_right(i, 125, "a right answer");
  EXPECT_EQ(server_.connections(), 1);
}

TEST_F(ModbusTcpLink, AnswersMayComeByteByByte) {
  server_.answer_with([](const Bytes& request) {
    Reply reply;
    for (const auto byte : right_answer(request)) reply.chunks.push_back({byte});
    return reply;
  });
  expect_right(5, 20, "nothing");
}

TEST_F(ModbusTcpLink, AHeaderByteThatIsWrongIsNeverTakenForGood) {
  for (std::size_t at = 0; at < 9; ++at) {
    for (const int flip : {0x01, 0x02, 0x10, 0x80, 0xff}) {
      expect_refused("byte " + std::to_string(at) + " xor " + std::to_string(flip),
                     [&](const Bytes& request) {
                       Bytes answer = right_answer(request);
                       answer[at] = static_cast<std::uint8_t>(answer[at] ^ flip);
                       return one(answer);
                     },
                     {ModbusResult::bad_reply, ModbusResult::timeout});
    }
  }
}

TEST_F(ModbusTcpLink, AnAnswerCutAtAnyByteIsNeverTakenForGood) {
  for (std::size_t size = 0; size < 15; ++size) {
    expect_refused("cut to " + std::to_string(size) + " and silence",
                   [&](const Bytes& request) {
                     Bytes answer = right_answer(request);
                     answer.resize(size);
                     return one(answer);
                   },
                   {size == 0 ? ModbusResult::timeout : ModbusResult::bad_reply});
    expect_refused("cut to " + std::to_string(size) + " and closed",
                   [&](const Bytes& request) {
                     Bytes answer = right_answer(request);
                     answer.resize(size);
                     return Reply{{answer}, true};
                   },
                   {ModbusResult::not_connected});
  }
}

TEST_F(ModbusTcpLink, AnAnswerOfAnotherLengthIsNeverTakenForGood) {
  for (const std::size_t count : std::vector<std::size_t>{0, 1, 2, 4, 5, 60, 125}) {
    expect_refused(std::to_string(count) + " registers instead of 3", [&](const Bytes& request) {
      Bytes other = request;
      other[11] = static_cast<std::uint8_t>(count);
      return one(right_answer(other));
    });
  }
}

TEST_F(ModbusTcpLink, EveryLengthInTheHeaderButTheRightOneIsRefused) {
  for (const int length : {0, 1, 2, 8, 10, 254, 255, 256, 0x0900, 65535}) {
    expect_refused("length " + std::to_string(length), [&](const Bytes& request) {
      Bytes answer = right_answer(request);
      answer[4] = static_cast<std::uint8_t>(length >> 8);
      answer[5] = static_cast<std::uint8_t>(length & 0xff);
      return one(answer);
    });
  }
}

TEST_F(ModbusTcpLink, ExceptionsHaveTheirResultAndKeepTheConnection) {
  const std::pair<int, ModbusResult> codes[] = {
      {1, ModbusResult::illegal_function}, {2, ModbusResult::illegal_address}, {3, ModbusResult::illegal_value},
      {4, ModbusResult::device_failure},   {5, ModbusResult::device_busy},     {6, ModbusResult::device_busy},
      {7, ModbusResult::device_failure},   {8, ModbusResult::device_failure},  {9, ModbusResult::device_failure},
      {10, ModbusResult::gateway_failure}, {11, ModbusResult::gateway_failure}};
  for (const auto& [code, result] : codes) {
    expect_refused("exception " + std::to_string(code),
                   [code = code](const Bytes& request) {
                     return one({request[0], request[1], 0, 0, 0, 3, request[6],
                                 static_cast<std::uint8_t>(request[7] | 0x80), static_cast<std::uint8_t>(code)});
                   },
                   {result});
  }
  EXPECT_EQ(server_.connections(), 1);
}

TEST_F(ModbusTcpLink, OfTwoGluedAnswersTheSecondIsNobodys) {
  server_.answer_with([](const Bytes& request) {
    Bytes other = request;
    other[9] = static_cast<std::uint8_t>(other[9] ^ 0x40U);  // of another address, as if it were a late one
    Bytes both = right_answer(request);
    const Bytes second = right_answer(other);
    both.insert(both.end(), second.begin(), second.end());
    return one(both);
  });
  for (std::uint16_t i = 0; i < 20; ++i) expect_right(static_cast<std::uint16_t>(i * 3), 3, "a glued answer");
}

TEST_F(ModbusTcpLink, ALateAnswerIsPassedOverAndTheConnectionKept) {
  Bytes late;
  server_.answer_with([&](const Bytes& request) {
    if (late.empty()) {
      late = right_answer(request);
      return Reply();  // too late for its own request
    }
    Bytes both = std::exchange(late, {0});
    const Bytes own = right_answer(request);
    if (both.size() == 1) return one(own);
    both.insert(both.end(), own.begin(), own.end());
    return one(both);
  });
  EXPECT_EQ(read(100, 3), ModbusResult::timeout);
  expect_right(200, 3, "a late answer of the same shape");
  expect_right(300, 3, "that");
  EXPECT_EQ(server_.connections(), 1);
}

TEST_F(ModbusTcpLink, AnAnswerToARequestNeverMadeIsRefused) {
  expect_refused("a future transaction", [](const Bytes& request) {
    Bytes answer = right_answer(request);
    answer[1] = static_cast<std::uint8_t>(answer[1] + 1);
    return one(answer);
  });
}

TEST_F(ModbusTcpLink, GarbageIsNeverTakenForGood) {
  constexpr unsigned kSeed = 20261121;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 200; ++i) {
    expect_refused("garbage " + std::to_string(i) + " of seed " + std::to_string(kSeed),
                   [&](const Bytes& request) {
                     Bytes garbage = right_answer(request);
                     if (i % 2 == 0) garbage.resize(1 + random() % 40);
                     const std::size_t from = i % 3 == 0 ? 2 : 0;  // some with the right transaction
                     for (std::size_t at = from; at < garbage.size(); ++at)
                       garbage[at] = static_cast<std::uint8_t>(random());
                     return Reply{{garbage}, i % 2 == 0};
                   },
                   {ModbusResult::bad_reply, ModbusResult::not_connected, ModbusResult::timeout});
  }
}

TEST_F(ModbusTcpLink, TwoTimeoutsInARowMakeANewConnection) {
  server_.answer_with([](const Bytes&) { return Reply(); });
  EXPECT_EQ(read(0, 1), ModbusResult::timeout);
  EXPECT_TRUE(link_->is_connected());
  EXPECT_EQ(read(0, 1), ModbusResult::timeout);
  EXPECT_FALSE(link_->is_connected()) << "a peer that lost power does not close its connection";
}

TEST_F(ModbusTcpLink, AConnectionThatThePeerClosedWhileIdleIsNoFailure) {
  server_.answer_with([](const Bytes& request) { return Reply{{right_answer(request)}, true}; });
  for (std::uint16_t i = 0; i < 5; ++i) {
    expect_right(i, 2, "a closed connection");
    const BootTime deadline = clock_.boot_now() + seconds(10);
    while (server_.closed_connections() <= i && clock_.boot_now() < deadline) std::this_thread::yield();
  }
}

TEST_F(ModbusTcpLink, ATimeoutTakesAsLongAsItSays) {
  server_.answer_with([](const Bytes& request) {
    Bytes answer = right_answer(request);
    answer.pop_back();
    Reply slow;
    slow.pause = milliseconds(25);
    for (const auto byte : answer) slow.chunks.push_back({byte});
    return slow;
  });
  const BootTime before = clock_.boot_now();
  ASSERT_EQ(read(0, 100), ModbusResult::bad_reply);
  EXPECT_GE(clock_.boot_now() - before, kTimeout);
  EXPECT_LT(clock_.boot_now() - before, 4 * kTimeout) << "trickling bytes must not prolong it";
}

TEST_F(ModbusTcpLink, ARefusedConnectionSaysWhatToCheck) {
  options_.port = 1;
  const auto link = std::move(*make_libmodbus_link(options_, clock_));
  const auto connected = link->connect();
  ASSERT_FALSE(connected);
  EXPECT_THAT(connected.error().message, HasSubstr("127.0.0.1:1"));
  EXPECT_THAT(connected.error().message, HasSubstr("check address and port"));
  std::uint16_t value = 0;
  EXPECT_EQ(link->read({kUnit, ModbusTable::holding, 0, 1}, std::span(&value, 1)), ModbusResult::not_connected);
}

TEST_F(ModbusTcpLink, ANameThatDoesNotExistSaysSo) {
  options_.host = "plc.invalid";
  const auto link = std::move(*make_libmodbus_link(options_, clock_));
  const auto connected = link->connect();
  ASSERT_FALSE(connected);
  EXPECT_THAT(connected.error().message, HasSubstr("plc.invalid"));
}

TEST_F(ModbusTcpLink, AHighDescriptorIsRefusedInsteadOfAborting) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 2048);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  std::vector<Descriptor> many;
  while (many.empty() || many.back().get() < 1024) many.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto connected = link_->connect();
  ASSERT_FALSE(connected);
  EXPECT_THAT(connected.error().message, HasSubstr("below 1024"));
  many.clear();
  expect_right(0, 3, "that");
}

TEST_F(ModbusTcpLink, AnInterruptEndsAWaitAtOnce) {
  options_.timeout = seconds(30);
  link_ = std::move(*make_libmodbus_link(options_, clock_));
  std::mutex mutex;
  std::condition_variable asked;
  bool is_asked = false;
  server_.answer_with([&](const Bytes&) {
    const std::lock_guard lock(mutex);
    is_asked = true;
    asked.notify_all();
    return Reply();
  });
  std::thread interrupter([&] {
    std::unique_lock lock(mutex);
    asked.wait(lock, [&] { return is_asked; });
    link_->interrupt();
  });
  const BootTime before = clock_.boot_now();
  EXPECT_EQ(read(0, 1), ModbusResult::interrupted);
  EXPECT_LT(clock_.boot_now() - before, seconds(10));
  interrupter.join();
}

}  // namespace
}  // namespace tidegate::drivers
