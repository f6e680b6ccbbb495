#include "daemon/first_epoch.h"

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"

namespace tidegate::daemon {
namespace {

using std::chrono::days;
using std::chrono::minutes;
using std::chrono::sys_days;
using std::chrono::year;

class FirstEpochTest : public ::testing::Test {
 protected:
  std::uint32_t at(WallTime time, ClockQuality quality, std::uint32_t lot = 0) {
    clock_.boot(minutes(1), time);
    clock_.set_quality(quality);
    return first_epoch(clock_, lot);
  }
  tidegate::testing::ManualClock clock_;
};

const WallTime kNewYear(sys_days(year(2026) / 1 / 1).time_since_epoch());

TEST_F(FirstEpochTest, GrowsByOneAMinuteWhereTheClockMayBeRight) {
  EXPECT_EQ(at(kNewYear + minutes(1), ClockQuality::synced), 1U);
  EXPECT_EQ(at(kNewYear + days(2) + minutes(7), ClockQuality::estimated, 5), 2U * 24 * 60 + 7);
}

TEST_F(FirstEpochTest, IsDrawnByLotWhereTheClockWasNeverSet) {
  EXPECT_EQ(at(WallTime(), ClockQuality::unsynced, 41), 42U);
  EXPECT_EQ(at(kNewYear + days(300), ClockQuality::unsynced, 41), 42U) << "whatever it says";
  EXPECT_EQ(at(kNewYear, ClockQuality::synced, 41), 42U) << "before anybody had one";
  EXPECT_LE(at(WallTime(), ClockQuality::unsynced, UINT32_MAX), 365U * 24 * 60);
}

TEST_F(FirstEpochTest, LeavesRoomForThoseThatFollow) {
  EXPECT_LT(at(WallTime(sys_days(year(2262) / 1 / 1).time_since_epoch()), ClockQuality::synced), 1U << 30);
  EXPECT_GE(at(WallTime(), ClockQuality::synced, 0), 1U);
}

}  // namespace
}  // namespace tidegate::daemon
