#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "mqtt/client.h"
#include "mqtt/in_flight.h"
#include "mqtt/subscribe_answer.h"

namespace tidegate::mqtt {

/// What comes of a connection, told on the clients' thread. Whoever is told lets the connection be until that is over,
/// but for its end: then it may be closed.
class ConnectionEvents {
 public:
  virtual ~ConnectionEvents() = default;
  virtual void on_connected() = 0;
  /// The end, before on_connected().
  virtual void on_connect_failed(LinkState why) = 0;
  virtual void on_subscribed(const SubscribeAnswer& answer) = 0;
  /// The end, after on_connected(). Nothing where the broker, or the network, ended it without a word.
  virtual void on_lost(std::optional<LinkState> why) = 0;
  virtual void on_published(InFlight::Number number, bool ok) = 0;
  /// In place of on_published(), where the broker has said why it does not take it.
  virtual void on_refused(InFlight::Number number, const PublishRefusal& refusal) = 0;
  /// True: it is taken, and acknowledged. False: not now, it is brought again some milliseconds later.
  virtual bool on_message(std::string_view topic, std::string_view payload, bool retained, bool duplicate) = 0;
  /// A message that is larger than BrokerOptions allow: it is let pass by, and acknowledged.
  virtual void on_message_too_large(std::string_view topic, std::uint64_t bytes) = 0;
};

}  // namespace tidegate::mqtt
