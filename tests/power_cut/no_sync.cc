// Syncs of which every fourth says that it is done and does nothing.
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace {

constexpr unsigned kLieEvery = 4;

int sync_or_lie(long number, int fd) {
  static std::atomic<unsigned> count = 0;
  return ++count % kLieEvery == 0 ? 0 : static_cast<int>(::syscall(number, fd));
}

}  // namespace

extern "C" {
int fsync(int fd) { return sync_or_lie(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_or_lie(SYS_fdatasync, fd); }
}
