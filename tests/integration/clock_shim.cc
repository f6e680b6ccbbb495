// Preloaded into the daemon: its wall clock is what a test says, without setting this machine's. The boot clock is the
// real one, and the kernel cancels no timer, because it knows nothing of it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/integration/shown_clock.h"

namespace {

using tidegate::testing::ShownClock;

const ShownClock& shown() {
  static const ShownClock kReal;
  static const ShownClock* const kShown = [] {
    const char* const path = std::getenv(tidegate::testing::kShownClockVariable);
    const int fd = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return &kReal;
    void* const at = ::mmap(nullptr, sizeof(ShownClock), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    return at == MAP_FAILED ? &kReal : static_cast<const ShownClock*>(at);
  }();
  return *kShown;
}

}  // namespace

extern "C" int clock_gettime(clockid_t id, timespec* now) noexcept {
  const long result = ::syscall(SYS_clock_gettime, id, now);
  if (result != 0 || id != CLOCK_REALTIME) return static_cast<int>(result);
  const std::int64_t ahead = shown().ahead_ms;
  now->tv_sec += ahead / 1000;
  now->tv_nsec += ahead % 1000 * 1'000'000;
  if (now->tv_nsec < 0) {
    now->tv_nsec += 1'000'000'000;
    --now->tv_sec;
  } else if (now->tv_nsec >= 1'000'000'000) {
    now->tv_nsec -= 1'000'000'000;
    ++now->tv_sec;
  }
  return 0;
}

extern "C" int adjtimex(timex* state) noexcept {
  const bool is_synced = shown().is_synced != 0;
  state->status = is_synced ? STA_PLL : STA_UNSYNC;
  return is_synced ? TIME_OK : TIME_ERROR;
}
