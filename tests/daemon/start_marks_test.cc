#include "daemon/start_marks.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tidegate::daemon {
namespace {

using uplink::number_of_start;

class StartMarksTest : public ::testing::Test {
 protected:
  // A start with what was saved last, whose own checkpoint is saved then.
  StartMarks start(std::uint64_t end = 1, std::uint8_t log = 1) {
    buffer::Checkpoint opened = saved_;
    opened.log.log_id = {log};
    const auto marks = begin_start(saved_, opened, {end, end + 1, end + 2}, is_new_log_);
    saved_ = opened;
    return marks;
  }

  buffer::Checkpoint saved_;
  bool is_new_log_ = true;
};

TEST_F(StartMarksTest, KnowTheStartsBeforeAndWhereTheyBegan) {
  const auto first = start(1);
  ASSERT_EQ(first.history.starts.size(), 1U);
  EXPECT_EQ(first.history.log, "01000000000000000000000000000000");
  EXPECT_EQ(number_of_start(first.history.starts[0]), 1U);
  const auto second = start(50);
  ASSERT_EQ(second.history.starts.size(), 2U);
  EXPECT_EQ(second.history.starts[0], first.history.starts[0]);
  EXPECT_EQ(number_of_start(second.history.starts[1]), 2U);
  EXPECT_EQ(second.ends, (std::vector<StartMarks::Ends>{{1, 2, 3}, {50, 51, 52}}));
}

TEST_F(StartMarksTest, AreTheNewest32) {
  for (std::uint32_t number = 1; number < 100; ++number) {
    const auto marks = start(number * 10);
    ASSERT_EQ(marks.history.starts.size(), std::min(number, 32U));
    ASSERT_EQ(number_of_start(marks.history.starts.back()), number);
    ASSERT_TRUE(std::is_sorted(marks.history.starts.begin(), marks.history.starts.end()));
    ASSERT_EQ(marks.ends.back()[0], number * 10);
    ASSERT_EQ(marks.ends.front()[0], number_of_start(marks.history.starts.front()) * 10);
  }
}

TEST_F(StartMarksTest, OfAnOlderCopyDifferFromWhereItParted) {
  start();
  start();
  const buffer::Checkpoint copy = saved_;
  const auto kept = start();
  saved_ = copy;
  const auto restored = start();
  EXPECT_EQ(last_common_start(kept.history, restored.history), kept.history.starts[1]);
  EXPECT_NE(kept.history.starts.back(), restored.history.starts.back());
}

TEST_F(StartMarksTest, OfAnotherLogBeginAnew) {
  start();
  start();
  EXPECT_EQ(start(1, 2).history.starts.size(), 1U);
  EXPECT_EQ(start(1, 2).history.starts.size(), 2U);
}

TEST_F(StartMarksTest, SayNothingWhereTheStateDatabaseWasLost) {
  is_new_log_ = false;
  EXPECT_TRUE(start().history.starts.empty());
  EXPECT_EQ(start().history.starts.size(), 2U);
}

}  // namespace
}  // namespace tidegate::daemon
