// Records that a target never takes, wherever they come, go aside, and nothing waits for them for long.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <tuple>

#include "tests/uplink/target_model.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ModelSetup = TargetModel::Setup;

/// With one batch in flight or eight, oldest-first or live-first.
class ForwarderPoisonTest : public ::testing::TestWithParam<std::tuple<std::uint32_t, bool>> {
 protected:
  ForwarderPoisonTest() {
    setup_.inflight = std::get<0>(GetParam());
    setup_.live_first = std::get<1>(GetParam());
    setup_.tags = 4;
  }

  static TargetModel::Refuses refuses(const std::set<std::uint64_t>& poison) {
    return [poison](const ParsedBatch& batch, Duration, bool) {
      return std::any_of(batch.entries.begin(), batch.entries.end(),
                         [&](const ParsedEntry& entry) { return poison.contains(entry.sequence); });
    };
  }
  static std::set<std::uint64_t> block(std::uint64_t first, std::uint64_t count) {
    std::set<std::uint64_t> poison;
    for (std::uint64_t i = 0; i < count; ++i) poison.insert(first + i);
    return poison;
  }
  /// All others are delivered once, none of them waits longer.
  static void expect_aside(const TargetModel& model, const std::set<std::uint64_t>& poison, Duration wait) {
    EXPECT_EQ(model.letters(), poison);
    EXPECT_LT(model.longest_wait(), wait) << model.longest_wait() / seconds(1) << " s";
    EXPECT_LT(model.backlog(), 10U);
    ASSERT_NO_FATAL_FAILURE(model.expect_all_once());
  }

  ModelSetup setup_;
};

TEST_P(ForwarderPoisonTest, OneInTheMiddleOfABatchGoesAsideWithinAMinute) {
  setup_.at_begin = 1'000;
  TargetModel model(setup_, refuses({150}));
  model.run_for(minutes(1));
  expect_aside(model, {150}, minutes(1));
}

TEST_P(ForwarderPoisonTest, OneThatIsAloneGoesAsideWithinAMinute) {
  TargetModel model(setup_, refuses({100}));
  model.run_for(minutes(5));
  expect_aside(model, {100}, seconds(40));
}

TEST_P(ForwarderPoisonTest, TheVeryFirstOneGoesAside) {
  TargetModel model(setup_, refuses({0}));
  model.run_for(minutes(5));
  expect_aside(model, {0}, minutes(2));
}

TEST_P(ForwarderPoisonTest, TheFirstOneBehindARestartGoesAside) {
  TargetModel model(setup_, refuses({300}));
  model.run_for(seconds(301));
  ASSERT_TRUE(model.letters().empty());
  model.restart();
  model.run_for(minutes(10));
  expect_aside(model, {300}, minutes(2));
}

TEST_P(ForwarderPoisonTest, FifteenInARowGoAside) {
  TargetModel model(setup_, refuses(block(200, 15)));
  model.run_for(minutes(20));
  expect_aside(model, block(200, 15), minutes(5));
}

TEST_P(ForwarderPoisonTest, FifteenInARowInABacklogGoAside) {
  setup_.at_begin = 1'000;
  TargetModel model(setup_, refuses(block(150, 15)));
  model.run_for(minutes(20));
  expect_aside(model, block(150, 15), minutes(5));
}

TEST_P(ForwarderPoisonTest, FifteenInARowBehindARestartGoAside) {
  TargetModel model(setup_, refuses(block(300, 15)));
  model.run_for(seconds(301));
  ASSERT_TRUE(model.letters().empty());
  model.restart();
  model.run_for(minutes(20));
  expect_aside(model, block(300, 15), minutes(5));
}

TEST_P(ForwarderPoisonTest, TheLastOnesBeforeASilenceGoAsideInHalfAnHour) {
  setup_.quiet_from = seconds(300);
  TargetModel model(setup_, refuses(block(298, 3)));
  model.run_for(minutes(60));
  expect_aside(model, block(298, 3), minutes(1));
}

TEST_P(ForwarderPoisonTest, AllOfOneTagGoAsideWhereTheTargetTookItBefore) {
  TargetModel model(setup_, [](const ParsedBatch& batch, Duration, bool) {
    return std::any_of(batch.entries.begin(), batch.entries.end(),
                       [](const ParsedEntry& entry) { return entry.sequence >= 600 && entry.sequence % 60 == 0; });
  });
  model.run_for(hours(2));
  EXPECT_EQ(model.letters().size(), (7'200U - 600) / 60);
  EXPECT_LT(model.longest_wait(), minutes(1));
}

INSTANTIATE_TEST_SUITE_P(Setups, ForwarderPoisonTest, ::testing::Combine(::testing::Values(1, 8), ::testing::Bool()),
                         [](const auto& setup) {
                           return std::string(std::get<1>(setup.param) ? "LiveFirst" : "OldestFirst") +
                                  std::to_string(std::get<0>(setup.param)) + "InFlight";
                         });

}  // namespace
}  // namespace tidegate::uplink::testing
