#include "daemon/event_loop.h"

#include <gtest/gtest.h>

#include <csignal>

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;

TEST(EventLoop, CallsNothingForASignalThatIsForgotten) {
  EventLoop loop;
  int calls = 0;
  // Both are noticed in one look; the one that comes first forgets the other, whose call waits in the queue by then.
  for (const int number : {SIGUSR1, SIGUSR2}) {
    loop.on_signal(number, [&] {
      ++calls;
      loop.forget_signals();
    });
  }
  std::raise(SIGUSR1);
  std::raise(SIGUSR2);
  const auto enough = loop.make_timer();
  enough->arm(100ms, [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(calls, 1);
}

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
