#pragma once

#include <mqtt/async_client.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "mqtt/client.h"
#include "mqtt/connect_failure.h"
#include "mqtt/in_flight.h"
#include "mqtt/subscribe_answer.h"
#include "mqtt/unsent_store.h"

namespace tidegate::mqtt {

/// What happens on a connection, told on Paho's thread while Paho holds its lock: no call into Paho from there.
class ConnectionEvents {
 public:
  virtual ~ConnectionEvents() = default;
  virtual void on_connected() = 0;
  virtual void on_connect_failed(const ConnectFailure& failure) = 0;
  virtual void on_subscribed(const SubscribeAnswer& answer) = 0;
  virtual void on_lost() = 0;
  virtual void on_published(InFlight::Number number, bool ok) = 0;
  virtual void on_message(std::string_view topic, std::string_view payload, bool retained, bool duplicate) = 0;
};

/// One attempt at a connection, and the connection that comes of it: made, used and destroyed on the calls thread.
/// It is never connected twice: Paho would send again, in an order of its own, what was given up with the old
/// connection, and an object that is gone cannot report late. Once the destructor has returned no event comes any more;
/// it waits for a callback that runs, of whatever client. `events` outlives it.
class PahoConnection {
 public:
  PahoConnection(const BrokerOptions& broker, ConnectionEvents& events);
  ~PahoConnection();
  PahoConnection(const PahoConnection&) = delete;
  PahoConnection& operator=(const PahoConnection&) = delete;

  /// Begins to connect. Error: nothing was begun, and no event will come.
  Result<void> connect(const std::optional<ConnectionWill>& will);
  Result<void> subscribe(const std::vector<Subscription>& subscriptions);
  /// Error: Paho did not take it, and no on_published will come.
  Result<void> publish(InFlight::Number number, std::string topic, std::string payload, int qos);
  Result<void> publish_at_most_once(std::string topic, std::string payload);

 private:
  class ConnectListener;
  class SubscribeListener;
  class PublishListener;

  ::mqtt::connect_options connect_options(const std::optional<ConnectionWill>& will) const;
  void install_handlers();
  void end_handshake();

  const BrokerOptions& broker_;
  ConnectionEvents& events_;
  std::vector<Subscription> subscriptions_;
  std::unique_ptr<ConnectListener> connect_listener_;
  std::unique_ptr<SubscribeListener> subscribe_listener_;
  std::unique_ptr<PublishListener> publish_listener_;
  std::atomic<bool> handshake_watched_{false};
  UnsentStore unsent_;
  std::unique_ptr<::mqtt::async_client> client_;  // last: its destructor calls the listeners
};

}  // namespace tidegate::mqtt
