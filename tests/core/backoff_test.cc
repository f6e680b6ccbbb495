#include "core/backoff.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, GrowsToItsBoundAndNeverBeyond) {
  using std::chrono::seconds;
  Backoff backoff(seconds(1), seconds(60), 3);
  Duration bound = seconds(1);
  for (int i = 0; i < 100; ++i) {
    const Duration delay = backoff.next();
    ASSERT_LE(delay, bound);
    ASSERT_GE(delay, bound / 10);
    bound = std::min<Duration>(bound * 2, seconds(60));
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), seconds(1));
}

TEST(Backoff, BeginsAnewBehindTenSecondsAndNotBefore) {
  Backoff backoff(1s, 60s, 1);
  for (int i = 0; i < 50; ++i) backoff.next();
  backoff.note_held(9s);
  EXPECT_EQ(backoff.attempts(), 50U);
  backoff.note_held(10s);
  EXPECT_EQ(backoff.attempts(), 0U);
}

TEST(Backoff, DoesNotAskForTenSecondsWhereNoDelayIsSoLong) {
  Backoff backoff(1ms, 50ms, 1);
  for (int i = 0; i < 20; ++i) backoff.next();
  backoff.note_held(50ms);
  EXPECT_EQ(backoff.attempts(), 0U);
}

TEST(Backoff, TwoGatewaysDoNotComeBackInStep) {
  Backoff one(std::chrono::seconds(1), std::chrono::seconds(60), 1);
  Backoff two(std::chrono::seconds(1), std::chrono::seconds(60), 2);
  EXPECT_NE(one.next(), two.next());
}

}  // namespace
}  // namespace tidegate
