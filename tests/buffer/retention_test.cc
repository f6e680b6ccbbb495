#include <gmock/gmock.h>

#include <numeric>

#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RetentionTest : public LogFixture {
 protected:
  RetentionTest() {
    options_.size_max_bytes[0] = kSegment * 8;
    options_.memory_bytes_max = 16 * 1024;
  }

  /// Appends numbered readings with a text that fills, until the oldest record is `sequence` or later.
  void fill_until_oldest_is(std::uint64_t sequence) {
    for (int i = 0; i < 100'000 && log_->oldest(Stream::readings).sequence < sequence; ++i) {
      std::vector<Reading> readings;
      for (int k = 0; k < 20; ++k) {
        readings.push_back(reading("d/number", log_->end(Stream::readings).sequence + static_cast<std::uint64_t>(k)));
      }
      readings.push_back(reading("d/filler", std::string(500, 'x')));
      append(readings);
      clock_.advance(std::chrono::milliseconds(300));
      sync(false);
    }
  }
  struct Gap {
    std::uint64_t epoch = 0, first = 0, last = 0, count = 0;
  };
  std::vector<Gap> gaps(Stream stream = Stream::readings) {
    std::vector<Gap> found;
    for (const auto& record : read_all(Stream::events).records) {
      if (record.document.find(std::string("\"stream\":\"") + to_string(stream)) == std::string::npos) continue;
      const auto number = [&](const std::string& key) {
        const auto at = record.document.find("\"" + key + "\":");
        return at == std::string::npos ? 0 : std::stoull(record.document.substr(at + key.size() + 3));
      };
      found.push_back({number("epoch"), number("first"), number("last"), number("count")});
    }
    return found;
  }
};

TEST_F(RetentionTest, RecordsEveryEvictedRecordOfAStreamThatNobodyReads) {
  open();
  fill_until_oldest_is(5000);
  sync();
  const std::uint64_t oldest = log_->oldest(Stream::readings).sequence;
  std::uint64_t next = 1;
  for (const Gap& gap : gaps()) {
    EXPECT_EQ(gap.epoch, 1U);
    EXPECT_EQ(gap.first, next);
    EXPECT_EQ(gap.count, gap.last - gap.first + 1);
    next = gap.last + 1;
  }
  EXPECT_EQ(next, oldest);
  EXPECT_THAT(read_all(Stream::events).records[0].document, HasSubstr(R"("reason":"overflow")"));
  EXPECT_LE(log_->bytes(Stream::readings), options_.size_max_bytes[0]);
  EXPECT_EQ(log_->stored(Stream::readings), log_->end(Stream::readings).sequence - oldest);
}

TEST_F(RetentionTest, SaysAtOnceWhatAConsumerIsGoingToFindGone) {
  open();
  fill_until_oldest_is(5000);
  const std::uint64_t oldest = log_->oldest(Stream::readings).sequence;
  const Position end = log_->end(Stream::readings);
  const auto all = log_->missing(Stream::readings, {1, 1}, end);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].lost, oldest - 1);
  EXPECT_EQ(all[0].next, (Position{1, oldest}));
  EXPECT_EQ(all[0].reason, "overflow");
  EXPECT_EQ(log_->missing(Stream::readings, {1, 3000}, {1, 3100}).at(0).lost, 100U);
  EXPECT_THAT(log_->missing(Stream::readings, {1, oldest}, end), IsEmpty());
  EXPECT_EQ(log_->evicted(Stream::readings).overflow, oldest - 1);
  log_->set_passed(Stream::readings, end);
  fill_until_oldest_is(end.sequence);
  EXPECT_EQ(log_->evicted(Stream::readings).overflow,
            oldest - 1 + log_->oldest(Stream::readings).sequence - end.sequence)
      << "what was passed is no loss";
  EXPECT_EQ(log_->evicted(Stream::readings).age, 0U);
}

TEST_F(RetentionTest, RecordsNothingOfWhatEveryUplinkHasPassed) {
  open();
  for (int i = 0; i < 1000; ++i) {
    append_numbered(10);
    log_->set_passed(Stream::readings, log_->end(Stream::readings));
    clock_.advance(std::chrono::milliseconds(300));
    sync(false);
  }
  sync();
  EXPECT_GT(log_->oldest(Stream::readings).sequence, 1U);
  EXPECT_THAT(gaps(), IsEmpty());
}

TEST_F(RetentionTest, RecordsTheRestOfASegmentThatWasPassedInPart) {
  open();
  append_numbered(10);
  log_->set_passed(Stream::readings, {1, 5});
  fill_until_oldest_is(10);
  ASSERT_FALSE(gaps().empty());
  EXPECT_EQ(gaps()[0].first, 5U);
}

TEST_F(RetentionTest, RecordsOneGapForEachEpoch) {
  open();
  append_numbered(10);
  kill_and_reopen();
  append_numbered(10);
  fill_until_oldest_is(30);
  const auto found = gaps();
  ASSERT_GE(found.size(), 2U);
  EXPECT_EQ(found[0].epoch, 1U);
  EXPECT_EQ(found[0].first, 1U);
  EXPECT_EQ(found[0].last, 10U);
  EXPECT_EQ(found[1].epoch, 2U);
  EXPECT_EQ(found[1].first, 11U);
}

TEST_F(RetentionTest, TellsAConsumerHowMuchIsGone) {
  open();
  fill_until_oldest_is(2000);
  const Position oldest = log_->oldest(Stream::readings);
  const ReadOutcome outcome = log_->read(Stream::readings, {1, 500});
  EXPECT_EQ(outcome.status, ReadStatus::gone);
  EXPECT_EQ(outcome.next, oldest);
  EXPECT_EQ(outcome.lost, oldest.sequence - 500);
}

TEST_F(RetentionTest, KeepsTheFileUntilTheGapIsDurable) {
  open();
  const std::string oldest = "data/log/readings/00000000000000000001.seg";
  for (int i = 0; i < 2000 && gaps().empty(); ++i) {
    append({reading("d/filler", std::string(1000, 'x'))});
    if (i % 10 != 9) continue;
    if (auto job = log_->next_job(clock_.boot_now(), true)) {
      job->run();
      log_->finish(std::move(job));
    }
  }
  ASSERT_FALSE(gaps().empty());
  EXPECT_THAT(segment_files(), ::testing::Contains(oldest)) << "the gap record is not durable yet";
  EXPECT_EQ(log_->read(Stream::readings, {1, 1}).status, ReadStatus::gone);
  const auto reserve = disk_.content(oldest);
  disk_.lose_unsynced();
  kill_and_reopen();
  EXPECT_THAT(gaps(), IsEmpty());
  EXPECT_EQ(log_->oldest(Stream::readings).sequence, 1U) << "neither the gap nor the records are lost";
  EXPECT_EQ(disk_.content(oldest), reserve);
}

TEST_F(RetentionTest, KeepsTheFileWhenTheGapCannotBeSynced) {
  open();
  const std::string oldest = "data/log/readings/00000000000000000001.seg";
  disk_.fail(testing::InMemoryFileSystem::Operation::sync, 0, 1'000'000, ErrorCode::retry, "log/events");
  fill_until_oldest_is(1000);
  clock_.advance(std::chrono::seconds(2));
  sync();
  EXPECT_THAT(segment_files(), ::testing::Contains(oldest));
  disk_.fail_never();
  clock_.advance(std::chrono::seconds(2));
  sync();
  EXPECT_THAT(segment_files(), ::testing::Not(::testing::Contains(oldest)));
  EXPECT_FALSE(gaps().empty());
}

TEST_F(RetentionTest, GivesUpOnlyDurableRecords) {
  options_.memory_bytes_max = 64 << 20;
  open();
  for (int i = 0; i < 1500; ++i) append({reading("d/filler", std::string(1000, 'x'))});
  EXPECT_EQ(log_->oldest(Stream::readings).sequence, 1U);
  EXPECT_EQ(log_->durable(Stream::readings).sequence, 1U);
  sync();
  EXPECT_GT(log_->oldest(Stream::readings).sequence, 1U);
  EXPECT_EQ(log_->durable(Stream::readings), log_->end(Stream::readings));
}

TEST_F(RetentionTest, RecordsAGapOnceThoughAKillBringsTheSegmentBack) {
  open();
  // The gap is recorded and durable, the old file stays.
  for (const auto operation :
       {testing::InMemoryFileSystem::Operation::rename, testing::InMemoryFileSystem::Operation::remove}) {
    disk_.fail(operation, 0, 1'000'000, ErrorCode::retry, "log/readings");
  }
  fill_until_oldest_is(1000);
  sync();
  disk_.fail_never();
  kill_and_reopen();
  ASSERT_EQ(log_->oldest(Stream::readings).sequence, 1U);
  fill_until_oldest_is(4000);
  sync();
  std::uint64_t next = 1;
  for (const Gap& gap : gaps()) {
    EXPECT_EQ(gap.first, next);
    next = gap.last + 1;
  }
  EXPECT_EQ(next, log_->oldest(Stream::readings).sequence);
}

TEST_F(RetentionTest, UsesOldFilesAgainAndNeverReadsTheirContentAsNew) {
  open();
  fill_until_oldest_is(20'000);
  const auto files = segment_files();
  EXPECT_LE(files.size(), 9U);
  const std::uint64_t oldest = log_->oldest(Stream::readings).sequence;
  const std::uint64_t end = log_->end(Stream::readings).sequence;
  const ReadBack before = read_disk();
  ASSERT_EQ(before.records.front().at.sequence, oldest);
  ASSERT_EQ(before.records.size(), end - oldest);
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
  EXPECT_EQ(log_->end(Stream::readings).sequence, end);
  const ReadBack after = read_all();
  ASSERT_EQ(after.records.size(), before.records.size());
  for (std::size_t i = 0; i < after.records.size(); ++i) {
    ASSERT_EQ(after.records[i].at, before.records[i].at);
    ASSERT_EQ(after.records[i].reading.value, before.records[i].reading.value);
  }
}

TEST_F(RetentionTest, RecycledContentIsNoFrameEvenWhereOneWouldFit) {
  open();
  fill_until_oldest_is(20'000);
  known_ = {};  // no durable mark to help
  log_.reset();
  // Makes the newest segment begin anew: its first frames are gone, behind them lies what the file held before.
  const std::string newest = segment_files().back();
  auto content = disk_.content(newest);
  std::fill(content.begin() + 4096, content.begin() + 8192, std::byte{0});
  disk_.set_content(newest, content);
  open();
  const ReadBack seen = read_all();
  for (std::size_t i = 1; i < seen.records.size(); ++i) {
    ASSERT_GT(seen.records[i].at, seen.records[i - 1].at);
  }
}

TEST_F(RetentionTest, AReaderOfARecycledSegmentSeesItGone) {
  open();
  fill_until_oldest_is(2);
  sync();
  const auto reader = log_->disk_reader(Stream::readings);
  const Position begin = log_->oldest(Stream::readings);
  auto outcome = reader->read(begin);
  ASSERT_TRUE(outcome);
  ASSERT_EQ(outcome->status, ReadStatus::ready);
  fill_until_oldest_is(begin.sequence + 15'000);
  sync();
  Position at = outcome->next;
  std::uint64_t read = 0;
  std::uint64_t lost = 0;
  for (;;) {
    outcome = reader->read(at);
    ASSERT_TRUE(outcome);
    if (outcome->status == ReadStatus::at_end) break;
    if (outcome->batch) read += outcome->batch->size();
    lost += outcome->lost;
    ASSERT_GT(outcome->next, at);
    at = outcome->next;
  }
  EXPECT_GT(lost, 0U);
  EXPECT_LT(at.sequence, log_->end(Stream::readings).sequence);
  sync();
  for (const auto& record : read_all(Stream::events).records) EXPECT_THAT(record.document, HasSubstr("overflow"));
}

TEST_F(RetentionTest, EvictsEventsThemselvesAndRecordsThatToo) {
  open();
  for (int i = 0; i < 3000; ++i) {
    append_document(Stream::events, "{\"event\":\"start\",\"text\":\"" + std::string(400, 'x') + "\"}");
    clock_.advance(std::chrono::milliseconds(300));
    sync(false);
  }
  EXPECT_GT(log_->oldest(Stream::events).sequence, 1U);
  EXPECT_LE(log_->bytes(Stream::events), options_.size_max_bytes[2]);
  EXPECT_FALSE(gaps(Stream::events).empty());
  EXPECT_EQ(log_->bytes(Stream::alarms), 0U);
}

TEST_F(RetentionTest, GoesOnInARingWhenTheDiskIsFull) {
  open();
  append_document(Stream::events, R"({"event":"start"})");
  for (int i = 0; i < 60; ++i) {
    append({reading("d/filler", std::string(1000, 'x'))});
    clock_.advance(std::chrono::milliseconds(300));
    sync(false);
  }
  ASSERT_EQ(log_->oldest(Stream::readings).sequence, 1U);
  disk_.fail(testing::InMemoryFileSystem::Operation::reserve, 0, 1'000'000, ErrorCode::full);
  std::uint64_t written = 0;
  std::uint64_t refused = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto result = log_->append(std::vector{reading("d/filler", std::string(1000, 'x'))}, now(), {});
    written += result ? 1U : 0U;
    refused += result ? 0U : 1U;
    if (!result) {
      ASSERT_EQ(result.error().code, ErrorCode::full);
    }
    clock_.advance(std::chrono::milliseconds(300));
    sync(false);
  }
  EXPECT_GT(written, 1900U);
  EXPECT_LT(refused, 20U);
  EXPECT_GT(log_->oldest(Stream::readings).sequence, 1U);
}

TEST_F(RetentionTest, GrowsToItsSizeOnceTheDiskHasRoomAgain) {
  open();
  const auto go_on = [this](int appends) {
    for (int i = 0; i < appends; ++i) {
      (void)log_->append(std::vector{reading("d/filler", std::string(1000, 'x'))}, now(), {});
      clock_.advance(std::chrono::milliseconds(300));
      sync(false);
    }
  };
  go_on(30);
  disk_.fail(testing::InMemoryFileSystem::Operation::reserve, 0, 1'000'000, ErrorCode::full);
  go_on(1000);
  const std::uint64_t while_full = log_->bytes(Stream::readings);
  EXPECT_LT(while_full, options_.size_max_bytes[0] / 2 + kSegment);
  disk_.fail_never();
  go_on(3000);
  EXPECT_GT(log_->bytes(Stream::readings), options_.size_max_bytes[0] - 2 * kSegment);
  EXPECT_LE(log_->bytes(Stream::readings), options_.size_max_bytes[0]);
}

}  // namespace
}  // namespace tidegate::buffer
