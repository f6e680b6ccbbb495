#pragma once

#include <utility>
#include <vector>

#include "drivers/driver.h"
#include "mqtt/client.h"

namespace tidegate::drivers {

/// The state of a driver's connection to its broker, and what of its changes goes into the stream `events`. One thread,
/// or whoever calls sees to it.
class LinkNews {
 public:
  /// Whether there is an event of it.
  bool note(const mqtt::LinkState& state) {
    const bool is_news = !is_told_ || is_working(link_) != is_working(state);
    is_told_ = true;
    link_ = state;
    if (is_news) events_.push_back({is_working(state) ? "driver-up" : "driver-down", {}, state.detail});
    return is_news;
  }
  const mqtt::LinkState& link() const { return link_; }
  bool is_working() const { return is_working(link_); }
  std::vector<DriverEvent> take_events() { return std::exchange(events_, {}); }

  // A connection that brings nothing of what was subscribed to is as bad as none.
  static bool is_working(const mqtt::LinkState& link) { return link.up && link.problem == mqtt::LinkProblem::none; }

 private:
  mqtt::LinkState link_{false, mqtt::LinkProblem::none, "not connected yet"};
  bool is_told_ = false;
  std::vector<DriverEvent> events_;
};

}  // namespace tidegate::drivers
