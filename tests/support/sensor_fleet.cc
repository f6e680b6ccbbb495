#include "tests/support/sensor_fleet.h"

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <unistd.h>

#include <map>
#include <stdexcept>
#include <utility>

namespace tidegate::testing {

struct SensorFleet::Sensor {
  SensorFleet* fleet = nullptr;
  mosquitto* client = nullptr;
  std::int64_t first = 0;
  std::int64_t next = 0;
  std::string topic;
  std::map<int, std::int64_t> waiting;  // value by message id
  bool started = false;
};

SensorFleet::SensorFleet(Options options) : options_(options) {
  mosquitto_lib_init();
  for (int number = 0; number < options_.sensors; ++number) sensors_.push_back(make_sensor(number));
}

std::unique_ptr<SensorFleet::Sensor> SensorFleet::make_sensor(int number) {
  auto sensor = std::make_unique<Sensor>();
  sensor->fleet = this;
  sensor->first = sensor->next = number * kValuesEach;
  sensor->topic = "plant/sensor-" + std::to_string(number) + "/count";
  const std::string client_id = "sensor-" + std::to_string(::getpid()) + "-" + std::to_string(number);
  sensor->client = mosquitto_new(client_id.c_str(), false, sensor.get());
  if (sensor->client == nullptr) throw std::runtime_error("libmosquitto gave no client");
  if (options_.is_v5) mosquitto_int_option(sensor->client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
  mosquitto_reconnect_delay_set(sensor->client, 1, 1, false);
  mosquitto_max_inflight_messages_set(sensor->client, static_cast<unsigned>(options_.inflight));
  mosquitto_connect_callback_set(sensor->client, [](mosquitto*, void* self, int code) {
    auto& connected = *static_cast<Sensor*>(self);
    if (code != 0 || std::exchange(connected.started, true)) return;
    for (int i = 0; i < connected.fleet->options_.inflight; ++i) connected.fleet->publish_next(connected);
  });
  mosquitto_publish_callback_set(sensor->client, [](mosquitto*, void* self, int id) {
    auto& published = *static_cast<Sensor*>(self);
    published.fleet->take_acknowledgement(published, id);
  });
  return sensor;
}

SensorFleet::~SensorFleet() {
  for (const auto& sensor : sensors_) {
    mosquitto_disconnect(sensor->client);
    mosquitto_loop_stop(sensor->client, true);
    mosquitto_destroy(sensor->client);
  }
}

void SensorFleet::start() {
  constexpr int kKeepAliveSeconds = 30;
  mosquitto_property* session = nullptr;
  if (options_.is_v5) mosquitto_property_add_int32(&session, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 3600);
  for (const auto& sensor : sensors_) {
    const int result =
        mosquitto_connect_bind_v5(sensor->client, "127.0.0.1", options_.port, kKeepAliveSeconds, nullptr, session);
    if (result != MOSQ_ERR_SUCCESS || mosquitto_loop_start(sensor->client) != MOSQ_ERR_SUCCESS) {
      throw std::runtime_error("sensor at port " + std::to_string(options_.port) + ": " + mosquitto_strerror(result));
    }
  }
  mosquitto_property_free_all(&session);
}

// Runs on the sensor's own thread. The lock is held over the publish, so that its acknowledgement finds the value.
void SensorFleet::publish_next(Sensor& sensor) {
  const std::lock_guard lock(mutex_);
  if (sensor.next >= sensor.first + options_.values) return;
  const std::int64_t value = sensor.next++;
  const std::string payload = "{\"value\":" + std::to_string(value) + "}";
  int id = 0;
  mosquitto_publish(sensor.client, &id, sensor.topic.c_str(), static_cast<int>(payload.size()), payload.data(),
                    options_.qos, false);
  sensor.waiting[id] = value;
}

void SensorFleet::take_acknowledgement(Sensor& sensor, int id) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = sensor.waiting.find(id);
    if (found == sensor.waiting.end()) return;
    acknowledged_.insert(found->second);
    sensor.waiting.erase(found);
    changed_.notify_all();
  }
  publish_next(sensor);
}

std::size_t SensorFleet::acknowledged() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_.size();
}

bool SensorFleet::wait_for_acknowledged(std::size_t count, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return acknowledged_.size() >= count; });
}

std::set<std::int64_t> SensorFleet::acknowledged_values() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_;
}

}  // namespace tidegate::testing
