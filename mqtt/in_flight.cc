#include "mqtt/in_flight.h"

namespace tidegate::mqtt {

InFlight::Number InFlight::add(std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  tickets_.emplace_back(ticket);
  return first_ + static_cast<Number>(tickets_.size() - 1);
}

std::optional<std::uint64_t> InFlight::take(Number number) {
  const std::lock_guard lock(mutex_);
  const Number place = number - first_;
  if (place >= tickets_.size()) return std::nullopt;
  const std::optional<std::uint64_t> ticket = tickets_[place];
  tickets_[place].reset();
  drop_taken();
  return ticket;
}

std::optional<InFlight::Number> InFlight::oldest() {
  const std::lock_guard lock(mutex_);
  if (tickets_.empty()) return std::nullopt;
  return first_;
}

std::vector<std::uint64_t> InFlight::take_all() {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint64_t> left;
  for (auto& ticket : tickets_) {
    if (ticket) left.push_back(*ticket);
    ticket.reset();
  }
  drop_taken();
  return left;
}

void InFlight::drop_taken() {
  while (!tickets_.empty() && !tickets_.front()) {
    tickets_.pop_front();
    ++first_;
  }
  if (tickets_.empty()) emptied_.notify_all();
}

bool InFlight::wait_until_empty(Duration patience) {
  std::unique_lock lock(mutex_);
  return emptied_.wait_for(lock, patience, [this] { return tickets_.empty(); });
}

}  // namespace tidegate::mqtt
