#include "buffer/inspect.h"

#include <gmock/gmock.h>

#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

ReadRange range_from(Stream stream, Position from) {
  return {stream, {ReadPlace::Kind::position, from, {}}, std::nullopt};
}

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class InspectTest : public LogFixture {
 protected:
  std::vector<SegmentSummary> inspect() {
    auto summaries = inspect_log(disk_, "data/log");
    EXPECT_TRUE(summaries) << summaries.error().message;
    return summaries.value_or(std::vector<SegmentSummary>{});
  }
  std::vector<std::uint64_t> read(Stream stream, Position from) {
    std::vector<std::uint64_t> sequences;
    TagRegistry tags;
    const auto result = read_log(disk_, "data/log", tags, range_from(stream, from), [&](const RecordBatch& batch) {
      for (std::size_t i = 0; i < batch.size(); ++i) sequences.push_back(batch.first + i);
      return true;
    });
    EXPECT_TRUE(result) << result.error().message;
    return sequences;
  }
  void write_three_segments() {
    open();
    while (segment_files().size() < 3) append_numbered(100);
    append_document(Stream::events, R"({"event":"start"})");
    sync();
    sync();
    save();
  }
};

TEST_F(InspectTest, ListsSegmentsOfEveryStream) {
  write_three_segments();
  const auto summaries = inspect();
  ASSERT_EQ(summaries.size(), 4U);
  EXPECT_EQ(summaries[0].first, (Position{1, 1}));
  EXPECT_EQ(summaries[0].end, summaries[1].first);
  EXPECT_GT(summaries[0].frames, 0U);
  EXPECT_GT(summaries[0].bytes_used, 32'768U);
  EXPECT_EQ(summaries[2].end.sequence, log_->end(Stream::readings).sequence);
  EXPECT_EQ(summaries[3].stream, Stream::events);
  for (const auto& summary : summaries) EXPECT_THAT(summary.damage, IsEmpty()) << summary.file;
}

TEST_F(InspectTest, ChangesNothing) {
  write_three_segments();
  std::vector<std::vector<std::byte>> before;
  const auto paths = disk_.paths();
  for (const auto& path : paths) before.push_back(disk_.content(path));
  inspect();
  read(Stream::readings, {});
  ASSERT_EQ(disk_.paths(), paths);
  for (std::size_t i = 0; i < paths.size(); ++i) EXPECT_EQ(disk_.content(paths[i]), before[i]);
}

TEST_F(InspectTest, ReadsFromAnyPlaceOverEpochs) {
  write_three_segments();
  kill_and_reopen();
  append_numbered(10);
  const std::uint64_t end = log_->end(Stream::readings).sequence;
  EXPECT_EQ(read(Stream::readings, {}), range(1, end));
  EXPECT_EQ(read(Stream::readings, {1, 150}), range(150, end));
  EXPECT_EQ(read(Stream::readings, {1, end + 5}), range(end - 10, end));
  EXPECT_EQ(read(Stream::events, {}).size(), 1U);
  EXPECT_THAT(read(Stream::alarms, {}), IsEmpty());
}

TEST_F(InspectTest, StopsWhenTheVisitorHasEnough) {
  write_three_segments();
  int batches = 0;
  TagRegistry tags;
  ASSERT_TRUE(read_log(disk_, "data/log", tags, range_from(Stream::readings, {}),
                       [&](const RecordBatch&) { return ++batches < 2; }));
  EXPECT_EQ(batches, 2);
}

TEST_F(InspectTest, NamesFileOffsetAndSequencesOfDamage) {
  write_three_segments();
  disk_.flip_bit(segment_files()[0], (4096 + 64 + 3) * 8);
  const auto summaries = inspect();
  ASSERT_EQ(summaries[0].damage.size(), 1U);
  EXPECT_THAT(summaries[0].damage[0],
              ::testing::MatchesRegex("offset 4096: .*body CRC is [0-9a-f]+, should be [0-9a-f]+, "
                                      "sequences 1 to 100 lost"));
  EXPECT_THAT(summaries[1].damage, IsEmpty());
}

TEST_F(InspectTest, NamesDamageAtTheEnd) {
  open();
  append_numbered(10);
  append_numbered(10);
  const auto whole = inspect();
  disk_.flip_bit(segment_files()[0], (whole[0].bytes_used - 20) * 8);
  const auto summaries = inspect();
  ASSERT_EQ(summaries[0].damage.size(), 1U);
  EXPECT_THAT(summaries[0].damage[0], HasSubstr("sequences 11 to 20 lost"));
}

TEST_F(InspectTest, NamesADamagedHeaderAndAForeignFile) {
  write_three_segments();
  disk_.flip_bit(segment_files()[0], 100);
  disk_.set_content("data/log/readings/00000000000000000099.seg", std::vector<std::byte>(9000, std::byte{1}));
  const auto summaries = inspect();
  EXPECT_THAT(summaries[0].damage, Contains(HasSubstr("the segment header is damaged")));
  EXPECT_EQ(summaries[0].frames > 0, true);
  EXPECT_THAT(summaries[3].damage, Contains(HasSubstr("not a segment of this log")));
}

TEST_F(InspectTest, NamesWhatIsMissingBetweenSegmentsUnlessAGapRecordSaysSo) {
  write_three_segments();
  const auto whole = inspect();
  ASSERT_TRUE(disk_.remove(segment_files()[1]));
  const auto summaries = inspect();
  ASSERT_EQ(summaries[1].damage.size(), 1U);
  EXPECT_THAT(summaries[1].damage[0],
              HasSubstr("sequences " + std::to_string(whole[1].first.sequence) + " to " +
                        std::to_string(whole[1].end.sequence - 1) + " lost in front of this segment"));
  open();
  sync();
  for (const SegmentSummary& summary : inspect()) EXPECT_THAT(summary.damage, IsEmpty()) << "it is recorded now";
}

TEST_F(InspectTest, TakesWhatWasDroppedOnPurposeForNoDamage) {
  options_.when_full = WhenFull::drop_newest;
  options_.size_max_bytes[0] = 2 * kSegment;
  open();
  while (log_->dropped() == 0) append_numbered(50);
  log_->set_passed(Stream::readings, log_->end(Stream::readings));
  append_numbered(5);
  sync();
  sync();
  for (const SegmentSummary& summary : inspect()) EXPECT_THAT(summary.damage, IsEmpty()) << summary.file;
}

TEST_F(InspectTest, NamesAStreamThatCannotBeListed) {
  write_three_segments();
  testing::InMemoryFileSystem other;
  for (const char* directory : {"data", "data/log", "data/log/readings", "data/log/events"}) {
    ASSERT_TRUE(other.make_directory(directory));
  }
  for (const std::string& path : disk_.paths()) {
    if (path.find("alarms") == std::string::npos) other.set_content(path, disk_.content(path));
  }
  const auto summaries = inspect_log(other, "data/log");
  ASSERT_TRUE(summaries);
  const auto found = std::find_if(summaries->begin(), summaries->end(),
                                  [](const SegmentSummary& one) { return one.stream == Stream::alarms; });
  ASSERT_NE(found, summaries->end());
  EXPECT_THAT(found->damage, Contains(HasSubstr("alarms: no such directory")));
}

TEST_F(InspectTest, SaysWhenThereIsNoLog) {
  const auto summaries = inspect_log(disk_, "data/nowhere");
  ASSERT_FALSE(summaries);
  EXPECT_THAT(summaries.error().message, HasSubstr("data/nowhere"));
}

}  // namespace
}  // namespace tidegate::buffer
