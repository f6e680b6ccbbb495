#include "core/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace tidegate {

void close_on_exec(int fd) { (void)::fcntl(fd, F_SETFD, FD_CLOEXEC); }

void Descriptor::reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old < 0) return;
  const int error_number = errno;
  ::close(old);
  errno = error_number;
}

}  // namespace tidegate
