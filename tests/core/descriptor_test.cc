#include "core/descriptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace tidegate {
namespace {

class DescriptorTest : public ::testing::Test {
 protected:
  static int open_one() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
  static bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }
};

TEST_F(DescriptorTest, ClosesWhatItOwns) {
  const int fd = open_one();
  {
    const Descriptor owner(fd);
    EXPECT_TRUE(owner.is_open());
    EXPECT_TRUE(is_open(fd));
  }
  EXPECT_FALSE(is_open(fd));
}

TEST_F(DescriptorTest, HandsOverByMoving) {
  const int first = open_one();
  const int second = open_one();
  Descriptor owner(first);
  Descriptor taker(std::move(owner));
  EXPECT_EQ(taker.get(), first);
  EXPECT_TRUE(is_open(first));
  taker = Descriptor(second);
  EXPECT_FALSE(is_open(first));
  EXPECT_TRUE(is_open(second));
}

TEST_F(DescriptorTest, GivesUpWhatItReleases) {
  const int fd = open_one();
  {
    Descriptor owner(fd);
    EXPECT_EQ(owner.release(), fd);
    EXPECT_FALSE(owner.is_open());
  }
  EXPECT_TRUE(is_open(fd));
  ::close(fd);
}

TEST_F(DescriptorTest, LeavesErrnoAlone) {
  Descriptor owner(open_one());
  errno = ENOSPC;
  owner.reset();
  EXPECT_EQ(errno, ENOSPC);

  const int gone = open_one();
  ::close(gone);
  errno = ENOSPC;
  Descriptor(gone).reset();  // close() fails here
  EXPECT_EQ(errno, ENOSPC);
}

}  // namespace
}  // namespace tidegate
