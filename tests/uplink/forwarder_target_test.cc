// What becomes of good records and of those that a target refuses, with targets that refuse in one way or another, over
// hours and many seeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/seed.h"
#include "tests/uplink/parsed_batch.h"
#include "uplink/forwarder.h"
#include "uplink/refusal_trial.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// A gateway that takes a reading in each second, and its target, which answers at once.
class TargetModel {
 public:
  using Refuses = std::function<bool(const ParsedBatch& batch, Duration at)>;

  TargetModel(std::uint64_t seed, std::uint32_t inflight, Refuses refuses)
      : random_(seed), refuses_(std::move(refuses)) {
    options_.name = "lake";
    options_.batch_readings_max = 100;
    options_.inflight_max = inflight;
    options_.dead_letter_after = 5;
    start({{1, 0}, {1, 0}});
  }

  void run_for(Duration length) {
    const BootTime end = now_ + length;
    for (; now_ < end; pass()) {
      announced_ = appended();
      forwarder_->announce(Stream::readings, {1, announced_});
      read();
      answer();
    }
  }
  void restart() {
    const Cursor cursor = forwarder_->cursor(Stream::readings);
    start(cursor);
  }

  Duration time() const { return now_ - kBegin; }
  std::mt19937_64& random() { return random_; }
  const std::set<std::uint64_t>& letters() const { return letters_; }
  const std::vector<std::uint64_t>& delivered() const { return delivered_; }
  std::uint64_t witnesses() const { return witnesses_; }
  std::uint64_t backlog() const { return forwarder_->backlog(Stream::readings); }
  /// Every record that was taken in, but for what is on its way, is delivered once or a letter.
  void expect_all_once() const {
    std::vector<std::uint64_t> all(letters_.begin(), letters_.end());
    all.insert(all.end(), delivered_.begin(), delivered_.end());
    std::sort(all.begin(), all.end());
    for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], i);
    ASSERT_EQ(all.size() + backlog(), announced_);
  }

 private:
  static constexpr BootTime kBegin{hours(1)};

  void start(const Cursor& cursor) {
    forwarder_ = std::make_unique<Forwarder>(options_, "plant-7", tags_, clock_history_, random_());
    forwarder_->restore(Stream::readings, cursor, {});
    forwarder_->link_up(now_);
    wire_.clear();
  }

  std::uint64_t appended() const { return static_cast<std::uint64_t>(time() / seconds(1)) + 1; }

  void pass() {
    const BootTime next_reading = kBegin + seconds(appended());
    now_ =
        std::min(next_reading, std::max(forwarder_->next_deadline().value_or(next_reading), now_ + seconds(1) / 100));
  }

  void read() {
    while (const auto demand = forwarder_->demand()) {
      RecordBatch batch;
      batch.epoch = 1;
      batch.first = demand->from.sequence;
      batch.times = {wall(), now_, ClockQuality::synced};
      for (std::uint64_t i = batch.first; i < std::min(appended(), batch.first + 100); ++i) {
        batch.readings.emplace_back();
        batch.readings.back().tag = tags_.intern("a/x");
        batch.readings.back().value = static_cast<std::int64_t>(i);
      }
      if (batch.readings.empty()) return;
      forwarder_->supply(batch, now_);
    }
  }
  WallTime wall() const { return WallTime(seconds(1'760'000'000)) + time(); }

  void answer() {
    for (int i = 0; i < 100; ++i) {
      while (const auto batch = forwarder_->next_batch(now_, wall())) wire_.push_back(*batch);
      if (wire_.empty()) return;
      const OutgoingBatch batch = wire_.front();
      wire_.pop_front();
      const ParsedBatch parsed = parse_batch(*batch.payload);
      ASSERT_EQ(parsed.problem, "");
      const bool is_refused = parsed.count > 0 && refuses_(parsed, time());
      if (!is_refused) take(parsed);
      BatchFailure how;
      how.refusal = "422";
      const auto record = is_refused ? forwarder_->failed(batch.id, now_, how) : forwarder_->acknowledged(batch.id);
      if (!record) continue;
      letters_.insert(record->at.sequence);
      forwarder_->leave_out(record->batch_id);
    }
  }

  void take(const ParsedBatch& batch) {
    if (!batch.beside.empty()) ++witnesses_;
    if (!batch.beside.empty()) return;
    for (const ParsedEntry& entry : batch.entries) delivered_.push_back(entry.sequence);
  }

  std::mt19937_64 random_;
  const Refuses refuses_;
  TagRegistry tags_;
  ClockHistory clock_history_;
  ForwarderOptions options_;
  std::unique_ptr<Forwarder> forwarder_;
  BootTime now_ = kBegin;
  std::deque<OutgoingBatch> wire_;
  std::set<std::uint64_t> letters_;
  std::vector<std::uint64_t> delivered_;
  std::uint64_t witnesses_ = 0;
  std::uint64_t announced_ = 0;
};

/// Calls `run` with seeds, TIDEGATE_SEEDS of them from TIDEGATE_SEED on, and how many batches may be in flight.
void for_seeds(std::uint64_t many, const std::function<void(std::uint64_t seed, std::uint32_t inflight)>& run) {
  const std::uint64_t first = tidegate::testing::from_environment("TIDEGATE_SEED", 1);
  const std::uint64_t count = tidegate::testing::from_environment("TIDEGATE_SEEDS", many);
  std::printf("%llu seeds from %llu\n", static_cast<unsigned long long>(count), static_cast<unsigned long long>(first));
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    run(seed, seed % 2 == 0 ? 1 : 8);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

bool is_poison(std::uint64_t sequence, std::uint64_t seed) { return (sequence + seed) * 2'654'435'761U % 97 < 2; }

bool has_poison(const ParsedBatch& batch, std::uint64_t seed) {
  return std::any_of(batch.entries.begin(), batch.entries.end(),
                     [&](const ParsedEntry& entry) { return is_poison(entry.sequence, seed); });
}

TEST(ForwarderTargetTest, WhatIsAlwaysRefusedBecomesALetterAndAllOthersArriveInOrder) {
  std::uint64_t witnesses = 0;
  std::uint64_t letters = 0;
  for_seeds(8, [&](std::uint64_t seed, std::uint32_t inflight) {
    TargetModel model(seed, inflight, [seed](const ParsedBatch& batch, Duration) { return has_poison(batch, seed); });
    model.run_for(hours(2));
    ASSERT_LT(model.backlog(), 600U);
    ASSERT_GT(model.letters().size(), 100U);
    for (const std::uint64_t sequence : model.letters()) ASSERT_TRUE(is_poison(sequence, seed));
    if (inflight == 1) {
      ASSERT_TRUE(std::is_sorted(model.delivered().begin(), model.delivered().end()));
      ASSERT_NO_FATAL_FAILURE(model.expect_all_once());
    }
    letters += model.letters().size();
    witnesses += model.witnesses();
  });
  std::printf("%llu letters, %llu witnesses\n", static_cast<unsigned long long>(letters),
              static_cast<unsigned long long>(witnesses));
}

TEST(ForwarderTargetTest, ATargetThatRefusesEverythingForANightMakesNoLetter) {
  for_seeds(8, [](std::uint64_t seed, std::uint32_t inflight) {
    const Duration begin = seconds(600 + seed * 7);
    TargetModel model(seed, inflight,
                      [=](const ParsedBatch&, Duration at) { return at >= begin && at < begin + hours(10); });
    model.run_for(hours(12));
    EXPECT_TRUE(model.letters().empty()) << model.letters().size();
    EXPECT_LT(model.backlog(), 10U);
    ASSERT_NO_FATAL_FAILURE(model.expect_all_once());
  });
}

// Nobody knows then whether it ever took any.
TEST(ForwarderTargetTest, NorDoesOneBesideAStartInThatNightWhereOthersMayBeAsked) {
  std::size_t most = 0;
  for_seeds(8, [&](std::uint64_t seed, std::uint32_t inflight) {
    TargetModel model(seed, inflight,
                      [](const ParsedBatch&, Duration at) { return at >= minutes(10) && at < hours(10); });
    model.run_for(minutes(20));
    model.restart();
    model.run_for(hours(12));
    EXPECT_TRUE(inflight == 1 || model.letters().empty()) << model.letters().size();
    most = std::max(most, model.letters().size());
    EXPECT_LT(model.letters().size(), 30U) << "one batch at a time: some two an hour";
    EXPECT_LT(model.backlog(), 10U);
    ASSERT_NO_FATAL_FAILURE(model.expect_all_once());
  });
  std::printf("at most %zu letters in a night\n", most);
}

TEST(ForwarderTargetTest, ATargetThatRefusesByChanceMakesNoLetter) {
  std::size_t letters = 0;
  for_seeds(40, [&](std::uint64_t seed, std::uint32_t inflight) {
    std::mt19937_64 chance(seed);
    const std::uint64_t percent = std::vector<std::uint64_t>{50, 30, 10, 2}[seed / 2 % 4];
    TargetModel model(seed, inflight, [&](const ParsedBatch&, Duration) { return chance() % 100 < percent; });
    model.run_for(hours(1));
    letters += model.letters().size();
    EXPECT_LT(model.backlog(), 600U) << percent;
  });
  EXPECT_EQ(letters, 0U);
}

TEST(ForwarderTargetTest, NorDoesOneOfSeveralServersInTurnThatRefusesEverything) {
  for_seeds(16, [](std::uint64_t seed, std::uint32_t inflight) {
    std::uint64_t requests = 0;
    const std::uint64_t servers = 2 + seed / 2 % 4;
    TargetModel model(seed, inflight, [&](const ParsedBatch&, Duration) { return ++requests % servers == 0; });
    model.run_for(hours(1));
    EXPECT_TRUE(model.letters().empty()) << model.letters().size() << " with " << servers;
  });
}

// As where a server looks first whether it has a record already, and is set up wrongly behind that.
TEST(ForwarderTargetTest, ATargetThatTakesOnlyWhatItHasMakesFewLettersInANight) {
  std::size_t most = 0;
  for_seeds(4, [&](std::uint64_t seed, std::uint32_t inflight) {
    TargetModel model(seed, inflight, [](const ParsedBatch& batch, Duration at) {
      return at >= minutes(10) && at < hours(10) && batch.beside.empty();
    });
    model.run_for(hours(12));
    most = std::max(most, model.letters().size());
    EXPECT_LE(model.letters().size(), RefusalTrial::kLettersInARow + (inflight > 1 ? 0 : 30));
    EXPECT_LT(model.backlog(), 10U);
  });
  std::printf("at most %zu letters in a night\n", most);
}

}  // namespace
}  // namespace tidegate::uplink::testing
