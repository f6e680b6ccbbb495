#include "buffer/age_retention.h"

#include <gmock/gmock.h>

#include "buffer/gap_record.h"
#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
constexpr Duration kDay = 24h;

class AgeRetentionTest : public ::testing::Test {
 protected:
  FrameTimes now() const { return {clock_.wall_now(), clock_.boot_now(), clock_.quality()}; }
  /// Asks each minute for as long.
  std::optional<WallTime> ask_for(Duration time) {
    std::optional<WallTime> limit;
    for (Duration passed{}; passed < time; passed += 1min) {
      clock_.advance(1min);
      limit = age_.limit(now());
    }
    return limit;
  }
  testing::ManualClock clock_;
  AgeRetention age_{30 * kDay, WallTime(1'760'000'000s)};
};

TEST_F(AgeRetentionTest, IsTheAgeBeforeNow) { EXPECT_EQ(age_.limit(now()), clock_.wall_now() - 30 * kDay); }

TEST_F(AgeRetentionTest, RestsWhileTheClockIsNotSynced) {
  for (const ClockQuality quality : {ClockQuality::unsynced, ClockQuality::estimated}) {
    clock_.set_quality(quality);
    EXPECT_EQ(ask_for(60min), std::nullopt);
  }
  clock_.set_quality(ClockQuality::synced);
  EXPECT_NE(ask_for(1min), std::nullopt);
}

TEST_F(AgeRetentionTest, NeedsNoAskingWithoutAnAge) {
  EXPECT_EQ(AgeRetention(std::nullopt, std::nullopt).next_check(), std::nullopt);
}

TEST_F(AgeRetentionTest, TakesAJumpOfADayAfterTwoConfirmations) {
  age_.limit(now());
  clock_.step_wall(100 * kDay);
  EXPECT_EQ(ask_for(20min), std::nullopt) << "seen, and confirmed once";
  EXPECT_NE(ask_for(2min), std::nullopt);
  EXPECT_NE(ask_for(1min), std::nullopt) << "and from then on";
}

TEST_F(AgeRetentionTest, TakesNoConfirmationFromAnotherTimeOrAnUnsyncedClock) {
  age_.limit(now());
  clock_.step_wall(100 * kDay);
  EXPECT_EQ(ask_for(15min), std::nullopt);
  clock_.step_wall(2 * kDay);
  EXPECT_EQ(ask_for(20min), std::nullopt);
  clock_.set_quality(ClockQuality::unsynced);
  ask_for(1min);
  clock_.set_quality(ClockQuality::synced);
  EXPECT_EQ(ask_for(20min), std::nullopt);
}

TEST_F(AgeRetentionTest, ForgetsAJumpThatWasTakenBack) {
  age_.limit(now());
  clock_.step_wall(3650 * kDay);
  EXPECT_EQ(ask_for(15min), std::nullopt);
  clock_.step_wall(-3650 * kDay);
  EXPECT_NE(ask_for(1min), std::nullopt);
}

TEST_F(AgeRetentionTest, MeasuresTheFirstTimeOfABootByTheNewestRecord) {
  clock_.step_wall(2 * kDay);
  EXPECT_EQ(ask_for(20min), std::nullopt);
  EXPECT_NE(ask_for(2min), std::nullopt);
}

TEST_F(AgeRetentionTest, LetsShortStepsPass) {
  age_.limit(now());
  clock_.step_wall(23h);
  EXPECT_NE(ask_for(1min), std::nullopt);
  clock_.step_wall(-10 * kDay);
  EXPECT_NE(ask_for(1min), std::nullopt);
}

class MaxAgeTest : public LogFixture {
 protected:
  MaxAgeTest() {
    options_.max_age = 2h;
    options_.memory_bytes_max = 16 * 1024;
  }
  void run(Duration time, Duration step = 1min) {
    for (Duration passed{}; passed < time; passed += step) {
      std::vector<Reading> readings{reading("d/filler", std::string(4000, 'x'))};
      append(readings);
      clock_.advance(step);
      sync(false);
    }
  }
  WallTime oldest_wall() { return read_all().records.front().reading.time; }
  std::vector<std::string> gap_documents() {
    std::vector<std::string> found;
    for (const auto& record : read_all(Stream::events).records) {
      if (parse_gap(record.document)) found.push_back(record.document);
    }
    return found;
  }
};

TEST_F(MaxAgeTest, GivesUpWholeSegmentsThatAreTooOldAndRecordsIt) {
  open();
  run(6h);
  const Duration age = clock_.wall_now() - oldest_wall();
  EXPECT_GE(age, 2h);
  EXPECT_LT(age, 2h + 35min) << "a segment more at the most";
  ASSERT_FALSE(gap_documents().empty());
  EXPECT_THAT(gap_documents()[0], HasSubstr(R"("reason":"age")"));
  std::uint64_t next = 1;
  for (const std::string& document : gap_documents()) {
    EXPECT_EQ(parse_gap(document)->range.first, next);
    next = parse_gap(document)->range.end;
  }
  EXPECT_EQ(next, log_->oldest(Stream::readings).sequence);
}

TEST_F(MaxAgeTest, RecordsNothingOfWhatWasPassed) {
  open();
  for (int i = 0; i < 12; ++i) {
    log_->set_passed(Stream::readings, log_->end(Stream::readings));
    run(30min);
  }
  EXPECT_GT(log_->oldest(Stream::readings).sequence, 1U);
  EXPECT_THAT(gap_documents(), IsEmpty());
}

TEST_F(MaxAgeTest, DoesNotJudgeRecordsOfAnUnsetClockByTheirOwnTime) {
  clock_.set_quality(ClockQuality::unsynced);
  clock_.step_wall(-50 * 365 * kDay);
  open();
  run(90min);
  clock_.step_wall(50 * 365 * kDay);
  clock_.set_quality(ClockQuality::synced);
  run(29min);
  EXPECT_EQ(log_->oldest(Stream::readings).sequence, 1U) << "they look as if they were of 1975, and are two hours old";
  run(3h);
  EXPECT_GT(log_->oldest(Stream::readings).sequence, 90U);
}

TEST_F(MaxAgeTest, TakesNothingAwayBecauseATimeServerIsWrong) {
  open();
  run(60min);
  clock_.step_wall(3650 * kDay);
  run(58min);
  EXPECT_EQ(log_->oldest(Stream::readings).sequence, 1U)
      << "the step was confirmed long ago, and is wrong all the same";
  clock_.step_wall(-3650 * kDay);
  run(30min);
  EXPECT_GT(log_->oldest(Stream::readings).sequence, 1U);
  EXPECT_LE(log_->oldest(Stream::readings).sequence, 30U);
}

TEST_F(MaxAgeTest, RestsThroughAStartIn1970) {
  open();
  run(60min);
  close();
  const WallTime right = clock_.wall_now();
  clock_.boot(10s, WallTime(10s));
  clock_.set_quality(ClockQuality::unsynced);
  open();
  EXPECT_EQ(log_->recovery().newest, right - 1min);
  run(10h, 30min);
  EXPECT_EQ(log_->oldest(Stream::readings).sequence, 1U);
  clock_.set_quality(ClockQuality::synced);
  clock_.step_wall(right.time_since_epoch());
  run(30min);
  EXPECT_GT(log_->oldest(Stream::readings).sequence, 1U) << "what the first boot wrote is ten hours old";
  EXPECT_LE(log_->oldest(Stream::readings).sequence, 61U);
}

TEST_F(MaxAgeTest, KnowsAgesAfterARestartToo) {
  open();
  run(90min);
  close();
  clock_.advance(60min);
  open();
  EXPECT_EQ(log_->oldest(Stream::readings).sequence, 1U);
  run(3min);
  EXPECT_GT(log_->oldest(Stream::readings).sequence, 1U);
}

TEST_F(MaxAgeTest, WorksBesideAPolicyThatKeepsWhatIsNotPassed) {
  options_.when_full = WhenFull::block;
  options_.size_max_bytes[0] = kSegment * 8;
  open();
  while (log_->append(std::vector{reading("d/filler", std::string(4000, 'x'))}, now(), {})) {
    clock_.advance(1min);
    sync(false);
  }
  EXPECT_TRUE(log_->fill(Stream::readings).is_full);
  clock_.advance(2h);
  sync(false);
  EXPECT_TRUE(log_->append(std::vector{reading("d/filler", std::string(4000, 'x'))}, now(), {}));
}

TEST_F(MaxAgeTest, LeavesAlarmsAndEventsAlone) {
  open();
  append_document(Stream::alarms, R"({"alarm":"a"})");
  for (int i = 0; i < 40; ++i) {
    append_document(Stream::events, "{\"event\":\"" + std::string(4000, 'x') + "\"}");
    sync();
  }
  run(6h);
  EXPECT_EQ(log_->oldest(Stream::alarms).sequence, 1U);
  EXPECT_EQ(log_->oldest(Stream::events).sequence, 1U);
}

}  // namespace
}  // namespace tidegate::buffer
