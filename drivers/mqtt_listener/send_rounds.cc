#include "drivers/mqtt_listener/send_rounds.h"

#include <algorithm>

#include "core/time.h"
#include "drivers/mqtt_listener/connection.h"

namespace tidegate::drivers {
namespace {

// A round takes a few tenths of a millisecond.
constexpr std::size_t kRoundBudget = std::size_t{64} * 1024;
constexpr std::size_t kShare = std::size_t{16} * 1024;
constexpr Duration kPause = std::chrono::milliseconds(2);

}  // namespace

void SendRounds::add(Connection& connection) {
  subscribers_.push_back(&connection);
  want(connection);
}

void SendRounds::remove(Connection& connection) {
  std::erase(subscribers_, &connection);
  std::erase_if(waiting_, [&](const auto& one) { return one.get() == &connection; });
}

void SendRounds::note_changed(const IndexSet& changed) {
  for (Connection* connection : subscribers_) {
    if (Subscriber* subscriber = connection->session().subscriber()) subscriber->note_changed(changed);
    want(*connection);
  }
}

void SendRounds::want(Connection& connection) {
  if (!connection.can_send_latest()) return;
  const bool is_waiting =
      std::any_of(waiting_.begin(), waiting_.end(), [&](const auto& one) { return one.get() == &connection; });
  if (!is_waiting) waiting_.push_back(connection.shared_from_this());
  arm();
}

void SendRounds::arm() {
  if (std::exchange(is_armed_, true)) return;
  timer_.expires_after(kPause);
  timer_.async_wait([this, alive = alive_](const boost::system::error_code& cancelled) {
    if (*alive && !cancelled) serve();
  });
}

void SendRounds::serve() {
  is_armed_ = false;
  std::size_t budget = kRoundBudget;
  while (!waiting_.empty() && budget > 0) {
    const auto connection = waiting_.front();
    waiting_.pop_front();
    const std::size_t share = std::min(kShare, budget);
    std::size_t left = share;
    connection->send_latest(left);
    budget -= std::max<std::size_t>(share - left, 1);
    want(*connection);
  }
  if (!waiting_.empty()) arm();
}

}  // namespace tidegate::drivers
