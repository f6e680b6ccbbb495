#include "daemon/event_loop.h"

#include <gtest/gtest.h>

#include <csignal>

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;

TEST(EventLoop, CallsEachTimeTheSignalArrives) {
  EventLoop loop;
  int calls = 0;
  const auto give_up = loop.make_timer();
  give_up->arm(5s, [&] { loop.stop(); });
  loop.on_signal(SIGUSR1, [&] {
    if (++calls == 3) return loop.stop();
    std::raise(SIGUSR1);
  });
  std::raise(SIGUSR1);
  loop.run();
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace tidegate::daemon
