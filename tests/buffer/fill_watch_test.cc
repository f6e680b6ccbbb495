#include "buffer/fill_watch.h"

#include <gtest/gtest.h>

#include <random>

#include "buffer/drop_ledger.h"
#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

using namespace std::chrono_literals;

class FillWatchTest : public ::testing::Test {
 protected:
  std::optional<FillWatch::Change> see(std::uint64_t bytes, Duration after = 1s) {
    now_ += after;
    return watch_.update({bytes, 1'000'000, false}, now_);
  }
  int rising(std::uint64_t bytes) {
    const auto change = see(bytes);
    return change && change->rising ? change->percent : 0;
  }
  FillWatch watch_;
  BootTime now_{};
};

TEST_F(FillWatchTest, SpeaksOnceAtEachLevel) {
  EXPECT_EQ(rising(499'999), 0);
  EXPECT_EQ(rising(500'000), 50);
  EXPECT_EQ(rising(700'000), 0);
  EXPECT_EQ(rising(800'000), 80);
  EXPECT_EQ(rising(950'000), 95);
  EXPECT_EQ(rising(1'000'000), 0);
}

TEST_F(FillWatchTest, SpeaksOfTheHighestOfSeveralLevels) { EXPECT_EQ(rising(990'000), 95); }

TEST_F(FillWatchTest, SpeaksAgainOnlyAfterTheFillWasClearlyBelow) {
  EXPECT_EQ(rising(500'000), 50);
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(see(450'001));
    EXPECT_FALSE(see(510'000));
  }
  const auto change = see(449'000);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->percent, 50);
  EXPECT_FALSE(change->rising);
  EXPECT_EQ(rising(510'000), 50);
}

TEST_F(FillWatchTest, TellsTheTimeLeftAtASteadyRate) {
  for (std::uint64_t bytes = 0; bytes <= 300'000; bytes += 1'000) see(bytes);
  ASSERT_TRUE(watch_.time_left());
  EXPECT_NEAR(std::chrono::duration<double>(*watch_.time_left()).count(), 700, 1);
}

TEST_F(FillWatchTest, FollowsAChangeOfTheRateWithoutJumping) {
  for (std::uint64_t bytes = 0; bytes <= 300'000; bytes += 1'000) see(bytes);
  see(300'000 + 20'000);  // a burst
  EXPECT_GT(*watch_.time_left(), 400s);
  std::uint64_t bytes = 320'000;
  for (int i = 0; i < 300; ++i) see(bytes += 100);
  const double left = std::chrono::duration<double>(*watch_.time_left()).count();
  EXPECT_NEAR(left, 650'000 / 100.0, 800) << "five minutes later it is the new rate";
}

TEST_F(FillWatchTest, TellsNoTimeWhileTheRingDoesNotFill) {
  EXPECT_FALSE(watch_.time_left());
  for (std::uint64_t bytes = 300'000; bytes > 0; bytes -= 1'000) see(bytes);
  EXPECT_FALSE(watch_.time_left());
}

TEST_F(FillWatchTest, TellsNoTimeOfBatchesThatWaitForTheirAnswer) {
  std::mt19937 chance(7);
  for (const std::uint64_t least : {0U, 60'000U}) {
    for (int i = 0; i < 3600; ++i) {
      see(least + chance() % 80'000);  // passed again and again
      ASSERT_FALSE(watch_.time_left()) << least << " " << i;
    }
  }
}

// Wherever in the minutes of the watch it begins.
TEST_F(FillWatchTest, TellsTheTimeWithinTwoMinutesOfAnOutageAndGoesOn) {
  for (int phase = 0; phase < 60; ++phase) {
    watch_ = FillWatch();
    for (int i = 0; i < 120 + phase; ++i) see(i % 3 == 0 ? 0 : 2'000);
    std::uint64_t bytes = 0;
    for (int i = 0; i < 400; ++i) {
      see(bytes += 1'000);
      const bool may_be_told = i >= 58;  // a burst of less is none yet
      ASSERT_TRUE(may_be_told || !watch_.time_left()) << phase << " " << i;
      ASSERT_TRUE(i < 120 || watch_.time_left()) << phase << " " << i;
    }
    for (int i = 0; i < 60; ++i) see(bytes -= 6'000);
    see(0);
    for (int i = 0; i < 300; ++i) {
      see(i % 3 == 0 ? 0 : 2'000);
      ASSERT_FALSE(watch_.time_left()) << "it is over " << phase << " " << i;
    }
  }
}

TEST_F(FillWatchTest, TellsTheTimeOfALinkThatIsTooSlow) {
  std::uint64_t bytes = 0;
  for (int i = 0; i < 300; ++i) see(bytes += i % 2 == 0 ? 1'500 : -1'000ULL);
  ASSERT_TRUE(watch_.time_left());
  EXPECT_NEAR(std::chrono::duration<double>(*watch_.time_left()).count(), (1e6 - 75'000) / 250, 400);
}

TEST_F(FillWatchTest, TellsTheTimeAtOnceWhereHalfOfTheRingWaits) {
  for (std::uint64_t bytes = 0; bytes < 500'000; bytes += 50'000) {
    see(bytes);
    ASSERT_FALSE(watch_.time_left()) << bytes;
  }
  see(500'000);
  ASSERT_TRUE(watch_.time_left());
  EXPECT_NEAR(std::chrono::duration<double>(*watch_.time_left()).count(), 10, 1);
}

TEST_F(FillWatchTest, TellsNoTimeLeftWhenFull) {
  see(1'200'000);
  EXPECT_EQ(watch_.time_left(), Duration::zero());
}

TEST(DropLedger, RecordsInIntervalsThatGrowToTenMinutes) {
  DropLedger ledger;
  BootTime now{};
  std::uint64_t next = 1;
  std::vector<std::uint64_t> records;
  for (int second = 0; second < 24 * 3600; ++second, now += 1s) {
    ledger.add({next, next + 10}, WallTime{}, now);
    next += 10;
    if (*ledger.due_at() > now) continue;
    ASSERT_EQ(ledger.unrecorded().size(), 1U) << "what comes together is one record";
    records.push_back(ledger.unrecorded()[0].range.count());
    ledger.set_recorded(records.size(), now);
  }
  EXPECT_EQ(records[0], 20U) << "the first after a second";
  EXPECT_LT(records.size(), 160U);
  EXPECT_GT(records.size(), 140U);
  EXPECT_EQ(ledger.total(), next - 1);
}

TEST(DropLedger, KeepsWhatIsRecordedUntilThatIsDurable) {
  DropLedger ledger;
  ledger.add({5, 9}, WallTime{}, BootTime{});
  ledger.close();
  EXPECT_EQ(ledger.due_at(), BootTime{}) << "at once";
  ledger.set_recorded(12, BootTime{});
  EXPECT_FALSE(ledger.due_at());
  ledger.set_durable(11);
  ASSERT_EQ(ledger.pending().size(), 1U);
  EXPECT_EQ(ledger.pending()[0].range, (SequenceRange{5, 9}));
  ledger.set_durable(12);
  EXPECT_TRUE(ledger.pending().empty());
}

class FillTest : public LogFixture {
 protected:
  FillTest() { options_.size_max_bytes[0] = kSegment * 8; }
  void run(int times) {
    for (int i = 0; i < times; ++i) {
      append({reading("d/filler", std::string(4000, 'x'))});
      clock_.advance(300ms);
      sync(false);
    }
  }
};

TEST_F(FillTest, ReachesOneWhenTheFirstRecordsAreLost) {
  open();
  double before = 0;
  while (log_->oldest(Stream::readings).sequence == 1) {
    before = log_->fill(Stream::readings).ratio();
    run(1);
  }
  EXPECT_GT(before, 0.95);
  EXPECT_LT(before, 1.05);
}

TEST_F(FillTest, CountsOnlyWhatIsNotPassed) {
  open();
  run(50);
  EXPECT_GT(log_->fill(Stream::readings).ratio(), 0.3);
  log_->set_passed(Stream::readings, log_->end(Stream::readings));
  EXPECT_EQ(log_->fill(Stream::readings).ratio(), 0);
  run(1);
  EXPECT_LT(log_->fill(Stream::readings).ratio(), 0.02);
}

TEST_F(FillTest, MeasuresHowLongWrittenRecordsAreNotDurable) {
  open();
  EXPECT_FALSE(log_->undurable_since());
  append_numbered(1);
  EXPECT_EQ(log_->undurable_since(), clock_.boot_now());
  clock_.advance(250ms);
  auto job = log_->next_job(clock_.boot_now(), false);
  ASSERT_TRUE(job);
  clock_.advance(100ms);
  append_numbered(1);
  const BootTime second = clock_.boot_now();
  clock_.advance(50ms);
  job->run();
  log_->finish(std::move(job));
  EXPECT_EQ(log_->counters().undurable_worst, 400ms) << "the first record became durable after that";
  EXPECT_EQ(log_->undurable_since(), second);
  sync();
  EXPECT_FALSE(log_->undurable_since());
  EXPECT_EQ(log_->counters().undurable_worst, 400ms);
}

TEST_F(FillTest, MeasuresThroughAFailedSync) {
  open();
  append_numbered(1);
  const BootTime written = clock_.boot_now();
  disk_.fail(testing::InMemoryFileSystem::Operation::sync, 0, 1, ErrorCode::retry, "log/readings");
  clock_.advance(250ms);
  auto job = log_->next_job(clock_.boot_now(), false);
  job->run();
  log_->finish(std::move(job));
  EXPECT_EQ(log_->undurable_since(), written) << "it was written anew, and is as old as before";
  clock_.advance(250ms);
  sync();
  EXPECT_EQ(log_->counters().undurable_worst, 500ms);
}

}  // namespace
}  // namespace tidegate::buffer
