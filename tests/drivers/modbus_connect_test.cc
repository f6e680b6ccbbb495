#include "drivers/modbus/tcp_connect.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

HostAddress ipv4(const std::string& text) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  EXPECT_EQ(::inet_pton(AF_INET, text.c_str(), &in.sin_addr), 1);
  HostAddress address;
  std::memcpy(&address.address, &in, sizeof in);
  address.length = sizeof in;
  return address;
}

// Accepts nobody: when its queue is full, who comes gets no answer.
Descriptor listen_at(const std::string& text, std::uint16_t& port) {
  Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  HostAddress address = ipv4(text);
  reinterpret_cast<sockaddr_in&>(address.address).sin_port = htons(port);
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address.address), address.length), 0);
  EXPECT_EQ(::listen(listener.get(), 0), 0);
  socklen_t length = sizeof address.address;
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address.address), &length);
  port = ntohs(reinterpret_cast<sockaddr_in&>(address.address).sin_port);
  return listener;
}

TEST(ModbusConnect, AnAddressThatIsSilentLeavesTimeForTheNext) {
  const SystemClock clock;
  const Interrupt interrupt;
  std::uint16_t port = 0;
  const Descriptor good = listen_at("127.0.0.1", port);
  const Descriptor silent = listen_at("127.0.0.2", port);
  const auto to = [](std::vector<std::string> texts) -> LookUpHost {
    return [texts = std::move(texts)](const std::string&, const std::function<void(Result<HostAddresses>)>& then) {
      HostAddresses addresses;
      for (const std::string& text : texts) addresses.push_back(ipv4(text));
      then(addresses);
    };
  };
  std::vector<Descriptor> fill;
  for (int i = 0; i < 2; ++i) {
    auto filler = connect_tcp({"plc", port, std::chrono::milliseconds(200)}, clock, interrupt, to({"127.0.0.2"}));
    if (filler) fill.push_back(std::move(*filler));
  }
  ASSERT_FALSE(connect_tcp({"plc", port, std::chrono::milliseconds(200)}, clock, interrupt, to({"127.0.0.2"})));
  const BootTime before = clock.boot_now();
  const auto connected = connect_tcp({"plc", port, seconds(4)}, clock, interrupt, to({"127.0.0.2", "127.0.0.1"}));
  EXPECT_TRUE(connected) << connected.error().message;
  EXPECT_LT(clock.boot_now() - before, seconds(4)) << "the first one has used up all of it";
}

}  // namespace
}  // namespace tidegate::drivers
