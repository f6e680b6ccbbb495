#include "mqtt/in_flight.h"

#include <utility>

namespace tidegate::mqtt {

InFlight::Number InFlight::add(std::uint64_t ticket, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  open_.push_back({ticket, bytes});
  return first_ + static_cast<Number>(open_.size() - 1);
}

std::optional<std::uint64_t> InFlight::take(Number number) {
  const std::lock_guard lock(mutex_);
  const Number place = number - first_;
  if (place >= open_.size()) return std::nullopt;
  const std::optional<std::uint64_t> ticket = std::exchange(open_[place].ticket, std::nullopt);
  drop_taken();
  return ticket;
}

std::optional<InFlight::Oldest> InFlight::oldest() {
  const std::lock_guard lock(mutex_);
  if (open_.empty()) return std::nullopt;
  return Oldest{first_, open_.front().bytes};
}

std::vector<std::uint64_t> InFlight::take_all() {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint64_t> left;
  for (Open& open : open_) {
    if (open.ticket) left.push_back(*open.ticket);
    open.ticket.reset();
  }
  drop_taken();
  return left;
}

void InFlight::drop_taken() {
  while (!open_.empty() && !open_.front().ticket) {
    open_.pop_front();
    ++first_;
  }
  if (open_.empty()) emptied_.notify_all();
}

bool InFlight::wait_until_empty(Duration patience) {
  std::unique_lock lock(mutex_);
  return emptied_.wait_for(lock, patience, [this] { return open_.empty(); });
}

}  // namespace tidegate::mqtt
