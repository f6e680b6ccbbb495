#include "daemon/admin/admin_crowd.h"

#include <algorithm>
#include <utility>

namespace tidegate::daemon {

std::optional<std::uint64_t> AdminCrowd::enter(std::string from, End end) {
  const std::size_t strangers_now = strangers();
  if (strangers_now >= strangers_most_ || (guests_.size() >= most_ && strangers_now > 0)) end_stranger();
  if (guests_.size() >= most_) end_idle();
  if (guests_.size() >= most_) return std::nullopt;
  guests_.emplace(next_, Guest{std::move(from), std::move(end)});
  return next_++;
}

void AdminCrowd::set_stranger(std::uint64_t guest, bool is_stranger) {
  if (const auto found = guests_.find(guest); found != guests_.end()) found->second.is_stranger = is_stranger;
}

void AdminCrowd::set_idle(std::uint64_t guest, bool is_idle) {
  const auto found = guests_.find(guest);
  if (found == guests_.end()) return;
  found->second.idle_since.reset();
  if (is_idle) found->second.idle_since = next_++;
}

std::size_t AdminCrowd::strangers() const {
  return static_cast<std::size_t>(
      std::count_if(guests_.begin(), guests_.end(), [](const auto& guest) { return guest.second.is_stranger; }));
}

void AdminCrowd::end_stranger() {
  std::map<std::string, std::size_t> by_address;
  std::size_t most = 0;
  for (const auto& [number, guest] : guests_) {
    if (guest.is_stranger) most = std::max(most, ++by_address[guest.from]);
  }
  const auto oldest = std::find_if(guests_.begin(), guests_.end(), [&](const auto& guest) {
    return guest.second.is_stranger && by_address[guest.second.from] == most;
  });
  end(oldest);
}

void AdminCrowd::end_idle() {
  auto longest = guests_.end();
  for (auto guest = guests_.begin(); guest != guests_.end(); ++guest) {
    const auto since = guest->second.idle_since;
    if (since && (longest == guests_.end() || *since < *longest->second.idle_since)) longest = guest;
  }
  if (longest != guests_.end()) end(longest);
}

void AdminCrowd::end(Guests::iterator guest) {
  const End end = std::move(guest->second.end);
  guests_.erase(guest);
  end();
}

}  // namespace tidegate::daemon
