#include "drivers/modbus/tcp_connect.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "core/clock.h"

namespace tidegate::drivers {
namespace {

using std::chrono::seconds;

TEST(ModbusConnect, AnInterruptEndsALookupThatNobodyAnswers) {
  const SystemClock clock;
  Interrupt interrupt;
  std::mutex mutex;
  std::condition_variable asked;
  std::function<void(Result<HostAddresses>)> answer;
  const LookUpHost silent = [&](const std::string&, std::function<void(Result<HostAddresses>)> then) {
    const std::lock_guard lock(mutex);
    answer = std::move(then);
    asked.notify_all();
  };
  std::thread interrupter([&] {
    std::unique_lock lock(mutex);
    asked.wait(lock, [&] { return answer != nullptr; });
    interrupt.raise();
  });
  const BootTime before = clock.boot_now();
  const auto connected = connect_tcp({"plc", 502, seconds(1)}, clock, interrupt, silent);
  interrupter.join();
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code, ErrorCode::give_up_item);
  EXPECT_LT(clock.boot_now() - before, seconds(20));
  answer(HostAddresses{});  // comes when nobody waits any more
}

}  // namespace
}  // namespace tidegate::drivers
