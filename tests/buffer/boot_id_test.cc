#include <cstring>

#include "buffer/frame.h"
#include "buffer/segment_format.h"
#include "core/crc32c.h"
#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

class BootIdTest : public LogFixture {
 protected:
  BootId of_disk(std::uint64_t sequence) {
    const auto outcome = log_->disk_reader(Stream::readings)->read({1, sequence});
    EXPECT_TRUE(outcome && outcome->batch);
    return outcome && outcome->batch ? outcome->batch->boot_id : BootId{};
  }
  // The first frame of the file's first section, with another id and the sums that go with it.
  void begun_by(const std::string& path, const BootId& boot_id) {
    auto content = disk_.content(path);
    const std::uint32_t seed = SegmentIdentity{log_->state().log_id, Stream::readings, 1}.seed();
    auto header = read_frame_header(content.data() + kBlockBytes, seed);
    ASSERT_TRUE(header && header->section_start());
    std::byte* body = content.data() + kBlockBytes + kFrameHeaderBytes;
    std::memcpy(body, boot_id.data(), boot_id.size());
    header->body_crc = crc32c({body, header->body_bytes}, seed);
    write_frame_header(*header, seed, content.data() + kBlockBytes);
    disk_.set_content(path, content);
  }
  const BootId boot_id_ = read_boot_id().value_or(BootId{});
};

TEST_F(BootIdTest, IsWithWhatIsReadFromMemoryAndFromDisk) {
  open();
  append_numbered(10);
  sync();
  clock_.advance(std::chrono::seconds(1));
  append_numbered(10);
  sync();
  ASSERT_NE(boot_id_, BootId{});
  EXPECT_EQ(log_->read(Stream::readings, {1, 15}).batch->boot_id, boot_id_);
  EXPECT_EQ(of_disk(1), boot_id_);
  EXPECT_EQ(of_disk(15), boot_id_) << "it stands only in the first frame of a section";
}

TEST_F(BootIdTest, IsReadAgainAfterARestartAndInEverySegment) {
  open();
  for (int i = 0; i < 40; ++i) {
    append({reading("d/filler", std::string(8'000, 'x'))});
    sync();
    clock_.advance(std::chrono::seconds(1));
  }
  close();
  open();
  for (const std::uint64_t sequence : {1U, 20U, 33U, 40U}) EXPECT_EQ(of_disk(sequence), boot_id_) << sequence;
}

// What lay in the page cache of a machine that was killed is of its earlier start, wherever it is written.
TEST_F(BootIdTest, StaysWithWhatIsWrittenAnew) {
  open();
  append_numbered(10);
  const std::string path = segment_files().front();
  const BootId other{1, 2, 3};
  begun_by(path, other);
  kill_and_reopen();
  ASSERT_EQ(of_disk(1), other);
  append_numbered(5);
  disk_.fail(testing::InMemoryFileSystem::Operation::sync, 0, 1, ErrorCode::retry);
  sync();
  EXPECT_NE(segment_files().front(), path);
  EXPECT_EQ(numbers(read_all()), range(1, 16));
  EXPECT_EQ(log_->read(Stream::readings, {1, 1}).batch->boot_id, other) << "from memory";
  EXPECT_EQ(of_disk(1), other);
  EXPECT_EQ(log_->read(Stream::readings, {2, 11}).batch->boot_id, boot_id_);
  kill_and_reopen();
  EXPECT_EQ(of_disk(1), other);
}

}  // namespace
}  // namespace tidegate::buffer
