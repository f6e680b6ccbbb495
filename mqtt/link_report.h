#pragma once

#include <string>

#include "core/time.h"
#include "mqtt/broker_options.h"
#include "mqtt/client.h"

namespace tidegate::mqtt {

/// What was last told of a link. Repeats are not told: an outage is one line in the log, however often somebody tries.
/// A reason that has changed is news. One thread.
class LinkReport {
 public:
  explicit LinkReport(const BrokerOptions& broker) : uri_(broker.uri), reconnect_most_(broker.reconnect_most) {}

  /// Whether this is news; then it is logged.
  bool note(const LinkState& state);

 private:
  const std::string uri_;
  const Duration reconnect_most_;
  bool is_told_ = false;
  LinkState told_;
};

/// A connection that has ended after `lived`, without any other reason to be had.
LinkState lost_link(Duration lived, const BrokerOptions& broker);

}  // namespace tidegate::mqtt
