// When records become durable, and what a failing disk does to that.
#include <gmock/gmock.h>

#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

using Operation = testing::InMemoryFileSystem::Operation;
using ::testing::IsEmpty;

class SyncTest : public LogFixture {
 protected:
  Position durable() const { return log_->durable(Stream::readings); }
  Position end() const { return log_->end(Stream::readings); }
  std::unique_ptr<LogJob> job(bool now = true) { return log_->next_job(clock_.boot_now(), now); }
  bool run(std::unique_ptr<LogJob> one) {
    one->run();
    return log_->finish(std::move(one));
  }
  void later(Duration by = std::chrono::seconds(2)) { clock_.advance(by); }
};

TEST_F(SyncTest, WhatIsWrittenIsDurableAfterTheJob) {
  open();
  append_numbered(5);
  EXPECT_EQ(durable(), (Position{1, 1}));
  auto one = job();
  ASSERT_TRUE(one);
  one->run();
  EXPECT_EQ(durable(), (Position{1, 1})) << "the core has not taken it in yet";
  EXPECT_TRUE(log_->finish(std::move(one)));
  EXPECT_EQ(durable(), (Position{1, 6}));
  EXPECT_FALSE(job());
}

TEST_F(SyncTest, AJobCoversOnlyWhatWasWrittenBeforeIt) {
  open();
  append_numbered(5);
  auto one = job();
  append_numbered(3);
  EXPECT_FALSE(job()) << "one job at a time";
  EXPECT_TRUE(run(std::move(one)));
  EXPECT_EQ(durable(), (Position{1, 6}));
  EXPECT_TRUE(run(job()));
  EXPECT_EQ(durable(), (Position{1, 9}));
}

TEST_F(SyncTest, WhatIsDurableSurvivesAPowerCut) {
  open();
  append_numbered(5);
  append_document(Stream::alarms, R"({"alarm":"a"})");
  sync();
  append_numbered(3);
  disk_.lose_unsynced();
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(1, 6));
  EXPECT_EQ(read_all(Stream::alarms).records.size(), 1U);
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
}

TEST_F(SyncTest, TheIntervalBeginsWithTheFirstUnsyncedRecord) {
  options_.sync_interval = std::chrono::milliseconds(250);
  open();
  EXPECT_FALSE(log_->next_deadline());
  append_numbered(1);
  const BootTime due = clock_.boot_now() + std::chrono::milliseconds(250);
  later(std::chrono::milliseconds(249));
  append_numbered(1);
  EXPECT_EQ(log_->next_deadline(), due);
  EXPECT_FALSE(job(false));
  later(std::chrono::milliseconds(1));
  auto one = job(false);
  ASSERT_TRUE(one);
  EXPECT_FALSE(log_->next_deadline()) << "a job is out";
  run(std::move(one));
  EXPECT_FALSE(log_->next_deadline());
}

TEST_F(SyncTest, AlwaysIsDueAtOnce) {
  options_.sync = SyncPolicy::always;
  open();
  append_numbered(1);
  EXPECT_EQ(log_->next_deadline(), clock_.boot_now());
  EXPECT_TRUE(job(false));
}

TEST_F(SyncTest, OsIsNeverDueButWhenAsked) {
  options_.sync = SyncPolicy::os;
  open();
  append_numbered(1);
  later(std::chrono::hours(1));
  EXPECT_FALSE(log_->next_deadline());
  EXPECT_FALSE(job(false));
  EXPECT_TRUE(run(job(true)));
  EXPECT_EQ(durable(), end());
}

TEST_F(SyncTest, OneJobSyncsAllStreams) {
  open();
  append_numbered(1);
  append_document(Stream::alarms, "{}");
  append_document(Stream::events, "{}");
  run(job());
  for (const Stream stream : kAllStreams) EXPECT_EQ(log_->durable(stream), log_->end(stream));
}

TEST_F(SyncTest, TheNextFrameAfterASyncBeginsOnANewBlock) {
  open();
  append_numbered(1);
  sync();
  const std::string path = segment_files()[0];
  const auto before = disk_.content(path);
  append_numbered(1);
  const auto after = disk_.content(path);
  for (std::size_t i = 0; i < 2 * 4096; ++i) ASSERT_EQ(before[i], after[i]) << "byte " << i << " was durable";
  EXPECT_NE(after[2 * 4096], std::byte{0});
}

TEST_F(SyncTest, AFailedSyncIsNeverRepeatedAndItsRecordsAreWrittenAnew) {
  open();
  append_numbered(5);
  sync();
  append_numbered(5);
  disk_.fail(Operation::sync, 0, 1, ErrorCode::retry);
  EXPECT_FALSE(run(job()));
  EXPECT_EQ(durable(), (Position{1, 6}));
  EXPECT_EQ(log_->counters().sync_failures, 1U);
  append_numbered(2);
  EXPECT_EQ(numbers(read_all()), range(1, 13));
  EXPECT_TRUE(run(job())) << "into another file; the fake refuses a second sync of the first";
  EXPECT_EQ(durable(), (Position{1, 13}));
  sync();
  disk_.lose_unsynced();
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(1, 13));
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
}

TEST_F(SyncTest, AFailedSyncOfAWholeFileReplacesTheFile) {
  open();
  append_numbered(5);
  disk_.fail(Operation::sync, 0, 1, ErrorCode::retry);
  EXPECT_FALSE(run(job()));
  sync();
  EXPECT_EQ(durable(), (Position{1, 6}));
  EXPECT_EQ(segment_files().size(), 1U) << "the failed file is gone once its records are durable elsewhere";
  disk_.lose_unsynced();
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(1, 6));
}

TEST_F(SyncTest, AKillAfterAFailedSyncFindsEverything) {
  open();
  append_numbered(5);
  sync();
  append_numbered(5);
  disk_.fail(Operation::sync, 0, 1, ErrorCode::retry);
  run(job());
  append_numbered(3);
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(1, 14));
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
  append_numbered(1);
  sync();
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(1, 15));
}

// The next process can read them, and its sync succeeds without having anything to do.
TEST_F(SyncTest, WhatASyncFailedOfBeforeAKillIsWrittenAgain) {
  for (const std::uint64_t durable_before : {0U, 5U}) {
    disk_.wipe();
    ASSERT_TRUE(disk_.make_directory("data"));
    known_ = {};
    open();
    append_numbered(5);
    if (durable_before > 0) sync();
    append_numbered(5, "device/later");
    save();
    auto one = job();
    disk_.fail(Operation::sync, 0, 1, ErrorCode::retry);
    one->run();  // and nobody learns how it went
    one.reset();
    kill_and_reopen();
    sync();
    EXPECT_EQ(durable(), (Position{2, 11}));
    disk_.lose_unsynced();
    kill_and_reopen();
    EXPECT_EQ(numbers(read_all()), range(1, 11));
    EXPECT_THAT(log_->recovery().findings, IsEmpty());
  }
}

TEST_F(SyncTest, RecoveredRecordsAreSavedFromAFailedSyncToo) {
  open();
  append_numbered(5);
  kill_and_reopen();
  EXPECT_EQ(durable(), (Position{1, 1})) << "what the page cache held is not known to be durable";
  append_numbered(2);
  disk_.fail(Operation::sync, 0, 1, ErrorCode::retry);
  run(job());
  sync();
  EXPECT_EQ(durable(), (Position{2, 8}));
  disk_.lose_unsynced();
  kill_and_reopen();
  const ReadBack seen = read_all();
  EXPECT_EQ(numbers(seen), range(1, 8));
  EXPECT_EQ(seen.records[4].at, (Position{1, 5}));
  EXPECT_EQ(seen.records[5].at, (Position{2, 6}));
}

TEST_F(SyncTest, EpochsAreFoundAgainInWhatWasWrittenAnew) {
  open();
  append_numbered(5);
  kill_and_reopen();
  append_numbered(5);
  disk_.fail(Operation::sync, 0, 1, ErrorCode::retry);
  run(job());
  sync();
  ASSERT_EQ(segment_files().size(), 1U);
  log_.reset();
  known_ = {};  // no table of epochs to help
  open();
  const ReadBack seen = read_all(Stream::readings, {1, 100});
  ASSERT_EQ(seen.records.size(), 5U);
  EXPECT_EQ(seen.records[0].at, (Position{2, 6}));
}

TEST_F(SyncTest, AFailedDirectorySyncIsNoSuccess) {
  open();
  append_numbered(5);
  disk_.fail(Operation::sync_directory, 0, 1, ErrorCode::retry);
  EXPECT_FALSE(run(job()));
  EXPECT_EQ(durable(), (Position{1, 1}));
  sync();
  EXPECT_EQ(durable(), (Position{1, 6}));
  disk_.lose_unsynced();
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(1, 6));
}

TEST_F(SyncTest, AFailedWriteTakesNothingAndTheNextOneGoesToAnotherFile) {
  open();
  append_numbered(5);
  disk_.fail(Operation::write, 0, 1, ErrorCode::retry);
  EXPECT_FALSE(log_->append(std::vector{reading("d/x", 1.0)}, now(), {}));
  EXPECT_EQ(end(), (Position{1, 6}));
  append_numbered(5);
  EXPECT_EQ(numbers(read_all()), range(1, 11));
  sync();
  disk_.lose_unsynced();
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(1, 11));
}

TEST_F(SyncTest, SyncsThatKeepFailingAreTriedOnceASecondAndPileUpNoFiles) {
  open();
  append_numbered(5);
  disk_.fail(Operation::sync, 0, 1'000'000, ErrorCode::retry, "log/readings");
  for (int i = 0; i < 50; ++i) {
    sync();
    ASSERT_LT(log_->counters().sync_failures, 4U + static_cast<std::uint64_t>(i));
    ASSERT_LT(segment_files().size(), 5U);
    ASSERT_TRUE(log_->next_deadline());
    ASSERT_GT(*log_->next_deadline(), clock_.boot_now());
    append_numbered(1);
    later(std::chrono::seconds(1));
  }
  EXPECT_EQ(numbers(read_all()), range(1, 56));
  EXPECT_EQ(durable(), (Position{1, 1}));
  disk_.fail_never();
  sync();
  EXPECT_EQ(durable(), (Position{1, 56}));
  sync();
  EXPECT_EQ(segment_files().size(), 1U);
}

TEST_F(SyncTest, AJobOfAFileThatWasReplacedMeanwhileMakesNothingDurable) {
  open();
  append_numbered(5);
  auto one = job();
  one->run();
  disk_.fail(Operation::write, 0, 1, ErrorCode::retry);
  EXPECT_FALSE(log_->append(std::vector{reading("d/x", 1.0)}, now(), {}));
  EXPECT_FALSE(log_->finish(std::move(one))) << "the records stand in another file now";
  EXPECT_EQ(durable(), (Position{1, 1}));
  sync();
  EXPECT_EQ(durable(), (Position{1, 6}));
}

TEST_F(SyncTest, AKillHalfWayThroughAReplacementKeepsTheOldFile) {
  options_.size_max_bytes[0] = kSegment * 16;
  options_.memory_bytes_max = 1 << 20;
  open();
  for (int i = 0; i < 150; ++i) {
    append({reading("d/number", log_->end(Stream::readings).sequence), reading("d/filler", std::string(1000, 'x'))});
  }
  const std::size_t old_files = segment_files().size();
  ASSERT_GE(old_files, 3U);
  // The first new file is written, the second cannot be made, and the first cannot be taken back.
  disk_.fail(Operation::sync, 0, 1, ErrorCode::retry);
  auto one = job();
  one->run();
  disk_.fail(Operation::open, 1, 1000, ErrorCode::retry);
  disk_.fail(Operation::remove, 0, 1000, ErrorCode::retry);
  EXPECT_FALSE(log_->finish(std::move(one)));
  disk_.fail_never();
  ASSERT_EQ(segment_files().size(), old_files + 1);
  kill_and_reopen();
  EXPECT_EQ(end().sequence, 301U);
  const ReadBack seen = read_all();
  ASSERT_EQ(seen.records.size(), 300U);
  for (const auto& record : seen.records) {
    if (record.tag_path != "d/number") continue;
    ASSERT_EQ(std::get<std::uint64_t>(record.reading.value), record.at.sequence);
  }
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
}

TEST_F(SyncTest, AStorageThatKeepsFailingRefusesAndRecovers) {
  open();
  append_numbered(5);
  disk_.fail(Operation::write, 0, 1000, ErrorCode::retry);
  EXPECT_FALSE(log_->append(std::vector{reading("d/x", 1.0)}, now(), {}));
  EXPECT_FALSE(log_->append(std::vector{reading("d/x", 1.0)}, now(), {}));
  EXPECT_EQ(numbers(read_all()), range(1, 6)) << "from memory";
  ASSERT_TRUE(log_->next_deadline());
  EXPECT_GT(*log_->next_deadline(), clock_.boot_now()) << "it is not tried without pause";
  sync();
  EXPECT_EQ(durable(), (Position{1, 1}));
  disk_.fail_never();
  later();
  sync();
  EXPECT_EQ(durable(), (Position{1, 6}));
  append_numbered(5);
  EXPECT_EQ(numbers(read_all()), range(1, 11));
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(1, 11));
}

// Each operation that a job or an append makes fails once, at every place.
TEST_F(SyncTest, NoSingleFailureLosesADurableRecordOrBreaksTheOrder) {
  for (const Operation operation : {Operation::write, Operation::sync, Operation::sync_directory, Operation::open,
                                    Operation::reserve, Operation::rename, Operation::remove}) {
    bool reached = true;
    for (std::size_t nth = 0; reached; ++nth) {
      log_.reset();
      disk_.wipe();
      ASSERT_TRUE(disk_.make_directory("data"));
      known_ = {};
      options_.size_max_bytes[0] = kSegment * 8;
      open();
      const std::size_t before = disk_.count(operation);
      disk_.fail(operation, nth, 1, ErrorCode::retry);
      std::uint64_t accepted = 0;
      for (int i = 0; i < 60; ++i) {
        std::vector<Reading> readings{reading("d/number", log_->end(Stream::readings).sequence),
                                      reading("d/filler", std::string(16'000, 'x'))};
        if (log_->append(readings, now(), {})) accepted += 2;
        later(std::chrono::milliseconds(300));
        sync(false);
        later();
      }
      sync();
      reached = disk_.count(operation) - before > nth;
      ASSERT_EQ(end().sequence, accepted + 1) << "operation " << static_cast<int>(operation) << " at " << nth;
      ASSERT_EQ(durable(), end()) << "operation " << static_cast<int>(operation) << " at " << nth;
      save();
      disk_.fail_never();
      disk_.lose_unsynced();
      kill_and_reopen();
      const ReadBack seen = read_all(Stream::readings, log_->oldest(Stream::readings));
      ASSERT_EQ(seen.records.size(), accepted + 1 - log_->oldest(Stream::readings).sequence)
          << "operation " << static_cast<int>(operation) << " at " << nth;
      ASSERT_THAT(seen.gone, IsEmpty());
      for (const auto& record : seen.records) {
        if (record.tag_path != "d/number") continue;
        ASSERT_EQ(std::get<std::uint64_t>(record.reading.value), record.at.sequence);
      }
      ASSERT_FALSE(HasFailure());
    }
  }
}

TEST_F(SyncTest, MemoryForUnsyncedRecordsHasABound) {
  options_.memory_bytes_max = 16 * 1024;
  options_.size_max_bytes[0] = 64 << 20;
  options_.segment_bytes_max = 1 << 20;
  open();
  auto held = [&] { return log_->append(std::vector{reading("d/x", std::string(1000, 'x'))}, now(), {}); };
  int appended = 0;
  while (held()) ++appended;
  EXPECT_GT(appended, 40);
  EXPECT_LT(appended, 80);
  EXPECT_EQ(held().error().code, ErrorCode::full);
  run(job());
  EXPECT_TRUE(held());
}

TEST_F(SyncTest, TheNextSegmentIsMadeAheadByAJob) {
  options_.segment_bytes_max = 64 * 1024;
  open();
  while (log_->end(Stream::readings).sequence < 45) append({reading("d/x", std::string(1000, 'x'))});
  later();
  sync(false);
  EXPECT_EQ(segment_files().size(), 2U);
  const std::size_t opened = disk_.count(Operation::open);
  const std::size_t reserved = disk_.count(Operation::reserve);
  while (log_->end(Stream::readings).sequence < 70) append({reading("d/x", std::string(1000, 'x'))});
  EXPECT_EQ(disk_.count(Operation::open), opened) << "the append finds it ready";
  EXPECT_EQ(disk_.count(Operation::reserve), reserved);
  EXPECT_EQ(segment_files().size(), 2U);
}

// On an SD card a whole segment takes a second; nobody's acknowledgement may wait for that.
TEST_F(SyncTest, RecordsAreSyncedBetweenThePartsOfTheNextSegment) {
  constexpr std::uint64_t kLarge = 1 << 20;
  options_.segment_bytes_max = kLarge;
  options_.size_max_bytes[0] = 8 * kLarge;
  open();
  while (end().sequence < 550) append({reading("d/x", std::string(1000, 'x'))});
  int parts = 0;
  for (std::size_t made = 0; made < kLarge; ++parts) {
    append_numbered(1);
    ASSERT_TRUE(run(job())) << "part " << parts;
    ASSERT_EQ(durable(), end()) << "part " << parts;
    if (segment_files().size() < 2) continue;
    const std::size_t before = std::exchange(made, disk_.content(segment_files()[1]).size());
    ASSERT_GT(made, before) << "part " << parts;
  }
  EXPECT_GT(parts, 20);
  const std::size_t opened = disk_.count(Operation::open);
  while (end().sequence < 1500) append({reading("d/x", std::string(1000, 'x'))});
  EXPECT_EQ(disk_.count(Operation::open), opened) << "the append finds it ready";
}

TEST_F(SyncTest, ASegmentThatIsNotWholeYetIsGoneOnWith) {
  open();
  while (end().sequence < 30) append({reading("d/x", std::string(1000, 'x'))});
  run(job());
  ASSERT_EQ(segment_files().size(), 2U);
  ASSERT_LT(disk_.content(segment_files()[1]).size(), kSegment);
  while (end().sequence < 90) append({reading("d/x", std::string(1000, 'x'))});
  EXPECT_EQ(segment_files().size(), 2U) << "no other was made";
  const std::uint64_t count = end().sequence - 1;
  sync();
  disk_.lose_unsynced();
  kill_and_reopen();
  EXPECT_EQ(read_all().records.size(), count);
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
}

// While a job makes a part, the file is the job's.
TEST_F(SyncTest, ASegmentThatIsOvertakenWhileAJobMakesItIsRemoved) {
  open();
  while (end().sequence < 30) append({reading("d/x", std::string(1000, 'x'))});
  auto one = job();
  while (end().sequence < 90) append({reading("d/x", std::string(1000, 'x'))});
  EXPECT_TRUE(run(std::move(one)));
  sync();
  EXPECT_EQ(segment_files().size(), 3U) << "the two in use and the next";
  EXPECT_EQ(read_all().records.size(), end().sequence - 1);
}

TEST_F(SyncTest, APartThatFailsIsNotGoneOnWith) {
  open();
  while (end().sequence < 30) append({reading("d/x", std::string(1000, 'x'))});
  run(job());
  ASSERT_EQ(segment_files().size(), 2U);
  disk_.fail(Operation::reserve, 0, 1, ErrorCode::retry, segment_files()[1]);
  run(job());
  EXPECT_EQ(segment_files().size(), 1U) << "its part is gone";
  while (end().sequence < 90) append({reading("d/x", std::string(1000, 'x'))});
  later();
  sync();
  EXPECT_EQ(durable(), end());
  EXPECT_EQ(read_all().records.size(), end().sequence - 1);
}

}  // namespace
}  // namespace tidegate::buffer
