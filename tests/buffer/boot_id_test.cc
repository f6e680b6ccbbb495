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

}  // namespace
}  // namespace tidegate::buffer
