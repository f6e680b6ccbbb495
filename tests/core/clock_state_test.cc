#include "core/clock_state.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/support/temporary_directory.h"

namespace tidegate {
namespace {

constexpr BootTime kAsked{std::chrono::hours(5)};
constexpr Duration kOffset = std::chrono::hours(490'000);

class ToldClock : public ::testing::Test {
 protected:
  void tell(const std::string& line) { std::ofstream(path_) << line; }
  ClockQuality told(Duration later, Duration set_by = Duration(0)) const {
    return told_clock_quality(path_, kAsked + later, kOffset + set_by);
  }

  testing::TemporaryDirectory directory_;
  const std::string path_ = directory_ / "state";
};

TEST(ClockStates, AreReadBackAsTheyAreWrittenAndAllOfOneLength) {
  for (const Duration offset : {Duration(0), kOffset, -kOffset, Duration::max(), Duration::min()}) {
    for (const ClockQuality quality : {ClockQuality::synced, ClockQuality::estimated}) {
      const std::string line = format_clock_state({quality, kAsked, offset});
      EXPECT_EQ(line.size(), 64U);
      const auto state = parse_clock_state(line);
      ASSERT_TRUE(state.has_value()) << line;
      EXPECT_EQ(state->quality, quality);
      EXPECT_EQ(state->asked, kAsked);
      EXPECT_EQ(state->wall_less_boot, offset);
    }
  }
}

TEST(ClockStates, CutShortOrOfOtherWordsAreNone) {
  const std::string line = format_clock_state({ClockQuality::synced, kAsked, kOffset});
  for (std::size_t length = 0; length < line.size(); ++length) {
    ASSERT_FALSE(parse_clock_state(line.substr(0, length)).has_value()) << length;
  }
  EXPECT_FALSE(parse_clock_state(line + "x").has_value());
  for (const char* words : {"unsynced 1 2", "synced 1", "synced 1 2 3", "synced 1 x", "synced x 1", "", "synced  1"}) {
    std::string wrong = words;
    wrong.resize(63, ' ');
    EXPECT_FALSE(parse_clock_state(wrong + "\n").has_value()) << words;
  }
}

TEST_F(ToldClock, IsSyncedWhileTheFileSaysSo) {
  tell(format_clock_state({ClockQuality::synced, kAsked, kOffset}));
  EXPECT_EQ(told(Duration(0)), ClockQuality::synced);
  EXPECT_EQ(told(std::chrono::seconds(4)), ClockQuality::synced);
  EXPECT_EQ(told(std::chrono::milliseconds(-1)), ClockQuality::synced);
  tell(format_clock_state({ClockQuality::estimated, kAsked, kOffset}));
  EXPECT_EQ(told(Duration(0)), ClockQuality::estimated);
}

TEST_F(ToldClock, IsEstimatedWhenWhoTellsHasFallenSilent) {
  EXPECT_EQ(told(Duration(0)), ClockQuality::estimated);
  tell(format_clock_state({ClockQuality::synced, kAsked, kOffset}));
  EXPECT_EQ(told(std::chrono::seconds(5)), ClockQuality::estimated);
  tell("garbage");
  EXPECT_EQ(told(Duration(0)), ClockQuality::estimated);
}

TEST_F(ToldClock, IsEstimatedWhenTheClockWasSetSince) {
  tell(format_clock_state({ClockQuality::synced, kAsked, kOffset}));
  EXPECT_EQ(told(Duration(0), std::chrono::microseconds(300)), ClockQuality::synced);
  EXPECT_EQ(told(Duration(0), std::chrono::milliseconds(2)), ClockQuality::estimated);
  EXPECT_EQ(told(Duration(0), std::chrono::milliseconds(-2)), ClockQuality::estimated);
}

}  // namespace
}  // namespace tidegate
