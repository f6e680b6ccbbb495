// What opening makes of files that cannot be read, are shorter than they should be, or are damaged on a full disk.
#include <gmock/gmock.h>

#include "buffer/segment_file.h"
#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::InMemoryFileSystem;
using Operation = InMemoryFileSystem::Operation;

class FoundFilesTest : public LogFixture {
 protected:
  void fill(std::size_t segments) {
    while (segment_files().size() < segments) append_numbered(100);
    append_numbered(100);
    sync();
    save();
  }
  void damage(const std::string& path, std::uint64_t offset) { disk_.flip_bit(path, offset * 8); }
};

TEST_F(FoundFilesTest, NeverGivesTheNumberOfAFileThatCannotBeReadToAnother) {
  open();
  fill(3);
  const std::string newest = segment_files().back();
  const auto content = disk_.content(newest);
  disk_.fail(Operation::open, 0, 1000, ErrorCode::retry, newest);
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, Contains(HasSubstr("left alone")));
  for (int i = 0; i < 60; ++i) {
    append_numbered(100);
    sync();
  }
  EXPECT_EQ(disk_.content(newest), content);
}

TEST_F(FoundFilesTest, SaysThatDamageCouldNotBeCopiedAside) {
  open();
  for (int i = 0; i < 5; ++i) append_numbered(10);
  sync();
  save();
  const std::string path = segment_files().front();
  damage(path, kBlockBytes + 2 * kFrameHeaderBytes);
  disk_.fail(Operation::write, 0, 1, ErrorCode::full, "quarantine");
  kill_and_reopen();
  EXPECT_THAT(log_->recovery().findings, Contains(HasSubstr("could not be copied to quarantine")));
  EXPECT_TRUE(disk_.list("data/log/quarantine").value_or(std::vector<std::string>{}).empty());
  kill_and_reopen();
  EXPECT_THAT(disk_.paths(), Contains(HasSubstr("log/quarantine/"))) << "it is tried again";
}

// Its footer is looked for where its header says that the segment ends.
TEST_F(FoundFilesTest, GivesASegmentThatIsShorterThanItsHeaderSaysAFooterWhereItIsLookedFor) {
  open();
  append_numbered(300);
  const std::string path = segment_files().front();
  auto content = disk_.content(path);
  content.resize(content.size() - 3 * kBlockBytes);
  disk_.set_content(path, content);
  options_.segment_bytes_max = 2 * kSegment;  // so that the segment is not gone on with
  kill_and_reopen();
  append_numbered(10);
  sync();
  sync();
  const auto file = disk_.open(path, OpenMode::read);
  ASSERT_TRUE(file);
  ASSERT_EQ((*file)->size().value_or(0), kSegment);
  const SegmentIdentity identity{log_->state().log_id, Stream::readings, 1};
  EXPECT_TRUE(read_segment_footer(ByteSpan(disk_.content(path)).subspan(kSegment - kBlockBytes), identity));
  EXPECT_EQ(numbers(read_disk()), range(1, 311));
}

TEST_F(FoundFilesTest, GivesAGapThatIsFoundWhileReadingTheTimesOfItsSegment) {
  open();
  for (int i = 0; i < 5; ++i) {
    append_numbered(10);
    clock_.advance(std::chrono::seconds(10));
  }
  sync();
  save();
  kill_and_reopen();
  const std::string path = segment_files().front();
  auto content = disk_.content(path);
  for (std::size_t i = kBlockBytes; i < kBlockBytes + 200; ++i) content[i] = std::byte{0xff};
  disk_.set_content(path, content);
  (void)read_disk();
  sync();
  const auto events = read_all(Stream::events);
  ASSERT_FALSE(events.records.empty());
  EXPECT_THAT(events.records.back().document, HasSubstr("corruption"));
  EXPECT_EQ(events.records.back().document.find(R"("time_from":0,)"), std::string::npos)
      << events.records.back().document;
}

}  // namespace
}  // namespace tidegate::buffer
