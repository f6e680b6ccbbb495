// Where in a log a place is that people name by a time.
#include <gtest/gtest.h>

#include "buffer/loss_ledger.h"
#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

class FindPlaceTest : public LogFixture {
 protected:
  /// The sequence of the first record at or behind a time; 0 where there is none.
  std::uint64_t at(WallTime time) {
    ReadPlace place;
    place.kind = ReadPlace::Kind::time;
    place.time = time;
    const auto found = log_->disk_reader(Stream::readings)->find(place);
    EXPECT_TRUE(found) << found.error().message;
    return found && *found ? (*found)->sequence : 0;
  }
  /// One record, and a second goes by.
  void append_one() {
    append_numbered(1);
    clock_.advance(seconds(1));
  }
};

TEST_F(FindPlaceTest, IsTheFirstRecordTakenInThenOrLater) {
  open();
  const WallTime begin = clock_.wall_now();
  for (int i = 0; i < 100; ++i) append_one();
  EXPECT_EQ(at(begin - hours(1)), 1U);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(at(begin + seconds(i)), static_cast<std::uint64_t>(i + 1));
  EXPECT_EQ(at(begin + std::chrono::milliseconds(2500)), 4U);
  EXPECT_EQ(at(begin + hours(1)), 0U) << "nothing is that young";
}

TEST_F(FindPlaceTest, IsFoundInAnySegmentAndOverRestarts) {
  open();
  const WallTime begin = clock_.wall_now();
  std::vector<std::pair<WallTime, std::uint64_t>> places;
  for (int i = 0; i < 40; ++i) {
    places.emplace_back(clock_.wall_now(), log_->end(Stream::readings).sequence);
    std::vector<Reading> readings;
    for (int j = 0; j < 10; ++j) readings.push_back(reading("d/text", std::string(1000, 'x')));
    append(readings);
    clock_.advance(seconds(10));
    if (i % 7 == 0) sync();
    if (i == 20) kill_and_reopen();
  }
  ASSERT_GT(segment_files().size(), 3U);
  for (const auto& [time, sequence] : places) ASSERT_EQ(at(time), sequence);
  EXPECT_EQ(at(begin + seconds(5)), 11U);
}

// Nothing that was taken in at the time or later may lie before the place, whatever the clock did.
TEST_F(FindPlaceTest, LeavesNothingOutThoughTheClockWasSet) {
  open();
  const WallTime begin = clock_.wall_now();
  for (int i = 0; i < 10; ++i) append_one();  // 1 to 10 at 0 s to 9 s
  clock_.step_wall(-seconds(8));
  for (int i = 0; i < 10; ++i) append_one();  // 11 to 20 at 2 s to 11 s
  EXPECT_EQ(at(begin + seconds(5)), 6U);
  EXPECT_EQ(at(begin + seconds(10)), 19U);
  clock_.step_wall(hours(24));
  append_one();  // 21
  clock_.step_wall(-hours(24));
  append_one();  // 22
  EXPECT_EQ(at(begin + hours(1)), 21U);
}

TEST(LossLedger, SplitsARangeByReason) {
  LossLedger ledger;
  ledger.note({10, 20}, "overflow");
  ledger.note({20, 25}, "overflow");
  ledger.note({30, 40}, "corruption");
  const auto parts = ledger.explain({5, 45});
  ASSERT_EQ(parts.size(), 5U);
  const std::vector<std::pair<std::uint64_t, std::string>> expected{
      {10, ""}, {25, "overflow"}, {30, ""}, {40, "corruption"}, {45, ""}};
  std::uint64_t first = 5;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    EXPECT_EQ(parts[i].range.first, first);
    EXPECT_EQ(parts[i].range.end, expected[i].first);
    EXPECT_EQ(parts[i].reason, expected[i].second);
    first = parts[i].range.end;
  }
}

TEST(LossLedger, RemembersTheNewestOnly) {
  LossLedger ledger;
  for (std::uint64_t i = 0; i < 2000; ++i) ledger.note({i * 10, i * 10 + 5}, "overflow");
  EXPECT_EQ(ledger.explain({0, 5}).at(0).reason, "");
  EXPECT_EQ(ledger.explain({19990, 19995}).at(0).reason, "overflow");
}

TEST(LossLedger, AnEmptyRangeHasNoParts) { EXPECT_TRUE(LossLedger().explain({7, 7}).empty()); }

}  // namespace
}  // namespace tidegate::buffer
