#include "daemon/link_doubt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LinkDoubtTest : public ::testing::Test {
 protected:
  void live_for(Duration lifetime) {
    doubt_.came_up(now_);
    now_ += lifetime;
    doubt_.went_down(now_, "the broker ended it");
    now_ += 1s;
  }
  BootTime now_{1h};
  LinkDoubt doubt_;
};

TEST_F(LinkDoubtTest, IsNoneOfTheFirstConnections) {
  doubt_.came_up(now_);
  EXPECT_THAT(doubt_.reason(now_), IsEmpty());
  doubt_.went_down(now_ + 1s, "restarted");
  doubt_.came_up(now_ + 2s);
  EXPECT_THAT(doubt_.reason(now_ + 2s), IsEmpty());
  EXPECT_EQ(doubt_.ends_at(), std::nullopt);
}

TEST_F(LinkDoubtTest, OfALinkThatEndsAgainAndAgainIsOverWhenItHasHeldForAMinute) {
  for (int i = 0; i < 3; ++i) live_for(2s);
  doubt_.came_up(now_);
  EXPECT_THAT(doubt_.reason(now_), HasSubstr("has lost 3 connections within a minute of having made them"));
  EXPECT_THAT(doubt_.reason(now_), HasSubstr("the broker ended it"));
  EXPECT_EQ(doubt_.ends_at(), now_ + 1min);
  EXPECT_THAT(doubt_.reason(now_ + 59s), ::testing::Not(IsEmpty()));
  EXPECT_THAT(doubt_.reason(now_ + 1min), IsEmpty());
}

TEST_F(LinkDoubtTest, IsForgottenWhenALinkHasHeld) {
  live_for(2s);
  live_for(2s);
  live_for(1min);
  live_for(2s);
  doubt_.came_up(now_);
  EXPECT_THAT(doubt_.reason(now_), IsEmpty());
}

TEST_F(LinkDoubtTest, CountsNoEndThatIsToldTwice) {
  live_for(2s);
  doubt_.went_down(now_, "no route");
  doubt_.came_up(now_);
  EXPECT_THAT(doubt_.reason(now_), IsEmpty());
}

}  // namespace
}  // namespace tidegate::daemon
