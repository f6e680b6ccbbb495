#include "core/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>

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

class HeldTest : public ::testing::Test {
 protected:
  /// The longest that the next of many delays is, behind so many tries and then something that held for so long.
  static Duration longest_after(unsigned tries, Duration held) {
    Duration longest{};
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      Backoff backoff(1s, 60s, seed);
      for (unsigned i = 0; i < tries; ++i) backoff.next();
      backoff.note_held(held);
      longest = std::max(longest, backoff.next());
    }
    return longest;
  }
};

TEST_F(HeldTest, BeginsAnewBehindWhatHeldAsLongAsTheDelayBeforeCanHaveBeen) {
  EXPECT_LE(longest_after(5, 16s), 1s);
  EXPECT_GT(longest_after(5, 15s), 16s) << "the bound goes on to 32 s";
  EXPECT_LE(longest_after(50, 60s), 1s);
  EXPECT_GT(longest_after(50, 59s), 30s);
}

TEST_F(HeldTest, GoesOnWhereItIsTakenAndDroppedWithinTenSeconds) {
  EXPECT_GT(longest_after(3, 9s), 4s) << "its delay was 4 s at the most";
  EXPECT_LE(longest_after(3, 10s), 1s);
  EXPECT_LE(longest_after(0, 10s), 1s);
}

TEST_F(HeldTest, TenSecondsAreNotAskedForWhereNoDelayIsSoLong) {
  Backoff backoff(1ms, 50ms, 1);
  for (int i = 0; i < 20; ++i) backoff.next();
  backoff.note_held(50ms);
  EXPECT_LE(backoff.next(), 1ms);
}

TEST(Backoff, TwoGatewaysDoNotComeBackInStep) {
  Backoff one(std::chrono::seconds(1), std::chrono::seconds(60), 1);
  Backoff two(std::chrono::seconds(1), std::chrono::seconds(60), 2);
  EXPECT_NE(one.next(), two.next());
}

}  // namespace
}  // namespace tidegate
