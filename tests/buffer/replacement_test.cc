// What a stream does whose tail has to be written anew, and cannot be.
#include "tests/buffer/log_fixture.h"

namespace tidegate::buffer {
namespace {

using testing::InMemoryFileSystem;
using Operation = InMemoryFileSystem::Operation;

constexpr std::size_t kForEver = SIZE_MAX / 2;

class ReplacementTest : public LogFixture {
 protected:
  ErrorCode refusal() {
    const auto first = log_->append(std::vector{reading("d/number", std::uint64_t{0})}, now(), {});
    EXPECT_FALSE(first);
    return first ? ErrorCode::full : first.error().code;
  }
  void try_again_for(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      clock_.advance(std::chrono::seconds(2));
      sync();
    }
  }
};

// A pipeline takes `invalid` for records that will never be taken, and gives them up.
TEST_F(ReplacementTest, NeverBlamesTheRecordsForTheDisk) {
  for (const Operation operation : {Operation::write, Operation::open, Operation::reserve}) {
    for (const ErrorCode code : {ErrorCode::invalid, ErrorCode::not_found, ErrorCode::corrupt}) {
      disk_.wipe();
      ASSERT_TRUE(disk_.make_directory("data"));
      known_ = {};
      open();
      append_numbered(5);
      sync();
      disk_.fail(operation, 0, kForEver, code);
      bool refused = false;
      for (int i = 0; i < 100'000 && !refused; ++i) {
        const std::uint64_t next = log_->end(Stream::readings).sequence;
        const auto first = log_->append(std::vector{reading("d/number", next)}, now(), {});
        refused = !first;
        ASSERT_TRUE(first || first.error().code == ErrorCode::retry) << first.error().message;
      }
      ASSERT_TRUE(refused);
      try_again_for(3);
      ASSERT_EQ(refusal(), ErrorCode::retry);
      const std::uint64_t end = log_->end(Stream::readings).sequence;
      disk_.fail_never();
      try_again_for(3);
      append_numbered(3);
      EXPECT_EQ(numbers(read_all()), range(1, end + 3));
    }
  }
}

TEST_F(ReplacementTest, LeavesNoFileBehindHoweverOftenItFails) {
  open();
  append_numbered(5);
  sync();
  append_numbered(5);
  const std::size_t before = segment_files().size();
  disk_.fail(Operation::write, 0, kForEver, ErrorCode::retry);
  EXPECT_EQ(refusal(), ErrorCode::retry);
  try_again_for(20);
  EXPECT_LE(segment_files().size(), before + 1);
  disk_.fail_never();
  try_again_for(5);
  EXPECT_EQ(numbers(read_all()), range(1, 11));
  EXPECT_LE(segment_files().size(), before + 2) << "the new one and the next";
}

}  // namespace
}  // namespace tidegate::buffer
