// What becomes of good records, with targets that refuse in one way or another, over hours and many seeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/support/seed.h"
#include "tests/uplink/target_model.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ModelSetup = TargetModel::Setup;

/// Calls `run` with setups by seed, TIDEGATE_SEEDS of them from TIDEGATE_SEED on.
void for_seeds(std::uint64_t many, const std::function<void(const ModelSetup& setup)>& run) {
  const std::uint64_t first = tidegate::testing::from_environment("TIDEGATE_SEED", 1);
  const std::uint64_t count =
      tidegate::testing::from_environment("TIDEGATE_SEEDS", tidegate::testing::of_many(many, 4));
  std::printf("%llu seeds from %llu\n", static_cast<unsigned long long>(count), static_cast<unsigned long long>(first));
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ModelSetup setup;
    setup.seed = seed;
    setup.inflight = seed % 2 == 0 ? 1 : 8;
    setup.live_first = seed / 2 % 2 == 1;
    run(setup);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

void expect_no_letter(const TargetModel& model) {
  EXPECT_TRUE(model.letters().empty()) << model.letters().size() << " letters";
  EXPECT_LT(model.backlog(), 10U);
  ASSERT_NO_FATAL_FAILURE(model.expect_all_once());
}

bool is_poison(std::uint64_t sequence, std::uint64_t seed) { return (sequence + seed) * 2'654'435'761U % 97 < 2; }

bool has_poison(const ParsedBatch& batch, std::uint64_t seed) {
  return std::any_of(batch.entries.begin(), batch.entries.end(),
                     [&](const ParsedEntry& entry) { return is_poison(entry.sequence, seed); });
}

TEST(ForwarderTargetTest, WhatIsAlwaysRefusedBecomesALetterAndAllOthersArriveInOrder) {
  std::uint64_t witnesses = 0;
  std::uint64_t probes = 0;
  std::uint64_t letters = 0;
  for_seeds(8, [&](const ModelSetup& setup) {
    TargetModel model(setup, [&](const ParsedBatch& batch, Duration, bool) { return has_poison(batch, setup.seed); });
    model.run_for(hours(2));
    ASSERT_LT(model.backlog(), 600U);
    ASSERT_GT(model.letters().size(), 100U);
    for (const std::uint64_t sequence : model.letters()) ASSERT_TRUE(is_poison(sequence, setup.seed));
    if (setup.inflight == 1 && !setup.live_first) {
      ASSERT_TRUE(std::is_sorted(model.delivered().begin(), model.delivered().end()));
      ASSERT_NO_FATAL_FAILURE(model.expect_all_once());
    }
    letters += model.letters().size();
    witnesses += model.witnesses();
    probes += model.probes();
  });
  std::printf("%llu letters, %llu witnesses, %llu probes\n", static_cast<unsigned long long>(letters),
              static_cast<unsigned long long>(witnesses), static_cast<unsigned long long>(probes));
}

TEST(ForwarderTargetTest, ATargetThatRefusesEverythingForANightMakesNoLetter) {
  for_seeds(8, [](const ModelSetup& setup) {
    const Duration begin = seconds(600 + setup.seed * 7);
    TargetModel model(setup,
                      [=](const ParsedBatch&, Duration at, bool) { return at >= begin && at < begin + hours(10); });
    model.run_for(hours(12));
    expect_no_letter(model);
  });
}

// Nobody knows then whether it ever took any.
TEST(ForwarderTargetTest, NorDoesOneBesideAStartInThatNight) {
  for_seeds(8, [&](const ModelSetup& setup) {
    TargetModel model(setup, [](const ParsedBatch&, Duration at, bool) { return at >= minutes(10) && at < hours(10); });
    model.run_for(minutes(20));
    model.restart();
    model.run_for(hours(12));
    expect_no_letter(model);
  });
}

TEST(ForwarderTargetTest, ATargetThatRefusesByChanceMakesNoLetter) {
  for_seeds(40, [&](const ModelSetup& setup) {
    std::mt19937_64 chance(setup.seed);
    const std::uint64_t percent = std::vector<std::uint64_t>{50, 30, 10, 2}[setup.seed / 4 % 4];
    TargetModel model(setup, [&](const ParsedBatch&, Duration, bool) { return chance() % 100 < percent; });
    model.run_for(hours(1));
    EXPECT_TRUE(model.letters().empty()) << model.letters().size() << " with " << percent;
    EXPECT_LT(model.backlog(), 600U) << percent;
  });
}

TEST(ForwarderTargetTest, NorDoesOneThatLooksFirstWhetherItHasTheRecord) {
  for_seeds(40, [&](const ModelSetup& setup) {
    std::mt19937_64 chance(setup.seed);
    const std::uint64_t percent = std::vector<std::uint64_t>{50, 30, 10, 2}[setup.seed / 4 % 4];
    TargetModel model(setup,
                      [&](const ParsedBatch&, Duration, bool has_it) { return !has_it && chance() % 100 < percent; });
    model.run_for(hours(1));
    EXPECT_TRUE(model.letters().empty()) << model.letters().size() << " with " << percent;
    EXPECT_LT(model.backlog(), 600U) << percent;
  });
}

TEST(ForwarderTargetTest, NorDoesOneOfSeveralServersInTurnThatRefusesEverything) {
  for_seeds(24, [](const ModelSetup& setup) {
    std::uint64_t requests = 0;
    const std::uint64_t servers = 2 + setup.seed / 4 % 4;
    const bool looks_first = setup.seed / 16 % 2 == 1;
    TargetModel model(setup, [&](const ParsedBatch&, Duration, bool has_it) {
      return ++requests % servers == 0 && !(looks_first && has_it);
    });
    model.run_for(hours(1));
    EXPECT_TRUE(model.letters().empty()) << model.letters().size() << " with " << servers;
  });
}

// As where a server looks first whether it has a record already, and is set up wrongly behind that.
TEST(ForwarderTargetTest, ATargetThatTakesOnlyWhatItHasMakesNoLetterInANight) {
  for_seeds(8, [&](const ModelSetup& setup) {
    TargetModel model(setup, [](const ParsedBatch&, Duration at, bool has_it) {
      return at >= minutes(10) && at < hours(10) && !has_it;
    });
    model.run_for(hours(12));
    expect_no_letter(model);
  });
}

// The way of a record depends on its tag, as with the partitions of Kafka.
TEST(ForwarderTargetTest, NorDoesOneWhoseServersDivideTheTagsAndHalfOfThemRefuseEverything) {
  for_seeds(16, [&](ModelSetup setup) {
    setup.tags = 8;
    const bool is_restarted = setup.seed / 4 % 2 == 1;
    TargetModel model(setup, [](const ParsedBatch& batch, Duration at, bool) {
      const bool is_broken = at >= minutes(10) && at < hours(10);
      return is_broken && std::any_of(batch.entries.begin(), batch.entries.end(),
                                      [](const ParsedEntry& entry) { return entry.sequence % 8 < 4; });
    });
    model.run_for(minutes(20));
    if (is_restarted) model.restart();
    model.run_for(hours(12));
    expect_no_letter(model);
  });
}

}  // namespace
}  // namespace tidegate::uplink::testing
