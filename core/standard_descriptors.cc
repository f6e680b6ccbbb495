#include "core/standard_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

namespace tidegate {

void fill_standard_descriptors() {
  while (true) {
    // The lowest number that is free. Without close-on-exec: who we start is not to be without, either.
    const int fd = ::open("/dev/null", O_RDONLY);
    if (fd > STDERR_FILENO) ::close(fd);
    if (fd < 0 || fd > STDERR_FILENO) return;
  }
}

}  // namespace tidegate
