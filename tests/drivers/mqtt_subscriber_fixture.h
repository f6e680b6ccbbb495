#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "core/clock.h"
#include "drivers/mqtt_subscriber/mqtt_subscriber.h"
#include "tests/drivers/raw_client.h"
#include "tests/drivers/subscriber_packets.h"

namespace tidegate::drivers {

/// The system's clock, which can be stopped so that nothing is over because a machine is slow.
class StoppableClock final : public Clock {
 public:
  WallTime wall_now() const override { return stopped_ ? wall_ : system_.wall_now(); }
  BootTime boot_now() const override { return stopped_ ? boot_ : system_.boot_now(); }
  ClockQuality quality() const override { return system_.quality(); }
  void stop() {
    wall_ = system_.wall_now();
    boot_ = system_.boot_now();
    stopped_ = true;
  }

 private:
  SystemClock system_;
  bool stopped_ = false;
  WallTime wall_{};
  BootTime boot_{};
};

/// A subscriber on a loop that the test turns, with a core that stores everything at once and makes it durable when it
/// is told to.
class SubscriberRig : public ::testing::Test {
 protected:
  SubscriberRig() {
    options_.name = "local";
    options_.ack = MessageAck::durable;
    options_.broker.protocol = mqtt::ProtocolVersion::v5;
    options_.broker.client_id = "tidegate-driver";
    options_.broker.reconnect_first = std::chrono::milliseconds(20);
    options_.broker.reconnect_most = std::chrono::milliseconds(100);
    auto& subscribe = options_.subscribe.emplace_back();
    subscribe.topic = "plant/{device}/{tag}";
    subscribe.value = "/v";
  }

  void start() {
    const auto started = try_to_start();
    ASSERT_TRUE(started) << started.error().message;
  }
  Result<void> try_to_start() {
    context_.tags = &tags_;
    context_.clock = &driver_clock_;
    context_.wake = [this] { woken_ = true; };
    context_.loop = &loop_;
    auto made = make_mqtt_subscriber(options_, context_, look_up_);
    if (!made) return tl::unexpected(made.error());
    driver_ = std::move(*made);
    settles_ = 0;
    return driver_->start();
  }

  /// Turns the loop until `holds`, at most 20 s.
  template <class Condition>
  bool turn_until(const Condition& holds) {
    const BootTime deadline = clock_.boot_now() + std::chrono::seconds(20);
    while (!holds()) {
      if (clock_.boot_now() > deadline) return false;
      loop_.restart();
      loop_.run_one_for(std::chrono::milliseconds(5));
      if (woken_ && takes_in_) take_in();
    }
    return true;
  }
  /// Turns the loop until there is nothing to do.
  void turn_out() {
    for (int idle = 0; idle < 20;) {
      loop_.restart();
      idle = loop_.run_one_for(std::chrono::milliseconds(1)) == 0 ? idle + 1 : 0;
    }
  }
  void take_in() {
    woken_ = false;
    driver_->collect(intake_);
    driver_->settled();
    ++settles_;
    if (is_durable_) driver_->durable(settles_);
  }
  void make_durable() { driver_->durable(settles_); }
  bool wait_until_up() {
    return turn_until([&] { return driver_->status().up; });
  }
  std::vector<std::string> values() const {
    std::vector<std::string> seen;
    for (const Reading& reading : intake_.readings) {
      const auto* number = std::get_if<std::int64_t>(&reading.value);
      seen.push_back(tags_.tag(reading.tag).path + "=" + (number ? std::to_string(*number) : "?"));
    }
    return seen;
  }
  std::size_t events(const std::string& event) const {
    return static_cast<std::size_t>(std::count_if(intake_.events.begin(), intake_.events.end(),
                                                  [&](const DriverEvent& seen) { return seen.event == event; }));
  }

  boost::asio::io_context loop_;
  SystemClock clock_;
  StoppableClock driver_clock_;
  TagRegistry tags_;
  MqttDriverOptions options_;
  DriverContext context_;
  LookUpHost look_up_ = look_up_host;
  std::unique_ptr<Driver> driver_;
  Intake intake_;
  std::uint64_t settles_ = 0;
  bool woken_ = false;
  bool takes_in_ = true;
  bool is_durable_ = true;
};

/// With a broker that says what a test wants, byte by byte.
class ScriptedBrokerRig : public SubscriberRig {
 protected:
  ScriptedBrokerRig() { options_.broker.uri = "mqtt://127.0.0.1:" + std::to_string(listener_.port()); }

  /// The next connection, whose CONNECT has come.
  std::unique_ptr<RawClient> next_connection() {
    std::unique_ptr<RawClient> broker;
    if (!turn_until([&] { return (broker = listener_.accept()) != nullptr; })) return nullptr;
    return turn_until([&] { return broker->received().size() > 14; }) ? std::move(broker) : nullptr;
  }
  /// The next connection, taken in and subscribed.
  std::unique_ptr<RawClient> next_up() {
    auto broker = next_connection();
    if (!broker) return nullptr;
    broker->send(packets_.connack() + packets_.suback());
    return wait_until_up() ? std::move(broker) : nullptr;
  }

  RawListener listener_;
  BrokerPackets packets_{mqtt::ProtocolVersion::v5};
};

}  // namespace tidegate::drivers
