// tidegate-clock FILE: keeps what the kernel says of the clock in FILE (core/clock_state.h), until it is ended.

#include <fcntl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <iostream>
#include <string>

#include "core/clock_state.h"
#include "core/descriptor.h"
#include "core/log.h"
#include "daemon/service_manager.h"

namespace tidegate::daemon {
namespace {

constexpr Duration kPause = std::chrono::milliseconds(500);

int complain(const std::string& what) {
  std::cerr << journal_prefix(LogLevel::error) << "tidegate-clock: " << what << '\n';
  return 1;
}

// Returns after the pause, and as soon as the clock is set: either ends the read, and which does not matter.
bool wait(int timer, const Clock& clock) {
  const auto until = clock.wall_now().time_since_epoch() + kPause;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(until);
  itimerspec when{};
  when.it_value.tv_sec = static_cast<std::time_t>(seconds.count());
  when.it_value.tv_nsec = static_cast<long>((until - seconds).count());
  const int flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
  if (::timerfd_settime(timer, flags, &when, nullptr) != 0) return errno == ECANCELED;
  std::uint64_t expired = 0;
  return ::read(timer, &expired, sizeof expired) > 0 || errno == ECANCELED || errno == EINTR;
}

int tell(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file.is_open()) return complain(describe_errno("open " + path, errno));
  const Descriptor timer(::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC));
  if (!timer.is_open()) return complain(describe_errno("timerfd_create", errno));
  const SystemClock clock;
  const ServiceManager service;
  for (bool is_first = true;; is_first = false) {
    // The quality last: a clock that is set between the two is not called synced by where it was.
    ClockState state{ClockQuality::estimated, clock.boot_now(), wall_less_boot(clock)};
    state.quality = kernel_clock_quality();
    const std::string line = format_clock_state(state);
    const ssize_t written = ::pwrite(file.get(), line.data(), line.size(), 0);
    if (written != static_cast<ssize_t>(line.size())) return complain(describe_errno("write " + path, errno));
    if (is_first) service.ready();
    service.feed_watchdog();
    if (!wait(timer.get(), clock)) return complain(describe_errno("timerfd", errno));
  }
}

}  // namespace
}  // namespace tidegate::daemon

int main(int argc, char** argv) {
  if (argc != 2 || *argv[1] == '-') {
    std::cerr << "Usage: tidegate-clock FILE\nKeeps in FILE whether the system clock is synchronised.\n";
    return 64;
  }
  return tidegate::daemon::tell(argv[1]);
}
