#include "core/token_bucket.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr BootTime kBegin{seconds(1000)};

int take_all(TokenBucket& bucket) {
  int taken = 0;
  for (; bucket.has_token(); ++taken) bucket.take();
  return taken;
}

TEST(TokenBucket, GivesASecondsWorthAtOnceAndThenItsRate) {
  TokenBucket bucket(40);
  bucket.refill(kBegin);
  EXPECT_EQ(take_all(bucket), 40);
  int taken = 0;
  BootTime now = kBegin;
  for (int i = 0; i < 1000; ++i) {
    now += milliseconds(10);
    bucket.refill(now);
    taken += take_all(bucket);
  }
  EXPECT_NEAR(taken, 400, 1) << "in ten seconds";
}

TEST(TokenBucket, ALongPauseBringsNoMoreThanASecondsWorth) {
  TokenBucket bucket(40);
  bucket.refill(kBegin);
  take_all(bucket);
  bucket.refill(kBegin + seconds(3600));
  EXPECT_EQ(take_all(bucket), 40);
}

TEST(TokenBucket, SaysWhenItHasTokensAgain) {
  for (const std::uint32_t rate : {1U, 19U, 40U, 1000U, 1'000'000U}) {
    TokenBucket bucket(rate);
    bucket.refill(kBegin);
    ASSERT_EQ(take_all(bucket), static_cast<int>(rate));
    const BootTime ready = bucket.ready_at(kBegin);
    ASSERT_LE(ready - kBegin, seconds(1) + milliseconds(2)) << rate;
    bucket.refill(ready - milliseconds(3));
    ASSERT_GT(bucket.ready_at(ready - milliseconds(3)), ready - milliseconds(3)) << rate;
    bucket.refill(ready);
    ASSERT_TRUE(bucket.has_token()) << rate;
    EXPECT_EQ(bucket.ready_at(ready), ready) << rate;
  }
}

TEST(TokenBucket, WithoutALimitThereIsAlwaysOne) {
  TokenBucket bucket(0);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(bucket.has_token());
    bucket.take();
  }
  EXPECT_EQ(bucket.ready_at(kBegin), kBegin);
}

}  // namespace
}  // namespace tidegate
