#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "tests/support/batch_checker.h"
#include "tests/support/numbered_readings.h"

struct mosquitto;

namespace tidegate::testing {

/// Publishes numbered readings over libmosquitto, an implementation of MQTT that the gateway does not use. Keeps the
/// order and knows how many the broker has acknowledged.
class NumberedPublisher {
 public:
  struct Options {
    std::uint16_t port = 0;
    NumberedReadings readings;
    double rate = 0;  // a second; 0: as fast as the broker acknowledges
    int qos = 1;
    int inflight = 1000;
  };

  explicit NumberedPublisher(Options options);
  NumberedPublisher(const NumberedPublisher&) = delete;
  NumberedPublisher& operator=(const NumberedPublisher&) = delete;
  ~NumberedPublisher();

  /// Connects and begins to publish. Throws std::runtime_error when the broker cannot be reached.
  void start();
  /// Publishes those below `number`, and the rest when this is called again.
  void pause_before(std::uint64_t number);
  std::uint64_t acknowledged() const;
  bool wait_for_acknowledged(std::uint64_t count, std::chrono::milliseconds patience);
  bool wait_for_all(std::chrono::milliseconds patience);

 private:
  void publish_all();
  bool wait_for_turn(std::uint64_t number, std::chrono::steady_clock::time_point& began);

  const Options options_;
  mosquitto* client_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool connected_ = false;
  bool stopping_ = false;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t pause_before_ = std::numeric_limits<std::uint64_t>::max();
  std::thread thread_;
};

/// Receives what an uplink delivers and hands it to a BatchChecker. Its session is persistent: the broker may go and
/// come back, and keeps what was sent meanwhile.
class BatchSubscriber {
 public:
  BatchSubscriber(std::uint16_t port, std::string topic, NumberedReadings expected);
  BatchSubscriber(const BatchSubscriber&) = delete;
  BatchSubscriber& operator=(const BatchSubscriber&) = delete;
  ~BatchSubscriber();

  /// Returns when the broker has taken the subscription; throws std::runtime_error when it does not.
  void start();
  DeliveryReport report() const;
  std::vector<std::uint64_t> missing() const;
  /// Waits until the report is as wanted.
  bool wait_for(const std::function<bool(const DeliveryReport&)>& wanted, std::chrono::milliseconds patience);
  /// Waits until all numbers have come.
  bool wait_for_all(std::chrono::milliseconds patience);
  /// Waits until nothing has come for `quiet`.
  void wait_for_quiet(std::chrono::milliseconds quiet);

 private:
  const std::uint16_t port_;
  const std::string topic_;
  const std::uint64_t count_;
  mosquitto* client_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool subscribed_ = false;
  BatchChecker checker_;
};

}  // namespace tidegate::testing
