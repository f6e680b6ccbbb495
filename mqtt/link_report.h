#pragma once

#include <string>

#include "core/log.h"
#include "core/time.h"
#include "mqtt/broker_options.h"
#include "mqtt/client.h"

namespace tidegate::mqtt {

/// What was last told of a link. Repeats are not told: an outage is one line in the log, however often somebody tries.
/// A reason that has changed is news. What comes again and again, as with a broker that takes each connection and ends
/// it, is a line a minute. One thread.
class LinkReport {
 public:
  explicit LinkReport(const BrokerOptions& broker) : uri_(broker.uri), reconnect_most_(broker.reconnect_most) {}

  /// Whether this is news; then it is logged, but for what was said within the last minute.
  bool note(const LinkState& state, BootTime now);

 private:
  const std::string uri_;
  const Duration reconnect_most_;
  bool is_told_ = false;
  LinkState told_;
  ComplaintFilter lines_;
};

/// A connection that has ended after `lived`, without any other reason to be had.
LinkState lost_link(Duration lived, const BrokerOptions& broker);

}  // namespace tidegate::mqtt
