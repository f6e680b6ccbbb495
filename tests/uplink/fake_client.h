#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mqtt/client.h"
#include "uplink/mqtt_transport.h"

namespace tidegate::uplink::testing {

struct Published {
  std::uint64_t ticket = 0;
  std::string topic;
  std::string payload;
  int qos = 1;
  mqtt::MessageProperties properties{};
};

/// What the fake client was asked to do; outlives it.
struct ClientLog {
  mqtt::BrokerOptions broker;
  std::size_t subscriptions = 0;
  std::vector<std::string> filters{};
  mqtt::ClientHandlers handlers;
  std::vector<Published> published;
  bool started = false;
  bool stopped = false;
  int reconnects = 0;
};

/// An mqtt::Client without a network: what it is asked is written down, what happens is called on its handlers.
class FakeClient final : public mqtt::Client {
 public:
  explicit FakeClient(std::shared_ptr<ClientLog> log) : log_(std::move(log)) {}
  void start() override { log_->started = true; }
  bool stop(Duration) override { return log_->stopped = true; }
  void publish(mqtt::Publication message) override { put(std::move(message)); }
  void publish_at_most_once(std::string, std::string) override {}
  void publish_in(std::uint64_t, mqtt::Publication message) override { put(std::move(message)); }
  void reconnect(std::uint64_t) override { ++log_->reconnects; }

 private:
  void put(mqtt::Publication message) {
    log_->published.push_back({message.ticket, std::move(message.topic), std::move(message.payload), message.qos,
                               std::move(message.properties)});
  }

  std::shared_ptr<ClientLog> log_;
};

inline MqttClientFactory fake_client_factory(const std::shared_ptr<ClientLog>& log) {
  return
      [log](mqtt::BrokerOptions broker, std::vector<mqtt::Subscription> subscriptions, mqtt::ClientHandlers handlers) {
        log->broker = std::move(broker);
        log->subscriptions = subscriptions.size();
        for (const auto& subscription : subscriptions) log->filters.push_back(subscription.filter);
        log->handlers = std::move(handlers);
        return std::make_unique<FakeClient>(log);
      };
}

}  // namespace tidegate::uplink::testing
