#include "uplink/kafka/token_schedule.h"

#include <gtest/gtest.h>

#include <chrono>

namespace tidegate::uplink {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class TokenScheduleTest : public ::testing::Test {
 protected:
  void ask_at(BootTime now) {
    now_ = now;
    schedule_.on_asked(now_);
  }
  Duration pause() const { return schedule_.due() - now_; }

  BootTime now_{seconds(1000)};
  TokenSchedule schedule_{seconds(10), 7};
};

TEST_F(TokenScheduleTest, RenewsATokenInTheLastPartOfItsLifeAndNotInStep) {
  Duration shortest = Duration::max();
  Duration longest{};
  for (int i = 0; i < 1'000; ++i) {
    ask_at(now_);
    schedule_.on_token(now_, seconds(1000));
    shortest = std::min(shortest, pause());
    longest = std::max(longest, pause());
  }
  EXPECT_GE(shortest, seconds(700));
  EXPECT_LT(shortest, seconds(705));
  EXPECT_LE(longest, seconds(800));
  EXPECT_GT(longest, seconds(795));
}

TEST_F(TokenScheduleTest, AsksForNoTokenAfterTheOtherHoweverShortTheyLast) {
  ask_at(now_);
  schedule_.on_token(now_, Duration(1));
  EXPECT_EQ(pause(), seconds(10));
  EXPECT_TRUE(schedule_.is_too_short(seconds(10)));
  EXPECT_FALSE(schedule_.is_too_short(seconds(11)));
}

TEST_F(TokenScheduleTest, WaitsLongerAfterEachFailureUpToAMinute) {
  for (int i = 0; i < 20; ++i) {
    ask_at(now_);
    schedule_.on_failure(now_, Duration::zero());
    EXPECT_GT(pause(), Duration::zero());
    EXPECT_LE(pause(), std::min<Duration>(seconds(1LL << i), seconds(60)));
  }
  schedule_.on_token(now_, minutes(60));
  schedule_.on_failure(now_, Duration::zero());
  EXPECT_LE(pause(), seconds(1));
}

TEST_F(TokenScheduleTest, WaitsAsLongAsTheEndpointSaysUpToFiveMinutes) {
  ask_at(now_);
  schedule_.on_failure(now_, seconds(120));
  EXPECT_EQ(pause(), seconds(120));
  schedule_.on_failure(now_, std::chrono::hours(24));
  EXPECT_EQ(pause(), minutes(5));
}

TEST_F(TokenScheduleTest, AsksAgainWhereTheBrokersRefuseWhatTheEndpointGave) {
  ask_at(now_);
  schedule_.on_token(now_, minutes(60));
  EXPECT_TRUE(schedule_.on_refused(now_ + minutes(2)));
  EXPECT_EQ(pause(), minutes(2));
  EXPECT_FALSE(schedule_.on_refused(now_ + minutes(2)));
}

TEST_F(TokenScheduleTest, RemembersARefusalThatComesRightAfterARequest) {
  ask_at(now_);
  schedule_.on_token(now_, minutes(60));
  EXPECT_TRUE(schedule_.on_refused(now_ + seconds(1)));
  EXPECT_EQ(pause(), seconds(30));
}

// Else a fleet whose brokers refuse it would ask in step, whatever the endpoint said.
TEST_F(TokenScheduleTest, IsNotHurriedByRefusalsWhereTheEndpointGaveNothing) {
  ask_at(now_);
  schedule_.on_token(now_, seconds(60));
  ask_at(now_ + seconds(45));
  EXPECT_FALSE(schedule_.on_refused(now_)) << "while it is asked";
  schedule_.on_failure(now_, minutes(5));
  EXPECT_FALSE(schedule_.on_refused(now_ + seconds(40)));
  EXPECT_EQ(pause(), minutes(5));
}

}  // namespace
}  // namespace tidegate::uplink
