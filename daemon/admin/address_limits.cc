#include "daemon/admin/address_limits.h"

#include <algorithm>
#include <utility>

namespace tidegate::daemon {
namespace {

// The next one is paid for when it fits into what may come at once.
Duration time_to_wait(const AddressLimits::Rate& rate, BootTime paid_until, BootTime now) {
  return paid_until + rate.each - now - rate.at_once * rate.each;
}

// Who does not wait for the others makes them wait no longer than what may come at once.
void pay(const AddressLimits::Rate& rate, BootTime& paid_until, BootTime now) {
  paid_until = std::min(std::max(paid_until, now) + rate.each, now + rate.at_once * rate.each);
}

}  // namespace

std::optional<AddressLimits::Wait> AddressLimits::wait(const std::string& from, BootTime now) const {
  const auto known = addresses_.find(from);
  if (known != addresses_.end()) {
    const Duration own = time_to_wait(rate_of(known->second, now), known->second.paid_until, now);
    if (own > Duration::zero()) return Wait{own, false};
    if (known->second.welcome_until > now) return std::nullopt;
  }
  const Duration others = time_to_wait(all_, all_paid_until_, now);
  return others > Duration::zero() ? std::optional(Wait{others, true}) : std::nullopt;
}

void AddressLimits::take(const std::string& from, BootTime now) {
  Address& address = find(from, now);
  pay(rate_of(address, now), address.paid_until, now);
  pay(all_, all_paid_until_, now);
}

void AddressLimits::welcome(const std::string& from, BootTime now) { find(from, now).welcome_until = now + kWelcome; }

AddressLimits::Address& AddressLimits::find(const std::string& from, BootTime now) {
  if (addresses_.size() >= kAddressesMax && addresses_.count(from) == 0) make_room(now);
  return addresses_[from];
}

// Who was let in stays longest, and of the others who has paid for most.
void AddressLimits::make_room(BootTime now) {
  const auto rank = [now](const Address& address) {
    return std::pair(address.welcome_until > now, std::max(address.paid_until, address.welcome_until));
  };
  const auto least = std::min_element(addresses_.begin(), addresses_.end(),
                                      [&](const auto& a, const auto& b) { return rank(a.second) < rank(b.second); });
  addresses_.erase(least);
}

}  // namespace tidegate::daemon
