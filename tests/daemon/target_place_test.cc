#include "daemon/target_place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/fake_ring_log.h"

namespace tidegate::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A log with 100 readings, whose gateway has started three times: at the readings 1, 40 and 70.
class TargetPlacesTest : public ::testing::Test {
 protected:
  TargetPlacesTest() {
    const std::vector<Reading> readings(100);
    EXPECT_TRUE(log_.append(readings, {}, {}));
    marks_.history = {"ab", {mark(1), mark(2), mark(3)}};
    marks_.ends = {{1, 1, 1}, {40, 1, 1}, {70, 1, 1}};
  }

  static std::uint64_t mark(std::uint32_t number, std::uint32_t lot = 5) {
    return (std::uint64_t{number} << 32U) | lot;
  }
  static uplink::TargetCursor cursor(std::uint64_t next, std::vector<std::uint64_t> starts, const char* log = "ab") {
    return {{log, std::move(starts)}, "i", {{Stream::readings, {1, next}}}};
  }
  TargetPlaces places(const uplink::TargetCursor& cursor) const { return {log_, marks_, cursor}; }

  tidegate::testing::FakeRingLog log_;
  StartMarks marks_;
};

TEST_F(TargetPlacesTest, AreWhereTheTargetIs) {
  const auto found = places(cursor(55, {mark(1), mark(2)}));
  EXPECT_EQ(found.place(Stream::readings), (Position{1, 55}));
  EXPECT_EQ(found.place(Stream::events), std::nullopt) << "of which it knows nothing";
  EXPECT_THAT(found.remark(), IsEmpty());
}

// The copy parted behind the first start, at reading 40.
TEST_F(TargetPlacesTest, OfAnOlderCopyEndWhereItParted) {
  const auto found = places(cursor(95, {mark(1), mark(2, 6)}));
  EXPECT_EQ(found.place(Stream::readings), (Position{1, 40}));
  EXPECT_THAT(found.remark(), HasSubstr("an older copy of the disk came back"));
}

TEST_F(TargetPlacesTest, OfAnOlderCopySkipNothingThatTheTargetNeverHad) {
  EXPECT_EQ(places(cursor(12, {mark(1), mark(2, 6)})).place(Stream::readings), (Position{1, 12}));
}

// A crash behind the first transaction after that, in which there were readings alone.
TEST_F(TargetPlacesTest, OfAnOlderCopyAreKnownUntilEachStreamHasGoneOn) {
  uplink::TargetCursor mixed{{"ab", {mark(1), mark(2), mark(3)}}, "i", {{Stream::events, {1, 1}}}};
  mixed.earlier = {{"ab", {mark(1), mark(2, 6)}}, {{Stream::readings, {1, 95}}, {Stream::events, {1, 9}}}};
  EXPECT_EQ(places(mixed).place(Stream::readings), (Position{1, 40}));
  EXPECT_EQ(places(mixed).place(Stream::events), (Position{1, 1}));
  EXPECT_EQ(places(mixed).place(Stream::alarms), std::nullopt);
}

// So many starts later nobody knows where that was: to go by the place of the other copy would leave records out.
TEST_F(TargetPlacesTest, OfAnOlderCopyDoNotCountWhereItIsNotKnownWhereItParted) {
  uplink::TargetCursor mixed{{"ab", {mark(41), mark(42)}}, "i", {{Stream::events, {1, 1}}}};
  mixed.earlier = {{"ab", {mark(1), mark(2, 6)}}, {{Stream::readings, {1, 95}}}};
  marks_.history.starts = {mark(40), mark(41), mark(42)};
  EXPECT_EQ(places(mixed).place(Stream::readings), std::nullopt);
  EXPECT_EQ(places(mixed).place(Stream::events), (Position{1, 1}));
}

TEST_F(TargetPlacesTest, AreNotThoseOfAnotherLog) {
  const auto other = places(cursor(55, {mark(1), mark(2)}, "cd"));
  EXPECT_EQ(other.place(Stream::readings), std::nullopt);
  EXPECT_THAT(other.remark(), HasSubstr("another log (cd, this one is ab)"));
  const auto parted_long_ago = places(cursor(55, {mark(2, 6), mark(3, 6)}));
  EXPECT_EQ(parted_long_ago.place(Stream::readings), std::nullopt);
  EXPECT_THAT(parted_long_ago.remark(), HasSubstr("too long ago to tell"));
}

TEST_F(TargetPlacesTest, AreBelievedWhereTheStartsBeforeAreNotKnown) {
  marks_.history.starts.clear();
  marks_.ends.clear();
  EXPECT_EQ(places(cursor(55, {mark(7)})).place(Stream::readings), (Position{1, 55}));
}

}  // namespace
}  // namespace tidegate::daemon
