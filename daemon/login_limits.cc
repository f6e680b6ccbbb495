#include "daemon/login_limits.h"

#include <algorithm>
#include <utility>

namespace tidegate::daemon {
namespace {

std::optional<Duration> wait_for(BootTime paid_until, BootTime now) {
  // The next failure is paid for when it fits into what may come at once.
  const Duration wait = paid_until - now - LoginLimits::kAtOnce;
  return wait > Duration::zero() ? std::optional(wait) : std::nullopt;
}

void pay(BootTime& paid_until, Duration price, BootTime now) { paid_until = std::max(paid_until, now) + price; }

}  // namespace

std::optional<Duration> LoginLimits::wait(const std::string& from, BootTime now) const {
  const auto known = addresses_.find(from);
  if (known == addresses_.end()) return wait_for(all_paid_until_ + kEachOfAll, now);
  const Address& address = known->second;
  if (const auto own = wait_for(address.paid_until + kEach, now)) return own;
  if (address.welcome_until > now) return std::nullopt;
  return wait_for(all_paid_until_ + kEachOfAll, now);
}

void LoginLimits::note_failure(const std::string& from, BootTime now) {
  pay(find(from, now).paid_until, kEach, now);
  pay(all_paid_until_, kEachOfAll, now);
}

void LoginLimits::note_success(const std::string& from, BootTime now) {
  find(from, now).welcome_until = now + kWelcome;
}

LoginLimits::Address& LoginLimits::find(const std::string& from, BootTime now) {
  if (addresses_.size() >= kAddressesMax && addresses_.count(from) == 0) make_room(now);
  return addresses_[from];
}

// Who was let in stays longest, and of the others who has failed most lately.
void LoginLimits::make_room(BootTime now) {
  const auto rank = [now](const Address& address) {
    return std::pair(address.welcome_until > now, std::max(address.paid_until, address.welcome_until));
  };
  const auto least = std::min_element(addresses_.begin(), addresses_.end(),
                                      [&](const auto& a, const auto& b) { return rank(a.second) < rank(b.second); });
  addresses_.erase(least);
}

}  // namespace tidegate::daemon
