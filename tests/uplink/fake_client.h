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
  void publish(std::uint64_t ticket, std::string topic, std::string payload) override {
    log_->published.push_back({ticket, std::move(topic), std::move(payload)});
  }
  void publish_at_most_once(std::string, std::string) override {}
  void publish_in(std::uint64_t, mqtt::Publication message) override {
    log_->published.push_back({message.ticket, std::move(message.topic), std::move(message.payload), message.qos});
  }
  void reconnect(std::uint64_t) override { ++log_->reconnects; }

 private:
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
