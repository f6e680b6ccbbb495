#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "core/clock.h"
#include "drivers/mqtt_listener/mqtt_listener.h"
#include "tests/support/network.h"
#include "tests/support/process_under_test.h"

namespace tidegate::drivers {

/// The system's clock, with what a test adds to it.
class ShiftedClock final : public Clock {
 public:
  WallTime wall_now() const override { return system_.wall_now() + shift_; }
  BootTime boot_now() const override { return system_.boot_now() + shift_; }
  ClockQuality quality() const override { return system_.quality(); }
  void shift(Duration by) { shift_ += by; }

 private:
  SystemClock system_;
  Duration shift_{};
};

/// A listener on a loop that the test turns, with a core that stores everything at once and makes it durable when it is
/// told to. Clients are programs of their own, or raw sockets.
class ListenerRig : public ::testing::Test {
 protected:
  ListenerRig() {
    options_.name = "direct";
    options_.host = "127.0.0.1";
    options_.port = testing::free_port();
    auto& subscribe = options_.subscribe.emplace_back();
    subscribe.topic = "plant/{device}/{tag}";
    subscribe.value = "/v";
  }

  void start() {
    DriverContext context;
    context.tags = &tags_;
    context.clock = &listener_clock_;
    context.wake = [this] { woken_ = true; };
    context.loop = &loop_;
    context.latest = latest_;
    auto made = make_mqtt_listener(options_, context);
    ASSERT_TRUE(made) << made.error().message;
    driver_ = std::move(*made);
    const auto started = driver_->start();
    ASSERT_TRUE(started) << started.error().message;
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
  /// Collects and stores; what is stored is durable at once when is_durable_.
  void take_in() {
    woken_ = false;
    driver_->collect(intake_);
    driver_->settled();
    ++settles_;
    if (is_durable_) driver_->durable(settles_);
  }
  void make_durable() { driver_->durable(settles_); }

  std::vector<std::string> publish_command(const std::string& topic, const std::string& payload, int qos = 1) const {
    return {"/usr/bin/mosquitto_pub",
            "-h",
            "127.0.0.1",
            "-p",
            std::to_string(options_.port),
            "-q",
            std::to_string(qos),
            "-t",
            topic,
            "-m",
            payload};
  }
  /// Runs a client to its end while the loop turns; its exit code.
  int run(std::vector<std::string> arguments) {
    testing::ProcessUnderTest client({std::move(arguments), {}, "", ""});
    EXPECT_TRUE(turn_until([&] { return !client.is_running(); })) << "the client does not end: " << client.errors();
    const auto end = client.wait_for_end(std::chrono::seconds(5));
    errors_ = client.errors();
    return end && end->exit_code ? *end->exit_code : -1;
  }
  std::vector<std::string> values() const {
    std::vector<std::string> seen;
    for (const Reading& reading : intake_.readings) {
      const auto* number = std::get_if<std::int64_t>(&reading.value);
      seen.push_back(tags_.tag(reading.tag).path + "=" + (number ? std::to_string(*number) : "?"));
    }
    return seen;
  }

  boost::asio::io_context loop_;
  SystemClock clock_;
  ShiftedClock listener_clock_;
  TagRegistry tags_;
  MqttListenerOptions options_;
  LatestValues* latest_ = nullptr;
  std::unique_ptr<Driver> driver_;
  Intake intake_;
  std::string errors_;
  std::uint64_t settles_ = 0;
  bool woken_ = false;
  bool takes_in_ = true;
  bool is_durable_ = true;
};

}  // namespace tidegate::drivers
