#include "uplink/transport_inbox.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

namespace tidegate::uplink {

Result<void> TransportInbox::open() {
  wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.is_open()) return fail(ErrorCode::retry, std::string("eventfd: ") + std::strerror(errno));
  return {};
}

bool TransportInbox::put(const OutgoingBatch& batch) {
  const std::lock_guard lock(mutex_);
  if (ends_by_ || !wake_.is_open()) return false;
  batches_.push_back(batch);
  if (batches_.size() == 1) wake();
  return true;
}

bool TransportInbox::end(Duration grace) {
  const std::lock_guard lock(mutex_);
  if (ends_by_) return false;
  ends_by_ = clock_.boot_now() + grace;
  if (wake_.is_open()) wake();
  return true;
}

std::optional<BootTime> TransportInbox::take(std::vector<OutgoingBatch>& into) {
  into.clear();
  const std::lock_guard lock(mutex_);
  batches_.swap(into);
  return ends_by_;
}

void TransportInbox::wait(std::optional<Duration> most) const {
  int timeout = -1;
  if (most) {
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(std::max(*most, Duration::zero())).count();
    timeout = static_cast<int>(std::min<std::int64_t>(milliseconds, std::numeric_limits<int>::max()));
  }
  pollfd readable{wake_.get(), POLLIN, 0};
  if (::poll(&readable, 1, timeout) <= 0) return;
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof(count));
}

std::optional<BootTime> TransportInbox::ends_by() const {
  const std::lock_guard lock(mutex_);
  return ends_by_;
}

void TransportInbox::wake() const {
  constexpr std::uint64_t kOne = 1;
  // It can only fail where it is readable already.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &kOne, sizeof(kOne));
}

}  // namespace tidegate::uplink
