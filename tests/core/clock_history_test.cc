#include "core/clock_history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/plausible_clock.h"
#include "tests/support/manual_clock.h"

namespace tidegate {
namespace {

using namespace std::chrono_literals;

constexpr BootId kBoot{1};
constexpr BootId kOther{2};
constexpr Duration kOffset = std::chrono::seconds(1'760'000'000);  // of a clock that is right

BootTime at(Duration since_boot) { return BootTime(since_boot); }

class ClockHistoryTest : public ::testing::Test {
 protected:
  void know(Duration since_boot, ClockQuality quality, Duration offset = kOffset) {
    history_.add({kBoot, at(since_boot), offset, quality});
  }
  /// By how much the frame of a clock that shows the time since 1970 is put right.
  std::optional<Duration> shift(Duration since_boot, ClockQuality quality, Duration shown = 0s) const {
    return history_.shift(kBoot, {WallTime(since_boot + shown), at(since_boot), quality});
  }

  ClockHistory history_{kBoot};
};

TEST_F(ClockHistoryTest, KnowsNothingBeforeItIsTold) {
  EXPECT_EQ(shift(10s, ClockQuality::unsynced), std::nullopt);
  know(20s, ClockQuality::unsynced);
  EXPECT_EQ(shift(10s, ClockQuality::unsynced), std::nullopt) << "a clock that is not set tells nothing";
}

TEST_F(ClockHistoryTest, PutsRightWhatWasTakenInBeforeTheClockWasSynced) {
  know(20s, ClockQuality::synced);
  EXPECT_EQ(shift(10s, ClockQuality::unsynced), kOffset);
  EXPECT_EQ(shift(10s, ClockQuality::estimated, kOffset - 1h), 1h);
  EXPECT_EQ(shift(10s, ClockQuality::estimated, kOffset + 1h), -1h);
  EXPECT_EQ(shift(10s, ClockQuality::synced, kOffset - 1h), std::nullopt) << "a synced clock is never corrected";
}

TEST_F(ClockHistoryTest, SaysNothingOfOtherBoots) {
  know(20s, ClockQuality::synced);
  EXPECT_EQ(history_.shift(kOther, {WallTime(10s), at(10s), ClockQuality::unsynced}), std::nullopt);
  history_.add({BootId{}, at(20s), kOffset, ClockQuality::synced});
  EXPECT_EQ(history_.shift(BootId{}, {WallTime(10s), at(10s), ClockQuality::unsynced}), std::nullopt)
      << "frames of unknown boots are not of one boot";
}

TEST_F(ClockHistoryTest, TakesTheFirstSyncBehindTheFrame) {
  know(20s, ClockQuality::synced, kOffset);
  know(40s, ClockQuality::synced, kOffset + 5s);
  EXPECT_EQ(shift(10s, ClockQuality::unsynced), kOffset);
  EXPECT_EQ(shift(30s, ClockQuality::unsynced), kOffset + 5s);
  EXPECT_EQ(shift(50s, ClockQuality::unsynced), std::nullopt);
}

TEST_F(ClockHistoryTest, PrefersASyncToAnEstimateAndAnEstimateToNothing) {
  know(20s, ClockQuality::estimated, kOffset - 1h);
  EXPECT_EQ(shift(10s, ClockQuality::unsynced), kOffset - 1h);
  EXPECT_EQ(shift(10s, ClockQuality::estimated, kOffset - 2h), std::nullopt) << "one estimate is as good as another";
  know(40s, ClockQuality::synced, kOffset);
  EXPECT_EQ(shift(10s, ClockQuality::unsynced), kOffset);
  EXPECT_EQ(shift(10s, ClockQuality::estimated, kOffset - 2h), 2h);
  EXPECT_EQ(shift(30s, ClockQuality::estimated, kOffset - 1h), 1h);
}

TEST_F(ClockHistoryTest, LeavesAClockAloneThatWasSyncedBeforeAndHasLostItsSource) {
  know(20s, ClockQuality::synced, kOffset);
  know(40s, ClockQuality::synced, kOffset + 1s);
  EXPECT_EQ(shift(30s, ClockQuality::estimated, kOffset), std::nullopt);
}

TEST_F(ClockHistoryTest, ShiftsByWholeMilliseconds) {
  know(20s, ClockQuality::synced, kOffset + 1'999'999ns);
  EXPECT_EQ(shift(10s, ClockQuality::unsynced), kOffset + 1ms);
}

TEST_F(ClockHistoryTest, AnswersTheSameInWhateverOrderItIsTold) {
  constexpr std::uint64_t kSeed = 20261128;
  std::mt19937_64 random(kSeed);
  std::vector<ClockAnchor> anchors;
  for (int i = 0; i < 40; ++i) {
    anchors.push_back({i % 3 == 0 ? kOther : kBoot, at(std::chrono::seconds(random() % 20)),
                       std::chrono::seconds(random() % 5), static_cast<ClockQuality>(random() % 3)});
  }
  for (const ClockAnchor& anchor : anchors) history_.add(anchor);
  for (int round = 0; round < 20; ++round) {
    std::shuffle(anchors.begin(), anchors.end(), random);
    ClockHistory other(kBoot);
    for (const ClockAnchor& anchor : anchors) other.add(anchor);
    for (const ClockAnchor& anchor : anchors) other.add(anchor);
    for (int second = 0; second < 21; ++second) {
      for (const ClockQuality quality : {ClockQuality::unsynced, ClockQuality::estimated}) {
        const FrameTimes times{WallTime(std::chrono::seconds(second)), at(std::chrono::seconds(second)), quality};
        ASSERT_EQ(other.shift(kBoot, times), history_.shift(kBoot, times)) << second << ", seed " << kSeed;
      }
    }
  }
}

TEST_F(ClockHistoryTest, TakesTimesThatLieAnywhere) {
  know(20s, ClockQuality::synced, Duration::max());
  EXPECT_TRUE(history_.shift(kBoot, {WallTime::min(), BootTime::min(), ClockQuality::unsynced}));
  EXPECT_FALSE(history_.shift(kBoot, {WallTime::min(), BootTime::max(), ClockQuality::unsynced}));
}

class PlausibleClockTest : public ::testing::Test {
 protected:
  PlausibleClockTest() { clock_.set_quality(ClockQuality::estimated); }
  testing::ManualClock clock_;
  PlausibleClock plausible_{clock_};
};

TEST_F(PlausibleClockTest, BelievesItsClockWhenNothingIsKnown) {
  for (const auto quality : {ClockQuality::unsynced, ClockQuality::estimated, ClockQuality::synced}) {
    clock_.set_quality(quality);
    EXPECT_EQ(plausible_.quality(), quality);
  }
}

TEST_F(PlausibleClockTest, CallsAClockUnsyncedThatIsBehindTheLogUntilItIsSet) {
  plausible_.set_reached(clock_.wall_now() + 1h);
  EXPECT_EQ(plausible_.quality(), ClockQuality::unsynced);
  clock_.advance(2h);
  EXPECT_EQ(plausible_.quality(), ClockQuality::unsynced) << "it has run up to that time, and is as wrong as before";
  clock_.step_wall(59min);
  EXPECT_EQ(plausible_.quality(), ClockQuality::unsynced);
  clock_.step_wall(1min);
  EXPECT_EQ(plausible_.quality(), ClockQuality::estimated);
}

TEST_F(PlausibleClockTest, BelievesASyncedClockEvenAgainstTheLog) {
  plausible_.set_reached(clock_.wall_now() + std::chrono::years(10));
  clock_.set_quality(ClockQuality::synced);
  EXPECT_EQ(plausible_.quality(), ClockQuality::synced) << "the log may be of a clock that was ahead";
}

TEST_F(PlausibleClockTest, DoubtsAStartIn1970) {
  const WallTime logged = clock_.wall_now();
  clock_.boot(5s, WallTime(5s));
  plausible_.set_reached(logged);
  EXPECT_EQ(plausible_.quality(), ClockQuality::unsynced);
  clock_.step_wall(logged.time_since_epoch() + 1h);
  clock_.set_quality(ClockQuality::synced);
  EXPECT_EQ(plausible_.quality(), ClockQuality::synced);
}

}  // namespace
}  // namespace tidegate
