#include "uplink/append_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

#include "tests/support/temporary_directory.h"

namespace {

// What the two calls below, which stand in for the C library's, are to do and have seen.
std::atomic<bool> refuses_to_cut = false;
std::atomic<int> flushes_until_failure = -1;
std::atomic<off_t> flushed_to = 0;
std::atomic<off_t> unflushed_max = 0;

}  // namespace

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
extern "C" int ftruncate(int descriptor, off_t size) noexcept {
  if (!refuses_to_cut) return static_cast<int>(::syscall(SYS_ftruncate, descriptor, size));
  errno = EIO;
  return -1;
}

extern "C" int fdatasync(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) == 0) {
    unflushed_max = std::max(unflushed_max.load(), status.st_size - flushed_to.load());
    flushed_to = status.st_size;
  }
  if (flushes_until_failure < 0 || flushes_until_failure-- > 0) {
    return static_cast<int>(::syscall(SYS_fdatasync, descriptor));
  }
  errno = EIO;
  return -1;
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)

namespace tidegate::uplink::testing {
namespace {

using ::testing::HasSubstr;
using tidegate::testing::read_file;
using tidegate::testing::TemporaryDirectory;

const LineForm kBeginning{"{"};
constexpr std::size_t kTailWindow = std::size_t{8} << 20;

class AppendFileTest : public ::testing::Test {
 protected:
  AppendFileTest() : path_(directory_ / "out.ndjson") {
    refuses_to_cut = false;
    flushes_until_failure = -1;
    flushed_to = unflushed_max = 0;
  }
  ~AppendFileTest() override {
    refuses_to_cut = false;
    flushes_until_failure = -1;
  }

  void open() {
    auto file = AppendFile::open(path_, kBeginning);
    ASSERT_TRUE(file) << file.error().message;
    file_ = std::move(*file);
  }
  std::string text() const { return read_file(path_); }

  // As on a disk that has room for `bytes` only; the write that meets the end is a short one.
  Result<void> append_into(rlim_t bytes, std::string_view lines) {
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit old_limit{};
    ::getrlimit(RLIMIT_FSIZE, &old_limit);
    const rlimit limit{bytes, old_limit.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto appended = file_->append(lines);
    ::setrlimit(RLIMIT_FSIZE, &old_limit);
    std::signal(SIGXFSZ, old_handler);
    return appended;
  }

  TemporaryDirectory directory_;
  std::string path_;
  std::unique_ptr<AppendFile> file_;
};

TEST_F(AppendFileTest, AppendsNothingBehindATornLineThatCouldNotBeCut) {
  open();
  ASSERT_TRUE(file_->append("{1}\n"));
  refuses_to_cut = true;
  ASSERT_FALSE(append_into(6, "{22222}\n"));
  refuses_to_cut = false;
  EXPECT_TRUE(file_->sync());  // what was appended whole still counts
  EXPECT_FALSE(file_->is_in_place());
  EXPECT_FALSE(file_->append("{3}\n"));
  open();
  ASSERT_TRUE(file_->append("{3}\n"));
  EXPECT_EQ(text(), "{1}\n{3}\n");
}

TEST_F(AppendFileTest, LeavesLessUnflushedThanTheNextOpenLooksThrough) {
  open();
  const std::string many(3 * kTailWindow, '\n');
  ASSERT_TRUE(file_->append(many));
  for (std::size_t i = 0; i < 40; ++i) ASSERT_TRUE(file_->append(std::string_view(many).substr(0, kTailWindow / 20)));
  ASSERT_TRUE(file_->sync());
  EXPECT_LT(unflushed_max.load(), static_cast<off_t>(kTailWindow));
}

TEST_F(AppendFileTest, CountsNothingSinceTheLastSyncWhenAFlushBetweenFails) {
  open();
  ASSERT_TRUE(file_->append("{1}\n"));
  ASSERT_TRUE(file_->sync());
  ASSERT_TRUE(file_->append("{2}\n"));
  flushes_until_failure = 1;
  const auto appended = file_->append(std::string(2 * kTailWindow, '\n'));
  ASSERT_FALSE(appended);
  EXPECT_THAT(appended.error().message, HasSubstr("fdatasync " + path_));
  flushes_until_failure = -1;
  EXPECT_FALSE(file_->append("{4}\n"));
  EXPECT_FALSE(file_->sync());
  EXPECT_EQ(text(), "{1}\n");
}

}  // namespace
}  // namespace tidegate::uplink::testing
