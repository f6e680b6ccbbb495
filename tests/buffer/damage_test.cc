// What damaged, torn, truncated and foreign content does to a log: it always opens, nothing is altered, and no record
// is lost whose bytes were not touched.
#include <gmock/gmock.h>

#include <random>

#include "buffer/frame.h"
#include "core/crc32c.h"
#include "tests/buffer/log_fixture.h"
#include "tests/support/seed.h"

namespace tidegate::buffer {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DamageTest : public LogFixture {
 protected:
  struct Frame {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    std::uint64_t body_end = 0;  // without padding
  };

  DamageTest() { options_.sync = SyncPolicy::os; }

  /// The frames of a file whose content was not touched yet.
  std::vector<Frame> frames_of(const std::string& path) {
    const auto content = disk_.content(path);
    const std::uint64_t number = std::stoull(path.substr(path.rfind('/') + 1));
    const std::uint32_t seed = SegmentIdentity{log_->state().log_id, Stream::readings, number}.seed();
    std::vector<Frame> frames;
    for (std::uint64_t at = kBlockBytes; at + kFrameHeaderBytes <= content.size();) {
      const auto header = read_frame_header(content.data() + at, seed);
      if (header)
        frames.push_back(
            {at, header->frame_bytes(), header->first, header->count, at + kFrameHeaderBytes + header->body_bytes});
      at += header ? header->frame_bytes() : kFrameAlignment;
    }
    return frames;
  }
  std::string only_segment() {
    const auto files = segment_files();
    EXPECT_EQ(files.size(), 1U);
    return files.at(0);
  }
  /// All sequences but those of the given ones.
  static std::vector<std::uint64_t> all_but(std::uint64_t end, const Frame& lost) {
    auto left = range(1, lost.first);
    const auto behind = range(lost.first + lost.count, end);
    left.insert(left.end(), behind.begin(), behind.end());
    return left;
  }
  std::vector<std::string> gaps() {
    std::vector<std::string> found;
    for (const auto& record : read_all(Stream::events).records) found.push_back(record.document);
    return found;
  }
  void restore(const std::vector<std::pair<std::string, std::vector<std::byte>>>& image) {
    log_.reset();
    for (const std::string& path : disk_.paths()) ASSERT_TRUE(disk_.remove(path));
    for (const auto& [path, content] : image) disk_.set_content(path, content);
  }
  std::vector<std::pair<std::string, std::vector<std::byte>>> image() const {
    std::vector<std::pair<std::string, std::vector<std::byte>>> all;
    for (const std::string& path : disk_.paths()) all.emplace_back(path, disk_.content(path));
    return all;
  }
};

TEST_F(DamageTest, DropsATornTailAtEveryByte) {
  open();
  append_numbered(5);
  append_numbered(7);
  append_numbered(9);
  const std::string path = only_segment();
  const auto frames = frames_of(path);
  ASSERT_EQ(frames.size(), 3U);
  const auto whole = image();
  const LogState known = known_;
  const std::uint64_t end = frames[2].offset + frames[2].bytes;
  for (std::uint64_t cut = frames[1].offset; cut < end; ++cut) {
    restore(whole);
    auto content = disk_.content(path);
    std::fill(content.begin() + static_cast<std::ptrdiff_t>(cut), content.end(), std::byte{0});
    disk_.set_content(path, content);
    known_ = known;
    open();
    // Padding of a frame may be cut: it is zeros.
    std::uint64_t kept = 6;
    for (std::size_t i = 1; i < 3; ++i) {
      const auto& original = whole[0].second;
      const auto from = static_cast<std::ptrdiff_t>(frames[i].offset);
      if (std::equal(original.begin() + from, original.begin() + from + static_cast<std::ptrdiff_t>(frames[i].bytes),
                     content.begin() + from)) {
        kept = frames[i].first + frames[i].count;
      }
    }
    ASSERT_EQ(log_->end(Stream::readings).sequence, kept) << "cut at " << cut;
    ASSERT_EQ(numbers(read_all()), range(1, kept)) << "cut at " << cut;
    ASSERT_THAT(log_->recovery().findings, IsEmpty()) << "cut at " << cut;
    append_numbered(3);
    kill_and_reopen();
    ASSERT_EQ(numbers(read_all()), range(1, kept + 3)) << "cut at " << cut;
    ASSERT_THAT(gaps(), IsEmpty()) << "cut at " << cut;
    ASSERT_FALSE(HasFailure());
  }
}

TEST_F(DamageTest, OpensATruncatedFileOfEveryLength) {
  open();
  for (int i = 0; i < 20; ++i) append_numbered(static_cast<std::uint64_t>(1 + i % 3));
  const std::string path = only_segment();
  const auto frames = frames_of(path);
  const auto whole = image();
  const LogState known = known_;
  const std::uint64_t end = frames.back().offset + frames.back().bytes;
  for (std::uint64_t size = 0; size <= end; ++size) {
    restore(whole);
    auto content = disk_.content(path);
    content.resize(static_cast<std::size_t>(size));
    disk_.set_content(path, content);
    known_ = known;
    open();
    std::uint64_t kept = 1;
    for (const Frame& frame : frames) kept = frame.body_end <= size ? frame.first + frame.count : kept;
    ASSERT_EQ(numbers(read_all()), range(1, kept)) << size << " bytes";
    append_numbered(2);
    ASSERT_EQ(numbers(read_all()), range(1, kept + 2)) << size << " bytes";
    ASSERT_FALSE(HasFailure());
  }
}

// All bits; or some of each byte, in turn.
constexpr std::uint64_t kFlippedBitStride = tidegate::testing::of_many(1, 5);

TEST_F(DamageTest, LosesOnlyTheTouchedFrameByAnyFlippedBit) {
  open();
  for (int i = 0; i < 12; ++i) append_numbered(static_cast<std::uint64_t>(1 + i % 3), "d/tag-" + std::to_string(i % 5));
  sync();
  append_numbered(2, "d/tag-1");
  append_numbered(2, "d/late");
  append_numbered(1, "d/late");
  sync();
  save();
  const std::uint64_t records = log_->end(Stream::readings).sequence;
  const std::string path = only_segment();
  const auto frames = frames_of(path);
  ASSERT_EQ(frames.size(), 15U);
  const LogState known = known_;
  const auto whole = image();
  const std::uint64_t end = frames.back().offset + frames.back().bytes;
  for (std::uint64_t bit = 0; bit < end * 8; bit += kFlippedBitStride) {
    // The header's block has little in it: every bit of what is used, and some of the rest.
    if (bit / 8 >= 128 && bit / 8 < kBlockBytes - 4 && bit % 97 != 0) continue;
    restore(whole);
    disk_.flip_bit(path, bit);
    known_ = known;
    open();
    const auto touched = std::find_if(frames.begin(), frames.end(), [&](const Frame& frame) {
      return frame.offset <= bit / 8 && bit / 8 < frame.offset + frame.bytes;
    });
    const auto seen = numbers(read_all());
    if (touched == frames.end()) {
      ASSERT_EQ(seen, range(1, records)) << "bit " << bit;
      continue;
    }
    // The padding behind a body belongs to no CRC.
    const auto expected = seen.size() + 1 == records ? range(1, records) : all_but(records, *touched);
    ASSERT_EQ(seen, expected) << "bit " << bit;
    ASSERT_EQ(log_->end(Stream::readings).sequence, records) << "bit " << bit;
    ASSERT_FALSE(HasFailure()) << "bit " << bit;
  }
}

TEST_F(DamageTest, RecordsDamageInTheMiddleAsAGapAndOnce) {
  open();
  for (int i = 0; i < 5; ++i) append_numbered(10);
  sync();
  save();
  const std::string path = only_segment();
  const Frame lost = frames_of(path)[2];
  disk_.flip_bit(path, (lost.offset + kFrameHeaderBytes + 5) * 8);
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, Contains(HasSubstr("sequences 21 to 30 lost")));
  sync();
  ASSERT_EQ(gaps().size(), 1U);
  EXPECT_THAT(gaps()[0], HasSubstr(R"("event":"gap","stream":"readings","epoch":1,"first":21,"last":30,"count":10,)"
                                   R"("reason":"corruption")"));
  EXPECT_EQ(numbers(read_all()), all_but(51, lost));
  EXPECT_EQ(read_all().gone.size(), 1U);
  EXPECT_EQ(read_all().gone[0].second, 10U);
  EXPECT_EQ(log_->stored(Stream::readings), 40U);
  EXPECT_EQ(log_->distance(Stream::readings, {1, 1}, log_->end(Stream::readings)), 40U);
  EXPECT_THAT(disk_.paths(), Contains(HasSubstr("log/quarantine/")));
  append_numbered(5);
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
  sync();
  EXPECT_EQ(gaps().size(), 1U) << "the same gap is recorded once";
  EXPECT_EQ(log_->stored(Stream::readings), 45U);
}

TEST_F(DamageTest, LeavesOutOfTheGapWhatEveryUplinkHadPassed) {
  open();
  for (int i = 0; i < 5; ++i) append_numbered(10);
  sync();
  save();
  const std::string path = only_segment();
  disk_.flip_bit(path, (frames_of(path)[2].offset + kFrameHeaderBytes + 5) * 8);
  kill_and_reopen();
  log_->set_passed(Stream::readings, {1, 26});
  sync();
  ASSERT_EQ(gaps().size(), 1U);
  EXPECT_THAT(gaps()[0], HasSubstr(R"("first":26,"last":30,"count":5,)"));
}

TEST_F(DamageTest, TellsDamagedDurableRecordsFromATornTail) {
  open();
  append_numbered(10);
  append_numbered(10);
  sync();
  save();
  const std::string path = only_segment();
  disk_.flip_bit(path, (frames_of(path)[1].offset + kFrameHeaderBytes) * 8);
  kill_and_reopen();
  EXPECT_EQ(log_->recovery().torn_bytes, 0U);
  EXPECT_THAT(log_->recovery().findings, Contains(HasSubstr("sequences 11 to 20 were durable and are gone")));
  EXPECT_EQ(log_->end(Stream::readings), (Position{2, 21})) << "the sequences that were given out stay so";
  append_numbered(2);
  sync();
  ASSERT_EQ(gaps().size(), 1U);
  EXPECT_THAT(gaps()[0], HasSubstr(R"("epoch":1,"first":11,"last":20,"count":10)"));
  const ReadBack seen = read_all();
  EXPECT_EQ(seen.records.size(), 12U);
  EXPECT_EQ(seen.records.back().at, (Position{2, 22}));
  kill_and_reopen();
  sync();
  EXPECT_EQ(read_all().records.size(), 12U);
  EXPECT_EQ(gaps().size(), 1U);
}

TEST_F(DamageTest, FindsDamageOfSealedSegmentsWhenTheyAreRead) {
  options_.memory_bytes_max = 4096;
  open();
  while (segment_files().size() < 3) {
    append_numbered(100);
    clock_.advance(std::chrono::seconds(1));
  }
  sync();
  sync();
  save();
  const std::uint64_t records = log_->end(Stream::readings).sequence;
  const std::string path = segment_files()[0];
  const Frame lost = frames_of(path)[3];
  disk_.flip_bit(path, (lost.offset + 20) * 8);
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, IsEmpty()) << "opening does not read sealed segments";
  EXPECT_EQ(numbers(read_all()), all_but(records, lost));
  sync();
  ASSERT_EQ(gaps().size(), 1U);
  EXPECT_THAT(gaps()[0], HasSubstr(R"("first":301,"last":400,"count":100,"reason":"corruption")"));
  EXPECT_EQ(numbers(read_all()), all_but(records, lost));
  sync();
  EXPECT_EQ(gaps().size(), 1U);
  EXPECT_EQ(log_->stored(Stream::readings), records - 1 - 100);
}

TEST_F(DamageTest, DecodesFramesWhoseTagsWereNamedInALostFrame) {
  open();
  append_numbered(3, "d/first");
  append_numbered(3, "d/second");
  append_numbered(3, "d/first");
  sync();
  save();
  const std::string path = only_segment();
  disk_.flip_bit(path, (frames_of(path)[0].offset + 20) * 8);
  kill_and_reopen();
  const ReadBack seen = read_all();
  ASSERT_EQ(numbers(seen), range(4, 10));
  EXPECT_EQ(seen.records[0].tag_path, "d/second");
  EXPECT_EQ(seen.records[3].tag_path, "d/first");
}

// The second process begins a section with numbers of its own for tags; the frame that says so is lost.
TEST_F(DamageTest, NamesNoTagByTheNumbersOfASectionBefore) {
  open();
  append_numbered(3, "d/first");
  append_numbered(3, "d/second");
  sync();
  kill_and_reopen();
  append_numbered(3, "d/second");
  append_numbered(3, "d/first");
  append_numbered(3, "d/second");
  sync();
  const std::string path = only_segment();
  disk_.flip_bit(path, (frames_of(path)[2].offset + kFrameHeaderBytes) * 8);
  for (const bool has_database : {true, false}) {
    if (!has_database) known_ = {};
    kill_and_reopen();
    const ReadBack seen = read_all();
    std::vector<std::uint64_t> left = range(1, 7);
    for (std::uint64_t sequence = 10; sequence < 16; ++sequence) left.push_back(sequence);
    ASSERT_EQ(numbers(seen), left);
    EXPECT_EQ(seen.records[6].tag_path, "d/first");
    EXPECT_EQ(seen.records[9].tag_path, "d/second");
    EXPECT_EQ(seen.records[6].at.epoch, 2U);
  }
}

// As a power cut can leave it: the header is not there, frames behind it are.
TEST_F(DamageTest, TakesAFileWithFramesForNoSpareThoughItsHeaderIsZero) {
  open();
  append_numbered(3);
  append_numbered(4);
  sync();
  auto content = disk_.content(only_segment());
  const std::uint64_t second = frames_of(only_segment())[1].offset;
  std::fill_n(content.begin(), second, std::byte{0});
  disk_.set_content(only_segment(), content);
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(4, 8));
  EXPECT_THAT(log_->recovery().findings, Contains(HasSubstr("the segment header is damaged")));
}

TEST_F(DamageTest, UsesNoFileUnderTheNumberThatItIsFoundWith) {
  open();
  append_numbered(3);
  sync();
  const std::string path = only_segment();
  auto content = disk_.content(path);
  content.assign(content.size(), std::byte{0});
  disk_.set_content(path, content);
  known_ = {};
  kill_and_reopen();
  append_numbered(1);
  EXPECT_NE(segment_files().back(), path);
}

TEST_F(DamageTest, WritesADamagedHeaderAgainSoThatTheFileSpeaksForItself) {
  open();
  append_numbered(5);
  sync();
  save();
  disk_.flip_bit(only_segment(), 100);
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, Contains(HasSubstr("the segment header is damaged")));
  sync();
  known_ = {};  // nobody but the file knows the log's id now
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(1, 6));
  EXPECT_THAT(log_->recovery().findings, IsEmpty());
}

TEST_F(DamageTest, ForgetsAQueueMarkWithAnyRecordOfItsAppend) {
  options_.segment_bytes_max = 1 << 20;
  options_.size_max_bytes[0] = 16 << 20;
  open();
  append({reading("d/number", std::uint64_t{1})}, {{7, 100}});
  std::vector<Reading> readings;
  for (std::uint64_t i = 2; i < 9000; ++i) readings.push_back(reading("d/number", i));
  append(readings, {{7, 9000}});
  const auto frames = frames_of(only_segment());
  ASSERT_GT(frames.size(), 3U);
  disk_.flip_bit(only_segment(), (frames.back().offset + kFrameHeaderBytes) * 8);
  kill_and_reopen();
  EXPECT_LT(log_->end(Stream::readings).sequence, 9000U);
  EXPECT_THAT(log_->queue_marks(), ::testing::ElementsAre(QueueMark{7, 100})) << "what was lost is taken again";
}

TEST_F(DamageTest, LooksAheadForTagsWhoseFirstTwoFramesAreLost) {
  open();
  append_numbered(3, "d/lost");
  append_numbered(3, "d/lost");
  append_numbered(3, "d/lost");
  sync();
  append_numbered(3, "d/lost");  // in a later block: names the tag again
  sync();
  save();
  const std::string path = only_segment();
  for (const std::size_t i : {0U, 1U}) disk_.flip_bit(path, (frames_of(path)[i].offset + kFrameHeaderBytes + 20) * 8);
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(7, 13));
}

TEST_F(DamageTest, KeepsAllButOneBlockWhenABlockIsLost) {
  open();
  // Many small frames in every block; each block begins with a tag that the ones before do not name.
  for (int i = 0; i < 300; ++i) append_numbered(1, "device/tag-" + std::to_string(i / 20));
  sync();
  save();
  const std::string path = only_segment();
  const auto frames = frames_of(path);
  const auto whole = image();
  const LogState known = known_;
  const std::uint64_t end = frames.back().offset + frames.back().bytes;
  for (std::uint64_t block = kBlockBytes; block < end; block += kBlockBytes) {
    restore(whole);
    auto content = disk_.content(path);
    const auto from = content.begin() + static_cast<std::ptrdiff_t>(block);
    std::fill(from, from + static_cast<std::ptrdiff_t>(kBlockBytes), std::byte{0});
    disk_.set_content(path, content);
    known_ = known;
    open();
    std::vector<std::uint64_t> expected;
    for (const Frame& frame : frames) {
      if (frame.offset + frame.bytes <= block || frame.offset >= block + kBlockBytes) expected.push_back(frame.first);
    }
    ASSERT_EQ(numbers(read_all()), expected) << "block at " << block;
  }
}

TEST_F(DamageTest, ReadsASegmentWhoseHeaderIsDamaged) {
  open();
  append_numbered(10);
  sync();
  save();
  auto content = disk_.content(only_segment());
  std::fill(content.begin(), content.begin() + kBlockBytes, std::byte{0x5a});
  disk_.set_content(only_segment(), content);
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, Contains(HasSubstr("the segment header is damaged")));
  EXPECT_EQ(numbers(read_all()), range(1, 11));
  append_numbered(5);
  kill_and_reopen();
  EXPECT_EQ(numbers(read_all()), range(1, 16));
}

TEST_F(DamageTest, PutsANewerFormatAside) {
  open();
  append_numbered(10);
  sync();
  save();
  auto content = disk_.content(only_segment());
  content[8] = std::byte{2};
  const ByteSpan head(content.data(), kBlockBytes - 4);
  store_le(content.data() + kBlockBytes - 4, crc32c(head));
  disk_.set_content(only_segment(), content);
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, Contains(HasSubstr("format version 2, this program reads up to 1")));
  EXPECT_THAT(disk_.paths(), Contains(HasSubstr("log/foreign/")));
  append_numbered(1);
  EXPECT_EQ(read_all().records.back().at.sequence, 11U);
}

TEST_F(DamageTest, OpensWhateverTheDirectoryHolds) {
  const std::uint64_t seed = testing::from_environment("TIDEGATE_SEED", 1);
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(static_cast<std::uint32_t>(seed));
  open();
  for (int i = 0; i < 100; ++i) append_numbered(20, "d/" + std::to_string(i % 7));
  sync();
  const auto whole = image();
  const LogState known = known_;
  for (int round = 0; round < 300; ++round) {
    restore(whole);
    for (const auto& [path, original] : whole) {
      auto content = original;
      for (unsigned hits = random() % 4; hits > 0; --hits) {
        const std::size_t from = random() % content.size();
        const std::size_t bytes = std::min<std::size_t>(content.size() - from, 1 + random() % 8192);
        const std::size_t source = random() % (content.size() - bytes + 1);
        for (std::size_t i = 0; i < bytes; ++i) {
          content[from + i] = hits % 2 == 0 ? original[source + i] : static_cast<std::byte>(random());
        }
      }
      if (random() % 10 == 0) content.resize(random() % content.size());
      disk_.set_content(path, content);
    }
    disk_.set_content("data/log/alarms/00000000000000000009.seg",
                      std::vector<std::byte>(random() % 9000, std::byte{7}));
    known_ = known;
    open();
    const auto seen = numbers(read_all());
    ASSERT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    append_numbered(10);
    sync();
    const auto again = numbers(read_all());
    ASSERT_GE(again.size(), 10U) << "round " << round;
    kill_and_reopen();
    ASSERT_EQ(numbers(read_all()), again) << "round " << round;
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

}  // namespace
}  // namespace tidegate::buffer
