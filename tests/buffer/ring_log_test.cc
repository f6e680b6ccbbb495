#include "buffer/ring_log.h"

#include <gmock/gmock.h>

#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RingLogTest : public LogFixture {};

TEST_F(RingLogTest, BeginsWithEpochOneAndSequenceOne) {
  open();
  EXPECT_TRUE(log_->recovery().fresh);
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
  EXPECT_EQ(log_->end(Stream::readings), (Position{1, 1}));
  EXPECT_EQ(append({reading("a/b", true)}), (Position{1, 1}));
  EXPECT_EQ(log_->end(Stream::readings), (Position{1, 2}));
  EXPECT_EQ(log_->read(Stream::readings, {1, 2}).status, ReadStatus::at_end);
}

TEST_F(RingLogTest, BeginsWithTheEpochThatItIsToldAndGoesOnWithItsOwn) {
  options_.first_epoch = 471'000;
  open();
  EXPECT_EQ(append({reading("a/b", true)}), (Position{471'000, 1}));
  options_.first_epoch = 480'000;
  kill_and_reopen();
  EXPECT_EQ(log_->end(Stream::readings).epoch, 471'001U);
}

TEST_F(RingLogTest, ReadsFromMemoryWhatWasAppended) {
  open();
  append_numbered(3);
  clock_.advance(std::chrono::seconds(1));
  append_numbered(2);
  const ReadOutcome outcome = log_->read(Stream::readings, {});
  ASSERT_EQ(outcome.status, ReadStatus::ready);
  EXPECT_EQ(outcome.batch->size(), 3U);
  EXPECT_EQ(outcome.batch->times.boot, clock_.boot_now() - std::chrono::seconds(1));
  EXPECT_EQ(numbers(read_all()), range(1, 6));
  EXPECT_EQ(numbers(read_disk()), range(1, 6));
}

TEST_F(RingLogTest, GivesEveryConsumerTheSameBatch) {
  open();
  append_numbered(3);
  EXPECT_EQ(log_->read(Stream::readings, {1, 1}).batch, log_->read(Stream::readings, {1, 1}).batch);
}

TEST_F(RingLogTest, ReadsFromTheMiddleOfAFrame) {
  open();
  append_numbered(10);
  EXPECT_EQ(numbers(read_all(Stream::readings, {1, 7})), range(7, 11));
  EXPECT_EQ(numbers(read_disk(Stream::readings, {1, 7})), range(7, 11));
}

TEST_F(RingLogTest, JoinsSmallFramesOfOneMoment) {
  open();
  for (int i = 0; i < 100; ++i) append_numbered(1);
  EXPECT_EQ(log_->read(Stream::readings, {}).batch->size(), 100U);
  clock_.advance(std::chrono::milliseconds(10));
  append_numbered(1);
  EXPECT_EQ(log_->read(Stream::readings, {1, 2}).batch->size(), 99U) << "another moment is another batch";
  auto outcome = log_->disk_reader(Stream::readings)->read({});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->batch->size(), 100U);
}

TEST_F(RingLogTest, KeepsStreamsApart) {
  open();
  append_numbered(1);
  append_document(Stream::alarms, R"({"alarm":"a"})");
  append_document(Stream::events, R"({"event":"start"})");
  append_document(Stream::alarms, R"({"alarm":"b"})");
  const ReadBack alarms = read_all(Stream::alarms);
  ASSERT_EQ(alarms.records.size(), 2U);
  EXPECT_EQ(alarms.records[1].document, R"({"alarm":"b"})");
  EXPECT_EQ(alarms.records[1].at, (Position{1, 2}));
  EXPECT_EQ(read_disk(Stream::events).records.size(), 1U);
}

TEST_F(RingLogTest, SurvivesAKillWithAllThatWasWritten) {
  open();
  append_numbered(500);
  append_document(Stream::alarms, R"({"alarm":"a"})");
  kill_and_reopen();
  EXPECT_EQ(log_->recovery().epoch, 2U);
  EXPECT_FALSE(log_->recovery().clean);
  EXPECT_EQ(log_->recovery().torn_bytes, 0U);
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
  append_numbered(10);
  EXPECT_EQ(numbers(read_all()), range(1, 511));
  EXPECT_EQ(read_all().records[499].at, (Position{1, 500}));
  EXPECT_EQ(read_all().records[500].at, (Position{2, 501}));
  EXPECT_EQ(read_all(Stream::alarms).records.size(), 1U);
  EXPECT_EQ(log_->stored(Stream::readings), 510U);
}

TEST_F(RingLogTest, GoesOnInTheSameEpochAfterACleanStop) {
  open();
  append_numbered(5);
  close();
  open();
  EXPECT_TRUE(log_->recovery().clean);
  EXPECT_EQ(log_->recovery().epoch, 1U);
  append_numbered(5);
  EXPECT_EQ(numbers(read_all()), range(1, 11));
  EXPECT_EQ(read_all().records.back().at, (Position{1, 10}));
}

TEST_F(RingLogTest, TakesAnEpochForUncleanWhenTheDatabaseIsOlderThanTheSegments) {
  open();
  append_numbered(5);
  close();
  const LogState old = known_;
  open();
  append_numbered(5);
  close();
  known_ = old;
  open();
  EXPECT_FALSE(log_->recovery().clean);
  EXPECT_EQ(log_->recovery().epoch, 2U);
  EXPECT_EQ(log_->end(Stream::readings), (Position{2, 11}));
}

TEST_F(RingLogTest, WorksWithoutTheDatabase) {
  open();
  append_numbered(5);
  kill_and_reopen();
  append_numbered(5);
  sync();
  const LogId id = log_->state().log_id;
  known_ = {};
  open();
  EXPECT_EQ(log_->state().log_id, id);
  EXPECT_EQ(log_->recovery().epoch, 3U);
  EXPECT_FALSE(log_->recovery().fresh);
  EXPECT_EQ(numbers(read_all()), range(1, 11));
  EXPECT_EQ(read_all().records.back().at, (Position{2, 10}));
}

TEST_F(RingLogTest, TakesACursorBehindAnEpochForItsEnd) {
  open();
  append_numbered(10);
  sync();
  save();
  append_numbered(10);  // sent upstream, then taken away by a power cut
  disk_.lose_unsynced();
  open();
  EXPECT_EQ(log_->end(Stream::readings), (Position{2, 11}));
  append_numbered(3);
  const ReadBack seen = read_all(Stream::readings, {1, 18});
  ASSERT_EQ(seen.records.size(), 3U);
  EXPECT_EQ(seen.records[0].at, (Position{2, 11}));
  EXPECT_THAT(seen.gone, IsEmpty());
  EXPECT_EQ(log_->distance(Stream::readings, {1, 18}, log_->end(Stream::readings)), 3U);
  EXPECT_EQ(log_->distance(Stream::readings, {1, 5}, {2, 12}), 7U);
}

TEST_F(RingLogTest, KeepsTheEpochsInItsState) {
  open();
  append_numbered(10);
  kill_and_reopen();
  kill_and_reopen();
  append_numbered(5);
  std::vector<std::array<std::uint64_t, 3>> epochs;
  for (const EpochRange& range : log_->state().epochs) {
    if (range.stream == Stream::readings) epochs.push_back({range.epoch, range.first, range.last});
  }
  using Row = std::array<std::uint64_t, 3>;
  EXPECT_THAT(epochs, ElementsAre(Row{1, 1, 10}, Row{2, 11, 10}, Row{3, 11, 15}));
}

TEST_F(RingLogTest, SurvivesHundredsOfKillsInARow) {
  options_.segment_bytes_max = 16 * kSegment;
  options_.size_max_bytes[0] = 128 * kSegment;
  open();
  for (std::uint64_t i = 0; i < 300; ++i) {
    append_numbered(1);
    sync();
    kill_and_reopen();
    ASSERT_EQ(log_->recovery().epoch, i + 2);
  }
  EXPECT_EQ(numbers(read_all()), range(1, 301));
  known_ = {};
  open();
  EXPECT_EQ(numbers(read_all()), range(1, 301));
  EXPECT_EQ(read_all(Stream::readings, {250, 250}).records[0].at, (Position{250, 250}));
}

TEST_F(RingLogTest, SealsWhatItDoesNotGoOnWith) {
  open();
  append_numbered(10);
  close();
  const auto footer = [&] {
    const auto content = disk_.content(segment_files()[0]);
    if (content.size() < kSegment) return std::string();
    return std::string(reinterpret_cast<const char*>(content.data()) + kSegment - 4096, 8);
  };
  EXPECT_NE(footer(), "TIDEEND\n");
  options_.segment_bytes_max = 2 * kSegment;
  options_.size_max_bytes[0] = 32 * kSegment;
  open();
  append_numbered(10);
  sync();
  EXPECT_EQ(footer(), "TIDEEND\n");
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(1, 21));
}

TEST_F(RingLogTest, RefusesAReadingWithoutATag) {
  open();
  Reading nameless;
  nameless.value = 1.0;
  const auto result = log_->append(std::vector{nameless}, now(), {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::invalid);
  EXPECT_EQ(log_->end(Stream::readings), (Position{1, 1}));
}

TEST_F(RingLogTest, RefusesAValueThatNoFrameHoldsAndWritesNothingOfIt) {
  open();
  const auto result =
      log_->append(std::vector{reading("a/b", 1.0), reading("a/long", std::string(kSegment, 'x'))}, now(), {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::invalid);
  EXPECT_THAT(result.error().message, HasSubstr("a/long"));
  append_numbered(1);
  EXPECT_EQ(numbers(read_all()), range(1, 2));
}

TEST_F(RingLogTest, SplitsALargeAppendOverFramesAndSegments) {
  open();
  std::vector<Reading> readings;
  for (std::uint64_t i = 1; i <= 20'000; ++i) readings.push_back(reading("device/tag-" + std::to_string(i % 700), i));
  append(readings);
  EXPECT_EQ(log_->end(Stream::readings), (Position{1, 20'001}));
  EXPECT_GT(segment_files().size(), 1U);
  EXPECT_EQ(numbers(read_all()), range(1, 20'001));
  EXPECT_EQ(numbers(read_disk()), range(1, 20'001));
  kill_and_reopen();
  const ReadBack seen = read_all();
  EXPECT_EQ(numbers(seen), range(1, 20'001));
  EXPECT_EQ(seen.records[1400].tag_path, "device/tag-1");
}

TEST_F(RingLogTest, KeepsQueueMarksOverRestartsAndSegments) {
  open();
  append({reading("a/b", 1.0)}, {{7, 100}, {8, 5}});
  append({reading("a/b", 2.0)}, {{7, 200}});
  EXPECT_THAT(log_->queue_marks(), ::testing::UnorderedElementsAre(QueueMark{7, 200}, QueueMark{8, 5}));
  kill_and_reopen();
  EXPECT_THAT(log_->queue_marks(), ::testing::UnorderedElementsAre(QueueMark{7, 200}, QueueMark{8, 5}));
  while (segment_files().size() < 3) append_numbered(2000);
  append({reading("a/b", 3.0)}, {{9, 1}});
  kill_and_reopen();
  EXPECT_THAT(log_->queue_marks(),
              ::testing::UnorderedElementsAre(QueueMark{7, 200}, QueueMark{8, 5}, QueueMark{9, 1}));
}

TEST_F(RingLogTest, ReadsTheSameFromMemoryAndFromDisk) {
  open();
  for (int i = 0; i < 200; ++i) {
    append_numbered(static_cast<std::uint64_t>(1 + i % 7), "device/tag-" + std::to_string(i % 13));
    if (i % 3 == 0) clock_.advance(std::chrono::milliseconds(7));
    if (i % 20 == 0) sync();
  }
  for (Position at = log_->oldest(Stream::readings); at < log_->end(Stream::readings);) {
    const ReadOutcome memory = log_->read(Stream::readings, at);
    ASSERT_EQ(memory.status, ReadStatus::ready);
    auto disk = log_->disk_reader(Stream::readings)->read(at);
    ASSERT_TRUE(disk);
    ASSERT_EQ(disk->status, ReadStatus::ready);
    ASSERT_EQ(memory.batch->size(), disk->batch->size());
    ASSERT_EQ(memory.batch->times.boot, disk->batch->times.boot);
    ASSERT_EQ(memory.batch->times.wall, disk->batch->times.wall);
    for (std::size_t i = 0; i < memory.batch->size(); ++i) {
      ASSERT_EQ(memory.batch->readings[i].value, disk->batch->readings[i].value);
      ASSERT_EQ(memory.batch->readings[i].tag, disk->batch->readings[i].tag);
      ASSERT_EQ(memory.batch->readings[i].time, disk->batch->readings[i].time);
    }
    at = memory.next;
  }
}

TEST_F(RingLogTest, LeavesUnknownFilesAloneAndNamesThem) {
  open();
  append_numbered(3);
  disk_.set_content("data/log/readings/notes.txt", std::vector<std::byte>(10));
  kill_and_reopen();
  ASSERT_EQ(log_->recovery().findings.size(), 1U);
  EXPECT_THAT(log_->recovery().findings[0], HasSubstr("notes.txt"));
  EXPECT_EQ(disk_.content("data/log/readings/notes.txt").size(), 10U);
  EXPECT_EQ(numbers(read_all()), range(1, 4));
}

TEST_F(RingLogTest, PutsSegmentsOfAnotherLogAside) {
  open();
  append_numbered(3);
  known_ = {};
  known_.log_id = {1, 2, 3};
  open();
  ASSERT_FALSE(log_->recovery().findings.empty());
  EXPECT_THAT(log_->recovery().findings[0], HasSubstr("not a segment of this log"));
  EXPECT_THAT(disk_.paths(), ::testing::Contains(HasSubstr("log/foreign/readings-0000")));
  EXPECT_EQ(log_->stored(Stream::readings), 0U);
  append_numbered(2);
  EXPECT_EQ(numbers(read_all()), range(1, 3));
}

TEST_F(RingLogTest, ReportsADirectoryThatCannotBeWritten) {
  disk_.fail(testing::InMemoryFileSystem::Operation::open, 0, 100, ErrorCode::invalid);
  tags_ = std::make_unique<TagRegistry>();
  EXPECT_FALSE(RingLog::open(disk_, clock_, *tags_, options_, {}));
}

TEST_F(RingLogTest, TakesTextsUpToTheLengthThatItNames) {
  for (const std::uint64_t segment : {kSegment, std::uint64_t{16} << 20}) {
    options_.segment_bytes_max = segment;
    options_.size_max_bytes[0] = segment * 16;
    options_.directory = "data/" + std::to_string(segment);
    known_ = {};
    open();
    const std::size_t most = text_bytes_max(options_);
    EXPECT_GT(most, 32U * 1024);
    append({reading("d/long", std::string(most, 'x'))});
    const auto refused = log_->append(std::vector{reading("d/long", std::string(most + 1, 'x'))}, now(), {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::invalid);
  }
}

}  // namespace
}  // namespace tidegate::buffer
