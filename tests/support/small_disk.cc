#include "tests/support/small_disk.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace tidegate::testing {

SmallDisk::SmallDisk(std::string directory, std::uint64_t bytes) : directory_(std::move(directory)) {
  ::mkdir(directory_.c_str(), 0700);
  const std::string options = "mode=0700,size=" + std::to_string(bytes);
  if (::mount("tmpfs", directory_.c_str(), "tmpfs", 0, options.c_str()) != 0) {
    problem_ = std::string("cannot mount a tmpfs: ") + std::strerror(errno);
  }
}

SmallDisk::~SmallDisk() {
  if (problem_.empty()) ::umount2(directory_.c_str(), MNT_DETACH);
}

void SmallDisk::fill_up() {
  const int fd = ::open(filler().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) throw std::runtime_error("open " + filler() + ": " + std::strerror(errno));
  const std::vector<char> zeros(std::size_t{64} * 1024);
  int error_number = 0;
  for (std::size_t size = zeros.size(); size >= 512;) {
    if (::write(fd, zeros.data(), size) > 0) continue;
    error_number = errno;
    size /= 2;
  }
  ::close(fd);
  if (error_number != ENOSPC) throw std::runtime_error("fill " + filler() + ": " + std::strerror(error_number));
}

void SmallDisk::free_again() { ::unlink(filler().c_str()); }

}  // namespace tidegate::testing
