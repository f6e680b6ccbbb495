#include "drivers/modbus/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <ctime>

namespace tidegate::drivers {

Interrupt::Interrupt() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Interrupt::raise() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
}

bool Interrupt::is_raised() const {
  pollfd entry{event_.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) > 0;
}

WaitResult wait_for(int fd, short events, const Interrupt& interrupt, Duration timeout) {
  if (timeout < Duration::zero()) timeout = Duration::zero();
  timespec left{};
  left.tv_sec = static_cast<std::time_t>(timeout.count() / 1'000'000'000);
  left.tv_nsec = static_cast<long>(timeout.count() % 1'000'000'000);
  pollfd entries[] = {{fd, events, 0}, {interrupt.fd(), POLLIN, 0}};
  int ready = 0;
  do {
    ready = ::ppoll(entries, 2, &left, nullptr);
  } while (ready < 0 && errno == EINTR);
  if (ready > 0 && entries[1].revents != 0) return WaitResult::interrupted;
  return ready > 0 ? WaitResult::ready : WaitResult::timed_out;
}

}  // namespace tidegate::drivers
