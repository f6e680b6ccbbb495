#include "tests/support/mqtt_probe.h"

#include <mosquitto.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <utility>

namespace tidegate::testing {
namespace {

constexpr auto kPatience = std::chrono::seconds(10);
constexpr int kKeepAliveSeconds = 30;

mosquitto* make_client(const std::string& role, void* owner) {
  static const int initialised = mosquitto_lib_init();
  static std::atomic<int> number{0};
  const std::string id = "probe-" + role + "-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
  mosquitto* client = initialised == MOSQ_ERR_SUCCESS ? mosquitto_new(id.c_str(), false, owner) : nullptr;
  if (client == nullptr) throw std::runtime_error("libmosquitto gave no client");
  mosquitto_reconnect_delay_set(client, 1, 1, false);
  return client;
}

void connect(mosquitto* client, std::uint16_t port) {
  const int result = mosquitto_connect(client, "127.0.0.1", port, kKeepAliveSeconds);
  if (result != MOSQ_ERR_SUCCESS || mosquitto_loop_start(client) != MOSQ_ERR_SUCCESS) {
    throw std::runtime_error("broker at port " + std::to_string(port) + ": " + mosquitto_strerror(result));
  }
}

void end(mosquitto* client) {
  mosquitto_disconnect(client);
  mosquitto_loop_stop(client, true);
  mosquitto_destroy(client);
}

}  // namespace

NumberedPublisher::NumberedPublisher(Options options) : options_(options), client_(make_client("publisher", this)) {
  mosquitto_max_inflight_messages_set(client_, static_cast<unsigned>(options_.inflight));
  mosquitto_connect_callback_set(client_, [](mosquitto*, void* self, int code) {
    auto& publisher = *static_cast<NumberedPublisher*>(self);
    const std::lock_guard lock(publisher.mutex_);
    publisher.connected_ = code == 0;
    publisher.changed_.notify_all();
  });
  mosquitto_publish_callback_set(client_, [](mosquitto*, void* self, int) {
    auto& publisher = *static_cast<NumberedPublisher*>(self);
    const std::lock_guard lock(publisher.mutex_);
    ++publisher.acknowledged_;
    publisher.changed_.notify_all();
  });
}

NumberedPublisher::~NumberedPublisher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  end(client_);
}

void NumberedPublisher::start() {
  connect(client_, options_.port);
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [this] { return connected_; })) {
    throw std::runtime_error("publisher: the broker does not answer");
  }
  thread_ = std::thread([this] { publish_all(); });
}

void NumberedPublisher::publish_all() {
  auto began = std::chrono::steady_clock::now();
  const auto& readings = options_.readings;
  for (std::uint64_t number = 0; number < readings.count && wait_for_turn(number, began); ++number) {
    const std::string payload = readings.payload(number);
    mosquitto_publish(client_, nullptr, readings.topic(number).c_str(), static_cast<int>(payload.size()),
                      payload.data(), options_.qos, false);
  }
}

// False when the publisher is to stop. Waits for the time of the reading, and for room in a window that keeps
// libmosquitto's own queue short.
bool NumberedPublisher::wait_for_turn(std::uint64_t number, std::chrono::steady_clock::time_point& began) {
  const auto window = static_cast<std::uint64_t>(options_.inflight) * 2;
  std::unique_lock lock(mutex_);
  if (number >= pause_before_) {
    const auto paused = std::chrono::steady_clock::now();
    changed_.wait(lock, [&] { return stopping_ || number < pause_before_; });
    began += std::chrono::steady_clock::now() - paused;  // what was not published meanwhile is not made up for
  }
  if (options_.rate > 0) {
    const auto due = began + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                 std::chrono::duration<double>(static_cast<double>(number) / options_.rate));
    changed_.wait_until(lock, due, [&] { return stopping_ || std::chrono::steady_clock::now() >= due; });
  }
  changed_.wait(lock, [&] { return stopping_ || options_.qos == 0 || number < acknowledged_ + window; });
  return !stopping_;
}

void NumberedPublisher::pause_before(std::uint64_t number) {
  {
    const std::lock_guard lock(mutex_);
    pause_before_ = number;
  }
  changed_.notify_all();
}

std::uint64_t NumberedPublisher::acknowledged() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_;
}

bool NumberedPublisher::wait_for_acknowledged(std::uint64_t count, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return acknowledged_ >= count; });
}

bool NumberedPublisher::wait_for_all(std::chrono::milliseconds patience) {
  return wait_for_acknowledged(options_.readings.count, patience);
}

BatchSubscriber::BatchSubscriber(std::uint16_t port, std::string topic, NumberedReadings expected)
    : port_(port),
      topic_(std::move(topic)),
      count_(expected.count),
      client_(make_client("subscriber", this)),
      checker_(expected) {
  mosquitto_connect_callback_set(client_, [](mosquitto* client, void* self, int code) {
    const auto& topic_wanted = static_cast<BatchSubscriber*>(self)->topic_;
    if (code == 0) mosquitto_subscribe(client, nullptr, topic_wanted.c_str(), 1);
  });
  mosquitto_subscribe_callback_set(client_, [](mosquitto*, void* self, int, int, const int*) {
    auto& subscriber = *static_cast<BatchSubscriber*>(self);
    const std::lock_guard lock(subscriber.mutex_);
    subscriber.subscribed_ = true;
    subscriber.changed_.notify_all();
  });
  mosquitto_message_callback_set(client_, [](mosquitto*, void* self, const mosquitto_message* message) {
    auto& subscriber = *static_cast<BatchSubscriber*>(self);
    const std::lock_guard lock(subscriber.mutex_);
    subscriber.checker_.take(
        {static_cast<const char*>(message->payload), static_cast<std::size_t>(message->payloadlen)});
    subscriber.changed_.notify_all();
  });
}

BatchSubscriber::~BatchSubscriber() { end(client_); }

void BatchSubscriber::start() {
  connect(client_, port_);
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [this] { return subscribed_; })) {
    throw std::runtime_error("subscriber: the broker takes no subscription");
  }
}

DeliveryReport BatchSubscriber::report() const {
  const std::lock_guard lock(mutex_);
  return checker_.report();
}

std::vector<std::uint64_t> BatchSubscriber::missing() const {
  const std::lock_guard lock(mutex_);
  return checker_.missing();
}

bool BatchSubscriber::wait_for(const std::function<bool(const DeliveryReport&)>& wanted,
                               std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return wanted(checker_.report()); });
}

bool BatchSubscriber::wait_for_all(std::chrono::milliseconds patience) {
  return wait_for([this](const DeliveryReport& report) { return report.distinct == count_; }, patience);
}

void BatchSubscriber::wait_for_quiet(std::chrono::milliseconds quiet) {
  std::unique_lock lock(mutex_);
  for (auto before = checker_.report().batches;; before = checker_.report().batches) {
    if (!changed_.wait_for(lock, quiet, [&] { return checker_.report().batches != before; })) return;
  }
}

}  // namespace tidegate::testing
