// Up to where a driver's queue has been taken into the log, found again at a start.
#include <gmock/gmock.h>

#include "buffer/segment_file.h"
#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

using ::testing::Contains;
using ::testing::UnorderedElementsAre;

class QueueMarkTest : public LogFixture {
 protected:
  void lose_from(const std::string& path, std::uint64_t offset) {
    auto content = disk_.content(path);
    std::fill(content.begin() + static_cast<std::ptrdiff_t>(offset), content.end(), std::byte{0});
    disk_.set_content(path, content);
  }
};

TEST_F(QueueMarkTest, KeepsQueueMarksWhenTheNewestSegmentHasLostItsHeader) {
  open();
  append({reading("d/number", std::uint64_t{1})}, {{7, 100}});
  while (segment_files().size() < 2) append_numbered(200);
  append({reading("d/number", log_->end(Stream::readings).sequence)}, {{8, 5}});
  disk_.flip_bit(segment_files().back(), 100);
  kill_and_reopen();
  EXPECT_THAT(log_->queue_marks(), UnorderedElementsAre(QueueMark{7, 100}, QueueMark{8, 5}));
}

// The header of the second segment tells of the queue of before the power cut alone.
TEST_F(QueueMarkTest, ComesFromTheSegmentThatHasGrownUpToAnEmptyOneOfBeforeAPowerCut) {
  open();
  append({reading("d/number", std::uint64_t{1})}, {{7, 100}});
  while (segment_files().size() < 2) append_numbered(200);
  const std::string newest = segment_files().back();
  const auto header = read_segment_header(ByteSpan(disk_.content(newest)).first(kBlockBytes)).header;
  lose_from(segment_files().front(), 4 * kBlockBytes);
  lose_from(newest, kBlockBytes);
  kill_and_reopen();
  const std::uint64_t end = log_->end(Stream::readings).sequence;
  ASSERT_LT(end, header.first);
  std::vector<Reading> readings;
  for (std::uint64_t i = end; i < header.first; ++i) readings.push_back(reading("d/number", i));
  append(readings, {{8, 5}});
  ASSERT_THAT(segment_files(), Contains(newest));
  kill_and_reopen();
  EXPECT_EQ(log_->end(Stream::readings).sequence, header.first);
  EXPECT_THAT(log_->queue_marks(), Contains(QueueMark{8, 5}));
}

// A disk wrote the third frame and not the second: its mark speaks for the records of both.
TEST_F(QueueMarkTest, DoNotCountBehindRecordsThatAPowerCutTook) {
  open();
  append({reading("d/number", std::uint64_t{1})}, {{7, 100}});
  sync();
  save();
  const std::uint64_t second = kBlockBytes + kBlockBytes;  // a sync fills a block up
  append({reading("d/number", std::uint64_t{2})}, {{7, 200}});
  append({reading("d/number", std::uint64_t{3})}, {{7, 300}});
  append({reading("d/number", std::uint64_t{4})}, {{7, 400}});
  disk_.flip_bit(segment_files().front(), (second + 60) * 8);
  kill_and_reopen();
  ASSERT_EQ(read_all().records.size(), 3U) << "the second is lost";
  EXPECT_THAT(log_->queue_marks(), UnorderedElementsAre(QueueMark{7, 100}));
  // What comes from here on is marked with what counts.
  append({reading("d/number", std::uint64_t{5})}, {{7, 101}});
  sync();
  save();
  kill_and_reopen();
  EXPECT_THAT(log_->queue_marks(), UnorderedElementsAre(QueueMark{7, 101}));
}

TEST_F(QueueMarkTest, CountBehindDurableRecordsThatAreDamaged) {
  open();
  append({reading("d/number", std::uint64_t{1})}, {{7, 100}});
  append({reading("d/number", std::uint64_t{2})}, {{7, 200}});
  append({reading("d/number", std::uint64_t{3})}, {{7, 300}});
  sync();
  save();
  disk_.flip_bit(segment_files().front(), (kBlockBytes + 200) * 8);
  kill_and_reopen();
  ASSERT_LT(read_all().records.size(), 3U);
  EXPECT_THAT(log_->queue_marks(), UnorderedElementsAre(QueueMark{7, 300}));
}

}  // namespace
}  // namespace tidegate::buffer
