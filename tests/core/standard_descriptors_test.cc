#include "core/standard_descriptors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

namespace tidegate {
namespace {

// In a process of its own, which has nothing to say afterwards but how it ends.
[[noreturn]] void start_with_all_closed() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(fd);
  fill_standard_descriptors();
  const int next = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  char byte = 0;
  const bool gives_nothing = ::read(STDIN_FILENO, &byte, 1) == 0;
  const bool takes_nothing =
      ::write(STDOUT_FILENO, &byte, 1) == -1 && errno == EBADF && ::write(STDERR_FILENO, &byte, 1) == -1;
  ::_exit(next > STDERR_FILENO && gives_nothing && takes_nothing ? 0 : 1);
}

TEST(StandardDescriptorsTest, nothing_else_gets_their_numbers) {
  EXPECT_EXIT(start_with_all_closed(), ::testing::ExitedWithCode(0), "");
}

TEST(StandardDescriptorsTest, leaves_those_that_are_open) {
  const int before = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(before);
  fill_standard_descriptors();
  const int after = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(after);
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace tidegate
