// Sealed segments become dense, and nobody who reads or starts in the middle of that notices.
#include <gmock/gmock.h>

#include <random>

#include "buffer/frame.h"
#include "buffer/inspect.h"
#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Operation = testing::InMemoryFileSystem::Operation;

class RewriteTest : public LogFixture {
 protected:
  using Image = std::vector<std::pair<std::string, std::vector<std::byte>>>;

  RewriteTest() { options_.memory_bytes_max = 2048; }

  /// Group commits of a few numbered readings each, a block of 4 KiB one, until so many more segments were begun.
  void fill_segments(std::uint64_t count) {
    const std::uint64_t blocks = options_.segment_bytes_max / kBlockBytes - 2;
    begun_ += count;
    while (commits_ < (begun_ - 1) * blocks + 1) {
      append_numbered(3, "device/number-" + std::to_string(commits_++ % 20));
      clock_.advance(std::chrono::milliseconds(250));
      sync();
    }
  }
  std::string first_segment() { return "data/log/readings/00000000000000000001.seg"; }
  std::uint64_t end() { return log_->end(Stream::readings).sequence; }
  void expect_all_there(const char* when) {
    const ReadBack seen = read_disk();
    EXPECT_THAT(seen.gone, IsEmpty()) << when;
    EXPECT_EQ(numbers(seen), range(1, end())) << when;
    EXPECT_THAT(read_all(Stream::events).records, IsEmpty()) << when;
  }
  std::vector<FrameHeader> frames_of(const std::string& path) {
    const auto content = disk_.content(path);
    const std::uint64_t number = std::stoull(path.substr(path.rfind('/') + 1));
    const std::uint32_t seed = SegmentIdentity{log_->state().log_id, Stream::readings, number}.seed();
    std::vector<FrameHeader> frames;
    offsets_.clear();
    for (std::uint64_t at = kBlockBytes; at + kFrameHeaderBytes <= content.size(); at += kFrameAlignment) {
      const auto header = read_frame_header(content.data() + at, seed);
      if (!header) continue;
      offsets_.push_back(at);
      frames.push_back(*header);
    }
    return frames;
  }
  /// Files with a dense name: one old file may wait for its use.
  std::size_t waiting() {
    const auto files = segment_files();
    return static_cast<std::size_t>(
        std::count_if(files.begin(), files.end(), [](const std::string& path) { return path.ends_with(".dense"); }));
  }
  Image image() const {
    Image all;
    for (const std::string& path : disk_.paths()) all.emplace_back(path, disk_.content(path));
    return all;
  }
  void restore(const Image& image) {
    log_.reset();
    disk_.fail_never();
    for (const std::string& path : disk_.paths()) ASSERT_TRUE(disk_.remove(path));
    for (const auto& [path, content] : image) disk_.set_content(path, content);
  }

  std::uint64_t begun_ = 0;
  std::uint64_t commits_ = 0;
  std::vector<std::uint64_t> offsets_;
};

TEST_F(RewriteTest, MakesSealedSegmentsSmall) {
  open();
  fill_segments(4);
  const std::uint64_t before = log_->bytes(Stream::readings);
  EXPECT_EQ(rewrite(), 3);
  EXPECT_LT(disk_.content(first_segment()).size(), kSegment / 3);
  EXPECT_LT(log_->bytes(Stream::readings), before - kSegment);
  for (const FrameHeader& header : frames_of(first_segment())) EXPECT_EQ(header.codec, Codec::dense_readings);
  EXPECT_EQ(log_->counters().rewritten_segments, 3U);
  expect_all_there("after the rewrite");
  EXPECT_EQ(rewrite(), 0) << "once is enough";
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
  expect_all_there("after a start");
  EXPECT_EQ(rewrite(), 0);
  const auto segments = inspect_log(disk_, "data/log");
  ASSERT_TRUE(segments);
  for (const auto& one : *segments) EXPECT_THAT(one.damage, IsEmpty());
}

TEST_F(RewriteTest, UsesTheOldFilesForNewSegments) {
  open();
  fill_segments(2);
  const std::size_t created = disk_.count(Operation::reserve);
  for (int i = 0; i < 5; ++i) {
    rewrite();
    fill_segments(1);
  }
  EXPECT_LE(disk_.count(Operation::reserve), created + 1);
  EXPECT_LE(waiting(), 1U);
  expect_all_there("after five rounds");
}

TEST_F(RewriteTest, RewritesEventsToo) {
  open();
  for (int i = 0; i < 60; ++i) {
    append_document(Stream::events, R"({"event":"start","n":)" + std::to_string(i) + "}");
    clock_.advance(std::chrono::seconds(1));
    sync();
  }
  EXPECT_GT(rewrite(), 0);
  const auto records = read_disk(Stream::events).records;
  ASSERT_EQ(records.size(), 60U);
  for (std::size_t i = 0; i < 60; ++i) {
    EXPECT_THAT(records[i].document, HasSubstr("\"n\":" + std::to_string(i) + "}"));
  }
  EXPECT_LT(disk_.content("data/log/events/00000000000000000001.seg").size(), kSegment / 3);
}

TEST_F(RewriteTest, LeavesDataAloneThatIsDenseAlready) {
  open();
  std::mt19937_64 random(3);
  while (segment_files().size() < 4) {
    std::vector<Reading> readings;
    for (int i = 0; i < 1000; ++i)
      readings.push_back(reading("a/b", 1.0 / static_cast<double>(1 + random() % 1'000'000)));
    append(readings);
    sync();
  }
  sync();
  rewrite();
  EXPECT_EQ(log_->counters().rewritten_segments, 0U);
  EXPECT_EQ(disk_.content(first_segment()).size(), kSegment);
  EXPECT_THAT(segment_files(), Not(Contains(EndsWith(".dense"))));
}

TEST_F(RewriteTest, KeepsReadersInTheMiddleOfASegment) {
  for (const bool in_use_again : {false, true}) {
    for (std::uint64_t start = 1; start < 40; start += 4) {
      log_.reset();
      disk_.wipe();
      ASSERT_TRUE(disk_.make_directory("data"));
      known_ = {};
      begun_ = commits_ = 0;
      open();
      fill_segments(2);
      const auto reader = log_->disk_reader(Stream::readings);
      std::uint64_t next = start;
      const auto read_one = [&] {
        const auto outcome = reader->read({1, next});
        ASSERT_TRUE(outcome);
        ASSERT_EQ(outcome->status, ReadStatus::ready) << "at " << next;
        ASSERT_EQ(outcome->batch->first, next);
        for (const Reading& one : outcome->batch->readings) ASSERT_EQ(std::get<std::uint64_t>(one.value), next++);
      };
      const std::uint64_t known_end = end();
      read_one();
      rewrite();
      if (in_use_again) fill_segments(2);
      while (next < known_end && !HasFatalFailure()) read_one();
      ASSERT_FALSE(HasFailure()) << "from " << start << ", old file used again: " << in_use_again;
    }
  }
}

TEST_F(RewriteTest, FindsTimesInOldSnapshotsAndNewOnes) {
  open();
  const WallTime begin = clock_.wall_now();
  fill_segments(3);
  const auto before = log_->disk_reader(Stream::readings);
  rewrite();
  fill_segments(2);
  const auto after = log_->disk_reader(Stream::readings);
  for (int i = 0; i < 29; ++i) {
    ReadPlace place;
    place.kind = ReadPlace::Kind::time;
    place.time = begin + std::chrono::milliseconds(250 * i);
    const Position expected{1, 1 + 3 * static_cast<std::uint64_t>(i)};
    EXPECT_EQ(before->find(place).value(), expected) << i;
    EXPECT_EQ(after->find(place).value(), expected) << i;
  }
}

TEST_F(RewriteTest, StopsAtEveryStepWithoutLosingARecord) {
  open();
  fill_segments(3);
  save();
  const Image whole = image();
  const LogState known = known_;
  bool done = false;
  for (std::size_t step = 0; !done; ++step) {
    for (const int how : {0, 1, 2}) {  // a kill, and two kinds of power cuts
      restore(whole);
      known_ = known;
      open();
      const std::size_t before = disk_.operations();
      disk_.halt_after(step);
      rewrite();
      done = disk_.operations() - before <= step;
      log_.reset();
      disk_.fail_never();
      if (how == 1) disk_.lose_unsynced();
      if (how == 2) disk_.power_cut(step);
      open();
      ASSERT_THAT(log_->recovery().findings, IsEmpty()) << "step " << step;
      expect_all_there("after the start");
      rewrite();
      sync();
      ASSERT_LE(waiting(), 1U);
      expect_all_there("after the next rewrite");
      ASSERT_FALSE(HasFailure()) << "step " << step << ", how " << how;
    }
    ASSERT_LT(step, 1000U);
  }
}

TEST_F(RewriteTest, WorksWhereNamesCannotBeExchanged) {
  open();
  fill_segments(3);
  disk_.fail(Operation::exchange, 0, SIZE_MAX, ErrorCode::invalid);
  rewrite();
  EXPECT_EQ(log_->counters().rewritten_segments, 2U);
  EXPECT_THAT(segment_files(), Not(Contains(EndsWith(".dense"))));
  expect_all_there("after the rewrite");
  kill_and_reopen();
  expect_all_there("after a start");
}

TEST_F(RewriteTest, TriesAgainLaterWhenTheDiskFails) {
  open();
  fill_segments(2);
  disk_.fail(Operation::write, 0, 1, ErrorCode::full, ".dense");
  rewrite();
  EXPECT_EQ(log_->counters().rewritten_segments, 0U);
  EXPECT_THAT(segment_files(), Not(Contains(EndsWith(".dense"))));
  EXPECT_EQ(log_->next_rewrite(), nullptr) << "not at once";
  clock_.advance(std::chrono::minutes(2));
  rewrite();
  EXPECT_EQ(log_->counters().rewritten_segments, 1U);
  expect_all_there("at last");
}

TEST_F(RewriteTest, HoldsMoreInTheSameSpace) {
  options_.size_max_bytes[0] = kSegment * 8;
  open();
  for (int i = 0; i < 40; ++i) {
    fill_segments(1);
    rewrite();
    ASSERT_LE(log_->bytes(Stream::readings), options_.size_max_bytes[0]);
  }
  std::uint64_t on_disk = 0;
  for (const std::string& path : segment_files()) on_disk += disk_.content(path).size();
  EXPECT_LE(on_disk, options_.size_max_bytes[0]);
  EXPECT_GT(segment_files().size(), 20U) << "dense ones are counted by what they take";
  const std::uint64_t oldest = log_->oldest(Stream::readings).sequence;
  EXPECT_GT(oldest, 1U);
  EXPECT_EQ(numbers(read_disk(Stream::readings, log_->oldest(Stream::readings))), range(oldest, end()));
  sync();
  std::uint64_t recorded = 0;
  for (const auto& record : read_all(Stream::events).records) {
    const auto at = record.document.find("\"count\":");
    recorded += std::stoull(record.document.substr(at + 8));
  }
  EXPECT_EQ(recorded, oldest - 1) << "what had to go is recorded";
}

TEST_F(RewriteTest, GivesUpASegmentThatIsBeingRewritten) {
  options_.size_max_bytes[0] = kSegment * 2;
  for (int slices = 0; slices < 12; ++slices) {
    log_.reset();
    disk_.wipe();
    ASSERT_TRUE(disk_.make_directory("data"));
    known_ = {};
    begun_ = commits_ = 0;
    open();
    fill_segments(2);
    auto job = log_->next_rewrite();
    ASSERT_TRUE(job);
    bool done = false;
    for (int i = 0; i < slices && !done; ++i) done = job->run_slice();
    while (log_->oldest(Stream::readings).sequence == 1 && commits_ < 1000) fill_segments(1);
    while (!done) done = job->run_slice();
    log_->finish_rewrite(std::move(job));
    sync();
    clock_.advance(std::chrono::seconds(2));
    sync();
    const std::uint64_t oldest = log_->oldest(Stream::readings).sequence;
    EXPECT_EQ(numbers(read_disk(Stream::readings, log_->oldest(Stream::readings))), range(oldest, end()));
    EXPECT_THAT(segment_files(), Not(Contains(EndsWith("1.seg"))));
    kill_and_reopen();
    EXPECT_THAT(log_->recovery().findings, IsEmpty()) << slices;
    EXPECT_GE(log_->oldest(Stream::readings).sequence, oldest);
  }
}

TEST_F(RewriteTest, LosesNothingButTheFrameThatIsTouched) {
  options_.segment_bytes_max = kSegment * 16;
  options_.size_max_bytes[0] = kSegment * 16 * 8;
  open();
  fill_segments(2);
  rewrite();
  const auto frames = frames_of(first_segment());
  const auto offsets = offsets_;
  ASSERT_GE(frames.size(), 1U);
  save();
  const Image whole = image();
  const LogState known = known_;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{20}, std::uint64_t{64}, std::uint64_t{100},
                                   kFrameHeaderBytes + frames[i].body_bytes - std::uint64_t{1}}) {
      restore(whole);
      disk_.flip_bit(first_segment(), (offsets[i] + at) * 8 + 3);
      known_ = known;
      open();
      const ReadBack seen = read_disk();
      ASSERT_EQ(seen.gone.size(), 1U);
      EXPECT_EQ(seen.gone[0].first, (Position{1, frames[i].end()}));
      EXPECT_EQ(seen.gone[0].second, frames[i].count);
      EXPECT_EQ(numbers(seen).size(), end() - 1 - frames[i].count);
      sync();
      const auto events = read_all(Stream::events).records;
      ASSERT_EQ(events.size(), 1U);
      EXPECT_THAT(events[0].document, HasSubstr("\"count\":" + std::to_string(frames[i].count)));
      const auto segments = inspect_log(disk_, "data/log");
      ASSERT_TRUE(segments);
      EXPECT_EQ((*segments)[0].damage.size(), 1U);
    }
  }
}

TEST_F(RewriteTest, ReadsADenseSegmentWithoutHeaderOrFooter) {
  open();
  fill_segments(3);
  rewrite();
  save();
  const Image whole = image();
  const LogState known = known_;
  const std::uint64_t size = disk_.content(first_segment()).size();
  for (const std::uint64_t at : {std::uint64_t{40}, size - kBlockBytes + 40}) {
    restore(whole);
    disk_.flip_bit(first_segment(), at * 8);
    known_ = known;
    open();
    expect_all_there("with a damaged block");
    sync();
    kill_and_reopen();
    EXPECT_THAT(log_->recovery().findings, IsEmpty()) << "it was written again";
    expect_all_there("with the block written again");
    EXPECT_EQ(rewrite(), 0);
  }
}

TEST_F(RewriteTest, LeavesADamagedSegmentAsItIs) {
  open();
  fill_segments(2);
  const auto frames = frames_of(first_segment());
  disk_.flip_bit(first_segment(), (offsets_[3] + 70) * 8);
  const auto content = disk_.content(first_segment());
  EXPECT_EQ(rewrite(), 1);
  EXPECT_EQ(log_->counters().rewritten_segments, 0U);
  EXPECT_EQ(disk_.content(first_segment()), content);
  const ReadBack seen = read_disk();
  ASSERT_EQ(seen.gone.size(), 1U);
  EXPECT_EQ(seen.gone[0].second, frames[3].count);
}

TEST_F(RewriteTest, KeepsEpochsMarksAndWhatIsMissing) {
  open();
  for (int epoch = 0; epoch < 3; ++epoch) {
    append({reading("device/number", end())}, {{7, static_cast<std::uint64_t>(epoch) + 10}});
    sync();
    kill_and_reopen();
  }
  fill_segments(2);
  const auto before = read_disk().records;
  ASSERT_EQ(rewrite(), 1);
  EXPECT_EQ(log_->counters().rewritten_segments, 1U);
  const auto expect_same = [&] {
    const ReadBack seen = read_disk();
    const auto& after = seen.records;
    EXPECT_THAT(seen.gone, IsEmpty());
    ASSERT_GE(after.size(), before.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(after[i].at, before[i].at);
      EXPECT_EQ(after[i].tag_path, before[i].tag_path);
      EXPECT_EQ(after[i].reading.value, before[i].reading.value);
      EXPECT_EQ(after[i].reading.time, before[i].reading.time);
    }
  };
  expect_same();
  known_ = {};  // the database is lost: what the log holds says it all
  kill_and_reopen();
  expect_same();
  ASSERT_EQ(log_->queue_marks().size(), 1U);
  EXPECT_EQ(log_->queue_marks()[0].position, 12U);
}

TEST_F(RewriteTest, DoesNothingWhereItIsSwitchedOff) {
  options_.compact = false;
  open();
  fill_segments(3);
  EXPECT_EQ(log_->next_rewrite(), nullptr);
}

}  // namespace
}  // namespace tidegate::buffer
