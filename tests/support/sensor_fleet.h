#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

struct mosquitto;

namespace tidegate::testing {

/// Many sensors that publish straight to a listener over libmosquitto, each on a connection of its own with a session
/// that outlives it, and that know which of their readings were acknowledged. Sensor s publishes {"value":N} to
/// "plant/sensor-s/count", N from s * kValuesEach on, each as soon as an earlier one was acknowledged.
class SensorFleet {
 public:
  static constexpr std::int64_t kValuesEach = 1'000'000;
  struct Options {
    std::uint16_t port = 0;
    int sensors = 50;
    int qos = 1;
    int inflight = 20;
    std::int64_t values = 1000;  // a sensor
    bool is_v5 = false;          // of MQTT
  };

  explicit SensorFleet(Options options);
  SensorFleet(const SensorFleet&) = delete;
  SensorFleet& operator=(const SensorFleet&) = delete;
  ~SensorFleet();

  /// Connects all; throws std::runtime_error when the listener does not answer.
  void start();
  std::size_t acknowledged() const;
  bool wait_for_acknowledged(std::size_t count, std::chrono::milliseconds patience);
  std::size_t total() const {
    return static_cast<std::size_t>(options_.sensors) * static_cast<std::size_t>(options_.values);
  }
  /// Numbers whose PUBACK or PUBCOMP has come.
  std::set<std::int64_t> acknowledged_values() const;

 private:
  struct Sensor;
  std::unique_ptr<Sensor> make_sensor(int number);
  void publish_next(Sensor& sensor);
  void take_acknowledgement(Sensor& sensor, int id);

  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::int64_t> acknowledged_;
  std::vector<std::unique_ptr<Sensor>> sensors_;
};

}  // namespace tidegate::testing
