#include "tests/support/batch_checker.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate::testing {
namespace {

constexpr NumberedReadings kTen{10, 3};

// Readings [first, last] as one batch; their sequences are the numbers plus 100.
std::string entries(std::uint64_t first, std::uint64_t last, std::uint64_t offset) {
  std::string text;
  for (std::uint64_t n = first; n <= last; ++n) {
    text += (text.empty() ? "" : ",") + std::string("{\"seq\":") + std::to_string(n + offset) + ",\"tag\":\"" +
            kTen.tag(n) + "\",\"time\":" + std::to_string(kTen.time_ms(n)) + ",\"value\":" + std::to_string(n) +
            ",\"quality\":\"good\"}";
  }
  return text;
}

struct BatchOptions {
  std::uint32_t epoch = 1;
  std::uint64_t offset = 100;
  std::string extra;
};

std::string batch(std::uint64_t first, std::uint64_t last, const BatchOptions& options = {}) {
  return "{\"v\":1,\"gateway\":\"g\",\"stream\":\"readings\",\"lane\":\"live\",\"epoch\":" +
         std::to_string(options.epoch) + ",\"from\":" + std::to_string(first + options.offset) +
         ",\"to\":" + std::to_string(last + options.offset) + options.extra +
         ",\"count\":" + std::to_string(last - first + 1) + ",\"sent\":1,\"historical\":false,\"readings\":[" +
         entries(first, last, options.offset) + "]}";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

class BatchCheckerTest : public ::testing::Test {
 protected:
  BatchChecker checker{kTen};
};

TEST_F(BatchCheckerTest, FindsNothingWrongWithAWholeChain) {
  checker.take(batch(0, 4));
  checker.take(batch(5, 9));
  EXPECT_EQ(checker.report().distinct, 10u);
  EXPECT_EQ(checker.report().defects(), 0u);
  EXPECT_TRUE(checker.missing().empty());
}

TEST_F(BatchCheckerTest, TakesWhatTheLaneLiveSkippedFromTheLaneBacklog) {
  const auto backlog = [](const std::string& text) { return replaced(text, "\"live\"", "\"backlog\""); };
  checker.take(batch(0, 1));
  checker.take(batch(6, 7, {1, 100, ",\"skipped\":{\"epoch\":1,\"from\":102,\"to\":105}"}));
  EXPECT_EQ(checker.report().chain_breaks, 1u) << "nothing of it has come";
  checker.take(backlog(batch(2, 4)));
  checker.take(batch(8, 9));
  EXPECT_EQ(checker.report().chain_breaks, 1u);
  EXPECT_EQ(checker.report().skipped_open, 1u);
  EXPECT_EQ(checker.report().beside, 1u);
  checker.take(backlog(batch(5, 5)));
  EXPECT_EQ(checker.report().defects(), 0u) << ::testing::PrintToString(checker.report().complaints);
  EXPECT_EQ(checker.report().skipped_open, 0u);
}

TEST_F(BatchCheckerTest, WaitsForWhatWasSkippedBeforeTheFirstBatch) {
  checker.take(batch(6, 9, {2, 100, ",\"skipped\":{\"epoch\":1,\"from\":100,\"to\":105}"}));
  EXPECT_EQ(checker.report().skipped_open, 1u);
  EXPECT_EQ(checker.report().chain_breaks, 1u) << "nothing of it has come";
  checker.take(replaced(batch(0, 5), "\"live\"", "\"backlog\""));
  EXPECT_EQ(checker.report().skipped_open, 0u);
  EXPECT_EQ(checker.report().defects(), 0u) << ::testing::PrintToString(checker.report().complaints);
}

TEST_F(BatchCheckerTest, TakesNothingLaterForAHoleThatNobodySkipped) {
  checker.take(batch(0, 1));
  checker.take(batch(6, 9));
  checker.take(batch(2, 5));
  EXPECT_EQ(checker.report().chain_breaks, 1u);
}

TEST_F(BatchCheckerTest, NamesWhatIsMissingAndTheBreakOfTheChain) {
  checker.take(batch(0, 3));
  checker.take(batch(6, 9));
  EXPECT_EQ(checker.missing(), (std::vector<std::uint64_t>{4, 5}));
  EXPECT_EQ(checker.report().chain_breaks, 1u);
}

TEST_F(BatchCheckerTest, AcceptsAHoleThatAGapRecordCovers) {
  checker.take(batch(0, 3));
  checker.take(batch(6, 9));
  checker.take(R"({"v":1,"gateway":"g","stream":"events","epoch":1,"from":1,"to":1,"count":1,"events":[)"
               R"({"seq":1,"event":"gap","stream":"readings","epoch":1,"first":104,"last":105,"count":2}]})");
  EXPECT_EQ(checker.report().chain_breaks, 0u);
  EXPECT_EQ(checker.report().gap_records, 1u);
}

TEST_F(BatchCheckerTest, KeepsAHoleThatAGapRecordCoversInPartOnly) {
  checker.take(batch(0, 3));
  checker.take(batch(6, 9));
  checker.take(R"({"v":1,"gateway":"g","stream":"events","epoch":1,"from":1,"to":1,"count":1,"events":[)"
               R"({"seq":1,"event":"gap","stream":"readings","epoch":1,"first":104,"last":104,"count":1}]})");
  EXPECT_EQ(checker.report().chain_breaks, 1u);
}

TEST_F(BatchCheckerTest, CountsTheSameIdentityAgainAsARepeat) {
  checker.take(batch(0, 5));
  checker.take(batch(3, 9));
  EXPECT_EQ(checker.report().repeats, 3u);
  EXPECT_EQ(checker.report().taken_twice, 0u);
  EXPECT_EQ(checker.report().defects(), 0u);
}

TEST_F(BatchCheckerTest, CountsTheSameNumberUnderAnotherIdentityAsTakenTwice) {
  checker.take(batch(0, 5));
  checker.take(batch(5, 9, {1, 101, ""}));
  EXPECT_EQ(checker.report().taken_twice, 1u);
  EXPECT_EQ(checker.report().distinct, 10u);
}

TEST_F(BatchCheckerTest, ReportsARepeatWithOtherContent) {
  checker.take(batch(0, 5));
  checker.take(batch(4, 8, {1, 99, ""}));
  EXPECT_GT(checker.report().changed_repeats, 0u);
}

TEST_F(BatchCheckerTest, ReportsAnAlteredField) {
  for (const auto& [from, to] : {std::pair{"\"value\":4", "\"value\":40"},
                                 {"\"value\":4", "\"value\":4.0"},
                                 {"\"tag\":\"dev-1", "\"tag\":\"dev-2"},
                                 {"\"time\":17600", "\"time\":17700"},
                                 {"\"good\"", "\"bad\""}}) {
    BatchChecker fresh(kTen);
    fresh.take(replaced(batch(4, 4), from, to));
    EXPECT_EQ(fresh.report().altered, 1u) << to;
  }
}

TEST_F(BatchCheckerTest, ReportsWhatComesOutOfOrder) {
  checker.take(batch(5, 9));
  checker.take(batch(0, 4));
  EXPECT_EQ(checker.report().misordered, 10u);  // by sequence, and by number
}

TEST_F(BatchCheckerTest, ReportsABatchThatContradictsItself) {
  checker.take(replaced(batch(0, 4), "\"count\":5", "\"count\":6"));
  checker.take(replaced(batch(0, 4), "\"to\":104", "\"to\":103"));
  checker.take(replaced(batch(0, 4), "\"seq\":101", "\"seq\":100"));
  checker.take("{\"v\":1");
  EXPECT_EQ(checker.report().malformed, 4u);
}

TEST_F(BatchCheckerTest, FollowsTheChainIntoANewEpoch) {
  checker.take(batch(0, 4));
  checker.take(batch(5, 9, {2, 100, ",\"prev\":{\"epoch\":1,\"to\":104}"}));
  checker.take(batch(3, 4));
  EXPECT_EQ(checker.report().defects(), 0u);
  EXPECT_EQ(checker.report().repeats, 2u);
}

TEST_F(BatchCheckerTest, ReportsANewEpochThatDoesNotGoOnWhereTheOldOneEnded) {
  checker.take(batch(0, 2));
  checker.take(batch(5, 9, {2, 100, ",\"prev\":{\"epoch\":1,\"to\":104}"}));
  EXPECT_EQ(checker.report().chain_breaks, 1u);
}

TEST_F(BatchCheckerTest, ReportsANewEpochWithoutPrev) {
  checker.take(batch(0, 4));
  checker.take(batch(5, 9, {2, 100, ""}));
  EXPECT_EQ(checker.report().chain_breaks, 1u);
}

}  // namespace
}  // namespace tidegate::testing
