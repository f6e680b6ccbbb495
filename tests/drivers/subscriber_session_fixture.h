#pragma once

#include <gmock/gmock.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "drivers/mqtt_subscriber/subscriber_session.h"
#include "tests/drivers/subscriber_packets.h"

namespace tidegate::drivers {

/// The protocol without a socket: what a broker says goes in, what it gets to hear comes out.
class SubscriberSessionTest : public ::testing::Test, public SubscriberHost {
 protected:
  SubscriberSessionTest() {
    options_.broker.client_id = "tidegate";
    options_.broker.keep_alive = std::chrono::seconds(20);
    options_.broker.connect_timeout = std::chrono::seconds(10);
    options_.inflight_max = 3;
  }
  Ticket take(const mqtt::PublishPacket& publish) override {
    taken_.emplace_back(publish.payload);
    return static_cast<Ticket>(taken_.size());
  }
  Ticket refuse_too_large(std::string_view topic, std::uint64_t bytes) override {
    refused_.push_back(std::string(topic) + " " + std::to_string(bytes));
    return static_cast<Ticket>(taken_.size());
  }

  void begin(mqtt::ProtocolVersion version) {
    options_.broker.protocol = version;
    broker_ = BrokerPackets(version);
    session_ = std::make_unique<SubscriberSession>(*this, options_, subscriptions_, now_);
  }
  void begin_up(mqtt::ProtocolVersion version) {
    begin(version);
    (void)said();
    hear(broker_.connack() + broker_.suback());
    (void)said();
  }
  std::size_t hear(const std::string& bytes) { return session_->receive(bytes, now_); }
  std::string said() { return std::exchange(session_->out(), {}); }
  static mqtt::Properties shares_nothing() {
    mqtt::Properties properties;
    properties.set(mqtt::PropertyId::shared_subscription_available, 0);
    return properties;
  }
  /// Of a SUBSCRIBE.
  std::vector<std::string> filters_of(const std::string& bytes) const {
    const auto packet = mqtt::cut_packet(bytes, 1024);
    if (!packet || !*packet) return {"no packet"};
    const auto subscribe = mqtt::decode_subscribe(**packet, options_.broker.protocol);
    if (!subscribe) return {"no SUBSCRIBE"};
    std::vector<std::string> filters;
    for (const auto& entry : subscribe->entries) filters.emplace_back(entry.filter);
    return filters;
  }
  std::string acks(std::initializer_list<std::uint16_t> ids) const {
    std::string all;
    for (const std::uint16_t id : ids) all += broker_.ack(id);
    return all;
  }

  BootTime now_{std::chrono::seconds(1000)};
  MqttDriverOptions options_;
  std::vector<mqtt::Subscription> subscriptions_{{"plant/+/+", 1}};
  BrokerPackets broker_{mqtt::ProtocolVersion::v5};
  std::vector<std::string> taken_;
  std::vector<std::string> refused_;
  std::unique_ptr<SubscriberSession> session_;
};

class SubscriberSessionVersions : public SubscriberSessionTest,
                                  public ::testing::WithParamInterface<mqtt::ProtocolVersion> {};

}  // namespace tidegate::drivers
