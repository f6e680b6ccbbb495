// What becomes of readings when the ring is full of what not every uplink has passed.
#include <gmock/gmock.h>

#include "buffer/gap_record.h"
#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OverflowTest : public LogFixture {
 protected:
  OverflowTest() {
    options_.size_max_bytes[0] = kSegment * 8;
    options_.memory_bytes_max = 16 * 1024;
  }

  /// Numbered readings and a filler of half a kilobyte each; what append() says.
  Result<Position> offer(std::uint64_t count = 20) {
    std::vector<Reading> readings;
    const std::uint64_t first = log_->end(Stream::readings).sequence;
    for (std::uint64_t i = 0; i < count; ++i) readings.push_back(reading("d/number", first + i));
    readings.push_back(reading("d/filler", std::string(500, 'x')));
    return log_->append(readings, now(), {});
  }
  void pass_time(Duration by = std::chrono::milliseconds(300)) {
    clock_.advance(by);
    sync(false);
  }
  /// Offers until the ring is full, then `more` times; how many readings were offered behind the last that was kept.
  std::uint64_t overfill(int more) {
    while (log_->dropped() == 0) {
      EXPECT_TRUE(offer());
      pass_time();
    }
    for (int i = 1; i < more; ++i) {
      EXPECT_TRUE(offer());
      pass_time();
    }
    return static_cast<std::uint64_t>(more) * 21;
  }
  /// All gap records of readings, in order.
  std::vector<RecordedGap> gaps() {
    std::vector<RecordedGap> found;
    for (const auto& record : read_all(Stream::events).records) {
      const auto gap = parse_gap(record.document);
      if (gap && gap->stream == Stream::readings) found.push_back(*gap);
    }
    return found;
  }
  /// The gap records are these sequences, each once.
  void expect_gaps_cover(std::uint64_t first, std::uint64_t end) {
    for (const RecordedGap& gap : gaps()) {
      EXPECT_TRUE(gap.is_drop());
      EXPECT_EQ(gap.range.first, first) << "a hole between the gap records, or an overlap";
      first = gap.range.end;
    }
    EXPECT_EQ(first, end);
  }
  std::uint64_t end() const { return log_->end(Stream::readings).sequence; }
};

class DropNewestTest : public OverflowTest {
 protected:
  DropNewestTest() { options_.when_full = WhenFull::drop_newest; }
};

TEST_F(DropNewestTest, DropsWithASequenceAndRecordsExactlyWhich) {
  open();
  const std::uint64_t count = overfill(100);
  const std::uint64_t kept = end() - count;
  EXPECT_EQ(log_->dropped(), count);
  EXPECT_EQ(log_->oldest(Stream::readings).sequence, 1U) << "what nobody has passed stays";
  EXPECT_EQ(log_->stored(Stream::readings), kept - 1);
  EXPECT_TRUE(log_->fill(Stream::readings).is_full);
  sync();
  expect_gaps_cover(kept, end());
  EXPECT_THAT(read_all(Stream::events).records[0].document, HasSubstr(R"("reason":"drop-newest")"));
  EXPECT_LT(gaps().size(), 10U) << "a flood of readings is no flood of events";
  EXPECT_LE(log_->bytes(Stream::readings), options_.size_max_bytes[0]);
}

TEST_F(DropNewestTest, TellsAConsumerWhatIsGone) {
  open();
  const std::uint64_t count = overfill(10);
  const ReadBack seen = read_all();
  ASSERT_EQ(seen.gone.size(), 1U);
  EXPECT_EQ(seen.gone[0].second, count);
  EXPECT_EQ(seen.records.size(), end() - 1 - count);
  EXPECT_EQ(log_->distance(Stream::readings, {1, 1}, log_->end(Stream::readings)), end() - 1 - count);
  const auto missing = log_->missing(Stream::readings, {1, 1}, log_->end(Stream::readings));
  ASSERT_EQ(missing.size(), 1U);
  EXPECT_EQ(missing[0].lost, count);
  EXPECT_EQ(missing[0].reason, "drop-newest");
}

TEST_F(DropNewestTest, KeepsAgainWhenTheOldestSegmentIsPassed) {
  open();
  const std::uint64_t count = overfill(10);
  const std::uint64_t behind = end();
  log_->set_passed(Stream::readings, {1, 500});
  ASSERT_TRUE(offer());
  pass_time();
  EXPECT_EQ(log_->dropped(), count);
  EXPECT_FALSE(log_->fill(Stream::readings).is_full);
  expect_gaps_cover(behind - count, behind);
  const ReadBack seen = read_all();
  ASSERT_EQ(seen.gone.size(), 2U) << "the evicted ones, which were passed, and the dropped ones";
  EXPECT_EQ(seen.gone[1].second, count);
  EXPECT_EQ(seen.records.back().at.sequence, end() - 1);
}

TEST_F(DropNewestTest, CountsWhatIsDroppedAsDurableOnceAllBeforeItIs) {
  open();
  overfill(1);
  sync();
  EXPECT_EQ(log_->durable(Stream::readings), log_->end(Stream::readings));
  // A sync is under way while more is dropped.
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(offer());
  EXPECT_EQ(log_->durable(Stream::readings), log_->end(Stream::readings));
  EXPECT_FALSE(log_->undurable_since());
}

TEST_F(DropNewestTest, RemembersTheDroppedThroughACleanStop) {
  open();
  const std::uint64_t count = overfill(50);
  const std::uint64_t behind = end();
  close();
  open();
  EXPECT_TRUE(log_->recovery().clean);
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
  EXPECT_EQ(end(), behind);
  ASSERT_TRUE(offer());
  sync();
  expect_gaps_cover(behind - count, end());
}

TEST_F(DropNewestTest, RemembersTheDroppedThroughAKill) {
  open();
  overfill(50);
  save();  // what the daemon does every second
  const std::uint64_t behind = end();
  const std::uint64_t kept = behind - log_->dropped();
  EXPECT_FALSE(known_.dropped.empty());
  kill_and_reopen();
  EXPECT_EQ(end(), behind) << "sequences of dropped readings are not given out again";
  EXPECT_EQ(log_->recovery().epoch, 2U);
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
  sync();
  expect_gaps_cover(kept, behind);
  std::uint64_t gone = 0;
  for (const auto& [next, lost] : read_all().gone) gone += lost;
  EXPECT_EQ(gone, behind - kept);
  kill_and_reopen();
  sync();
  expect_gaps_cover(kept, behind);
}

TEST_F(DropNewestTest, BelievesAGapRecordThatIsNewerThanTheDatabase) {
  open();
  overfill(1);
  save();
  const std::uint64_t kept = end() - log_->dropped();
  overfill(100);
  sync();
  const std::uint64_t behind = end();
  kill_and_reopen();
  EXPECT_EQ(end(), behind);
  sync();
  expect_gaps_cover(kept, behind);
  known_ = {};
  kill_and_reopen();
  EXPECT_EQ(end(), behind) << "without any database";
  sync();
  expect_gaps_cover(kept, behind);
}

TEST_F(DropNewestTest, RemembersTheDroppedUntilTheirRecordIsDurable) {
  open();
  overfill(1);
  const std::uint64_t kept = end() - log_->dropped();
  overfill(100);
  save();
  const std::uint64_t behind = end();
  kill_and_reopen();  // the gap records are written
  EXPECT_FALSE(known_.dropped.empty());
  disk_.lose_unsynced();  // and gone
  kill_and_reopen();
  EXPECT_EQ(end(), behind);
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
  sync();
  expect_gaps_cover(kept, behind);
}

TEST_F(DropNewestTest, SaysOnceWhatAPowerCutTookBeforeTheDropped) {
  open();
  overfill(1);
  sync();
  log_->set_passed(Stream::readings, {1, 500});
  const std::uint64_t first = end();
  while (end() == first) ASSERT_TRUE(offer());
  log_->set_passed(Stream::readings, {1, 1});
  overfill(3);
  save();
  disk_.lose_unsynced();
  kill_and_reopen();
  const std::uint64_t behind = end();
  sync();
  kill_and_reopen();
  EXPECT_EQ(end(), behind);
  EXPECT_THAT(log_->recovery().findings, IsEmpty()) << "nothing new is gone";
}

TEST_F(DropNewestTest, LosesNoCountInAPowerCut) {
  open();
  overfill(30);
  sync();
  save();
  const std::uint64_t kept = end() - log_->dropped();
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(offer());
  save();
  const std::uint64_t behind = end();
  disk_.lose_unsynced();
  kill_and_reopen();
  EXPECT_EQ(end(), behind);
  sync();
  expect_gaps_cover(kept, behind);
}

TEST_F(DropNewestTest, TakesAHoleInTheMiddleForNoDamage) {
  open();
  const std::uint64_t count = overfill(10);
  const std::uint64_t behind = end();
  log_->set_passed(Stream::readings, {1, 500});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(offer());
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
  EXPECT_THAT(disk_.list("data/log/quarantine").value_or(std::vector<std::string>{}), IsEmpty());
  sync();
  expect_gaps_cover(behind - count, behind);
}

TEST_F(DropNewestTest, TakesAHoleBetweenTwoFramesOfOneSegmentForWhatItIs) {
  open();
  while (log_->fill(Stream::readings).ratio() < 0.94) {
    append_numbered(1);
    clock_.advance(std::chrono::milliseconds(300));
    sync(false);
  }
  // At one moment: a frame, many readings that do not fit any more, and a frame that still fits.
  append_numbered(1);
  const std::uint64_t first = end();
  ASSERT_TRUE(log_->append(std::vector<Reading>(40, reading("d/filler", std::string(1000, 'x'))), now(), {}));
  ASSERT_EQ(log_->dropped(), 40U);
  log_->set_passed(Stream::readings, {1, first - 50});
  sync();  // so that the frames do not adjoin
  append_numbered(1);
  ASSERT_EQ(end(), first + 41);
  for (const ReadBack& seen :
       {read_all(Stream::readings, {1, first - 50}), read_disk(Stream::readings, {1, first - 50})}) {
    ASSERT_EQ(seen.gone.size(), 1U);
    EXPECT_EQ(seen.gone[0].second, 40U);
    EXPECT_EQ(numbers(seen).back(), first + 40);
  }
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
  EXPECT_THAT(disk_.paths(), ::testing::Each(::testing::Not(HasSubstr("quarantine"))));
  EXPECT_EQ(numbers(read_disk(Stream::readings, {1, first - 50})).back(), first + 40);
  sync();
  expect_gaps_cover(first, first + 40);
}

TEST_F(DropNewestTest, RefusesWhatItCannotTakeForAnotherReason) {
  open();
  overfill(1);
  const std::uint64_t dropped = log_->dropped();
  log_->set_passed(Stream::readings, log_->end(Stream::readings));
  disk_.fail(testing::InMemoryFileSystem::Operation::write, 0, 1'000'000, ErrorCode::retry, "log/readings");
  EXPECT_FALSE(offer()) << "there is room, the disk fails: nothing is to be acknowledged";
  EXPECT_EQ(log_->dropped(), dropped);
}

TEST_F(DropNewestTest, LetsGoOfADroppedRangeOnlyWhenItsRecordIsDurable) {
  open();
  overfill(5);
  disk_.fail(testing::InMemoryFileSystem::Operation::sync, 0, 1'000'000, ErrorCode::retry, "log/events");
  for (int i = 0; i < 20; ++i) pass_time();
  EXPECT_FALSE(log_->state().dropped.empty());
  disk_.fail_never();
  for (int i = 0; i < 20; ++i) pass_time();
  EXPECT_THAT(log_->state().dropped, IsEmpty());
}

class BlockTest : public OverflowTest {
 protected:
  BlockTest() { options_.when_full = WhenFull::block; }
};

TEST_F(BlockTest, RefusesAndTakesAgainByItself) {
  open();
  while (offer()) pass_time();
  const std::uint64_t behind = end();
  for (int i = 0; i < 100; ++i) {
    const auto refused = offer();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::full);
    EXPECT_THAT(refused.error().message, HasSubstr("not every uplink has passed"));
    pass_time();
  }
  EXPECT_EQ(end(), behind);
  EXPECT_TRUE(log_->fill(Stream::readings).is_full);
  EXPECT_EQ(log_->oldest(Stream::readings).sequence, 1U);
  EXPECT_EQ(read_all().records.size(), behind - 1);
  log_->set_passed(Stream::readings, {1, 500});
  EXPECT_TRUE(offer());
  EXPECT_FALSE(log_->fill(Stream::readings).is_full);
  EXPECT_THAT(gaps(), IsEmpty()) << "nothing is lost";
  EXPECT_EQ(log_->dropped(), 0U);
}

TEST_F(BlockTest, LeavesNothingHalfWritten) {
  open();
  while (offer()) pass_time();
  sync();
  // What would need more segments than there are, in one call.
  std::vector<Reading> many(400, reading("d/filler", std::string(1000, 'y')));
  const auto files = segment_files();
  for (int i = 0; i < 3; ++i) ASSERT_FALSE(log_->append(many, now(), {}));
  log_->set_passed(Stream::readings, {1, 500});
  const std::uint64_t behind = end();
  for (int i = 0; i < 3; ++i) {
    ASSERT_FALSE(log_->append(many, now(), {}));
    EXPECT_EQ(end(), behind);
    sync();
  }
  EXPECT_TRUE(offer());
  const ReadBack seen = read_all();
  EXPECT_EQ(seen.gone.size(), 1U) << "the evicted ones";
  for (const auto& record : seen.records) EXPECT_LT(record.at.sequence, end());
}

TEST_F(BlockTest, NeverRefusesAlarmsAndEvents) {
  open();
  while (offer()) pass_time();
  for (int i = 0; i < 3000; ++i) {
    append_document(Stream::alarms, "{\"alarm\":\"a\",\"text\":\"" + std::string(400, 'x') + "\"}");
    pass_time();
  }
  EXPECT_GT(log_->oldest(Stream::alarms).sequence, 1U) << "the oldest alarms made room";
}

// A day with an uplink that comes for minutes now and then; every record is accounted for.
class OverflowDayTest : public OverflowTest, public ::testing::WithParamInterface<WhenFull> {
 protected:
  /// Reads on as an uplink does, and has it passed durably.
  void drain() {
    std::unique_ptr<DiskReader> reader;
    for (;;) {
      ReadOutcome outcome = log_->read(Stream::readings, at_);
      if (outcome.status == ReadStatus::on_disk) {
        if (!reader) reader = log_->disk_reader(Stream::readings);
        outcome = reader->read(at_).value();
      }
      if (outcome.status == ReadStatus::at_end) break;
      if (outcome.status == ReadStatus::gone) {
        gone_ += outcome.lost;
      } else {
        delivered_ += outcome.batch->size();
      }
      at_ = outcome.next;
    }
    log_->set_passed(Stream::readings, at_);
  }
  void take_gap_records() {
    for (const auto& record : read_all(Stream::events, events_at_).records) {
      events_at_ = {record.at.epoch, record.at.sequence + 1};
      const auto gap = parse_gap(record.document);
      if (gap && gap->stream == Stream::readings) recorded_ += gap->range.count();
    }
  }
  Position at_{1, 1};
  Position events_at_{1, 1};
  std::uint64_t delivered_ = 0;
  std::uint64_t gone_ = 0;
  std::uint64_t recorded_ = 0;
  std::uint64_t refused_ = 0;
};

TEST_P(OverflowDayTest, AccountsForEveryReadingAndKeepsAllAlarms) {
  options_.when_full = GetParam();
  open();
  constexpr int kSteps = 24 * 360;  // of 10 s
  std::uint64_t offered = 0;
  std::uint64_t alarms = 0;
  for (int step = 0; step < kSteps; ++step) {
    const auto first = offer(40);
    offered += 41;
    if (!first) refused_ += 41;
    if (step % 100 == 0) {
      append_document(Stream::alarms, R"({"alarm":"hot","state":"raised"})");
      ++alarms;
    }
    pass_time(std::chrono::seconds(10));
    const bool uplink_is_there = step % 2'160 > 2'130;  // five minutes in six hours
    if (uplink_is_there) drain();
    if (step % 500 == 0) {
      take_gap_records();
      save();
    }
  }
  pass_time(std::chrono::minutes(11));
  drain();
  sync();
  take_gap_records();
  EXPECT_EQ(end() - 1, offered - refused_);
  EXPECT_EQ(delivered_ + gone_, end() - 1);
  EXPECT_EQ(recorded_, gone_) << "each lost record is recorded, once";
  EXPECT_EQ(read_all(Stream::alarms).records.size(), alarms);
  EXPECT_EQ(log_->oldest(Stream::alarms).sequence, 1U);
  const bool drops = GetParam() == WhenFull::drop_newest;
  EXPECT_EQ(log_->dropped(), drops ? gone_ : 0);
  if (GetParam() == WhenFull::block) {
    EXPECT_EQ(gone_, 0U);
    EXPECT_GT(refused_, offered / 2);
  } else {
    EXPECT_GT(gone_, offered / 2);
    EXPECT_EQ(refused_, 0U);
  }
  std::printf("offered %llu, delivered %llu, gone %llu, refused %llu, events %llu\n",
              static_cast<unsigned long long>(offered), static_cast<unsigned long long>(delivered_),
              static_cast<unsigned long long>(gone_), static_cast<unsigned long long>(refused_),
              static_cast<unsigned long long>(log_->end(Stream::events).sequence - 1));
}

std::string name_of(const ::testing::TestParamInfo<WhenFull>& policy) {
  switch (policy.param) {
    case WhenFull::drop_oldest:
      return "DropOldest";
    case WhenFull::drop_newest:
      return "DropNewest";
    case WhenFull::block:
      return "Block";
  }
  return "";
}

INSTANTIATE_TEST_SUITE_P(EachPolicy, OverflowDayTest,
                         ::testing::Values(WhenFull::drop_oldest, WhenFull::drop_newest, WhenFull::block), name_of);

}  // namespace
}  // namespace tidegate::buffer
