#include "drivers/mqtt/mqtt_driver.h"

#include <gmock/gmock.h>
#include <signal.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "core/clock.h"
#include "mqtt/client.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::drivers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

/// Publishes numbered messages and waits until the broker has them.
class Publisher {
 public:
  explicit Publisher(const std::string& uri) {
    mqtt::BrokerOptions options;
    options.uri = uri;
    options.client_id = "sensor";
    options.reconnect_first = milliseconds(20);
    options.reconnect_most = milliseconds(100);
    mqtt::ClientHandlers handlers;
    handlers.published = [this](std::uint64_t ticket, bool ok) {
      const std::lock_guard lock(mutex_);
      if (ok) acknowledged_.insert(ticket);
      changed_.notify_all();
    };
    handlers.link = [this](const mqtt::LinkState& state) {
      const std::lock_guard lock(mutex_);
      up_ = state.up;
      changed_.notify_all();
    };
    client_ = mqtt::make_client(options, {}, handlers);
    client_->start();
  }
  bool wait_until_up() {
    return wait([this] { return up_; });
  }
  /// Sends value after value, the way a sensor does that keeps what was not acknowledged.
  void send(std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t value = first; value <= last; ++value) {
      client_->publish({value, "plant/dev/count", R"({"v":)" + std::to_string(value) + "}"});
    }
  }
  bool wait_until_acknowledged(std::uint64_t count) {
    return wait([&] { return acknowledged_.size() >= count; });
  }
  std::size_t acknowledged() {
    const std::lock_guard lock(mutex_);
    return acknowledged_.size();
  }

 private:
  template <class Condition>
  bool wait(const Condition& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(60), holds);
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool up_ = false;
  std::set<std::uint64_t> acknowledged_;
  std::unique_ptr<mqtt::Client> client_;
};

class MqttDriverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    broker_.set_configuration("max_queued_messages 0");
    broker_.start();
    options_.name = "local";
    options_.broker.uri = broker_.uri();
    options_.broker.client_id = "tidegate-driver";
    options_.broker.reconnect_first = milliseconds(20);
    options_.broker.reconnect_most = milliseconds(100);
    auto& subscribe = options_.subscribe.emplace_back();
    subscribe.topic = "plant/{device}/{tag}";
    subscribe.value = "/v";
  }
  DriverContext context() {
    DriverContext context;
    context.tags = &tags_;
    context.clock = &clock_;
    context.wake = [this] {
      const std::lock_guard lock(mutex_);
      woken_ = true;
      changed_.notify_all();
    };
    context.runtime_dir = broker_.directory();
    context.boot_id.fill(1);
    context.log_id.fill(2);
    context.marks = marks_;
    return context;
  }
  void start_driver() {
    auto made = make_mqtt_driver(options_, context());
    ASSERT_TRUE(made) << made.error().message;
    driver_ = std::move(*made);
    const auto started = driver_->start();
    ASSERT_TRUE(started) << started.error().message;
  }

  template <class Condition>
  bool collect_until(const Condition& holds, bool settle = true) {
    const BootTime deadline = clock_.boot_now() + seconds(20);
    while (!holds()) {
      if (driver_->collect(intake_)) continue;
      if (settle) driver_->settled();
      if (holds()) break;
      std::unique_lock lock(mutex_);
      if (!changed_.wait_for(lock, deadline - clock_.boot_now(), [this] { return woken_; })) return false;
      woken_ = false;
    }
    return true;
  }
  void wait_until_full() const {
    while (driver_->status().queue_bytes + 56 < driver_->status().queue_capacity_bytes) std::this_thread::yield();
  }
  ::testing::AssertionResult collect_readings(std::size_t count) {
    if (collect_until([&] { return intake_.readings.size() >= count; })) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "only " << intake_.readings.size() << " of " << count << " readings came, "
                                         << ::testing::PrintToString(values());
  }
  bool collect_event(const std::string& event) {
    return collect_until([&] {
      return std::any_of(intake_.events.begin(), intake_.events.end(),
                         [&](const DriverEvent& seen) { return seen.event == event; });
    });
  }
  std::vector<std::int64_t> values() const {
    std::vector<std::int64_t> values;
    for (const Reading& reading : intake_.readings) values.push_back(std::get<std::int64_t>(reading.value));
    return values;
  }
  std::vector<std::int64_t> values_once() const {
    std::vector<std::int64_t> once;
    std::set<std::int64_t> seen;
    for (const std::int64_t value : values()) {
      if (seen.insert(value).second) once.push_back(value);
    }
    return once;
  }
  static std::vector<std::int64_t> numbers(std::int64_t first, std::int64_t last) {
    std::vector<std::int64_t> numbers;
    for (std::int64_t i = first; i <= last; ++i) numbers.push_back(i);
    return numbers;
  }

  testing::MosquittoBroker broker_;
  SystemClock clock_;
  TagRegistry tags_;
  MqttDriverOptions options_;
  std::vector<QueueMark> marks_;
  Intake intake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  std::unique_ptr<Driver> driver_;
};

TEST_F(MqttDriverTest, BringsEveryMessageInOrder) {
  start_driver();
  Publisher publisher(broker_.uri());
  ASSERT_TRUE(collect_event("driver-up"));
  ASSERT_TRUE(publisher.wait_until_up());
  publisher.send(1, 3000);
  ASSERT_TRUE(collect_readings(3000));
  EXPECT_EQ(values(), numbers(1, 3000));
  EXPECT_EQ(tags_.tag(intake_.readings[0].tag).path, "dev/count");
  EXPECT_EQ(intake_.readings[0].origin, TimeOrigin::ingest);
  EXPECT_EQ(intake_.readings[0].time.time_since_epoch() % milliseconds(1), Duration::zero());
  ASSERT_TRUE(intake_.mark);
  EXPECT_TRUE(driver_->status().up);
  driver_->settled();
  EXPECT_EQ(driver_->status().queue_bytes, 0U);
}

TEST_F(MqttDriverTest, ComesBackAfterTheBrokerAndSaysBoth) {
  start_driver();
  ASSERT_TRUE(collect_event("driver-up"));
  intake_.clear();
  broker_.stop();
  ASSERT_TRUE(collect_event("driver-down"));
  EXPECT_FALSE(driver_->status().up);
  EXPECT_FALSE(driver_->status().detail.empty());
  broker_.start();
  ASSERT_TRUE(collect_event("driver-up"));
  Publisher publisher(broker_.uri());
  ASSERT_TRUE(publisher.wait_until_up());
  publisher.send(1, 10);
  ASSERT_TRUE(collect_readings(10));
  EXPECT_EQ(values(), numbers(1, 10));
}

TEST_F(MqttDriverTest, AnUnreachableBrokerIsNoErrorOfTheStart) {
  broker_.stop();
  start_driver();
  ASSERT_TRUE(collect_event("driver-down"));
  EXPECT_THAT(driver_->status().detail, HasSubstr("check name, port"));
}

// The broker must have every acknowledgement before the driver goes: what is in flight then comes again, by right.
TEST_F(MqttDriverTest, WhatWasNotInTheLogIsThereForTheNextDriver) {
  broker_.set_configuration("max_queued_messages 0\nlog_type all");
  broker_.restart();
  start_driver();
  Publisher publisher(broker_.uri());
  ASSERT_TRUE(collect_event("driver-up"));
  ASSERT_TRUE(publisher.wait_until_up());
  publisher.send(1, 40);
  ASSERT_TRUE(collect_until([&] { return intake_.readings.size() >= 40; }, false));
  marks_ = {*intake_.mark};
  publisher.send(41, 100);
  ASSERT_TRUE(broker_.wait_for_log("Received PUBACK from tidegate-driver", 100));
  driver_->stop();
  driver_.reset();  // without a settled(): as if killed after the log was written
  intake_.clear();
  start_driver();
  publisher.send(101, 110);
  ASSERT_TRUE(collect_readings(70));
  EXPECT_EQ(values(), numbers(41, 110));
}

// The broker is told only when a message is in the queue: with a queue that is full, the rest stays with the broker.
TEST_F(MqttDriverTest, AFullQueueHoldsTheBrokerBack) {
  broker_.set_configuration("max_queued_messages 0\nlog_type all");
  broker_.restart();
  options_.queue_bytes = 16 * 1024;
  start_driver();
  Publisher publisher(broker_.uri());
  ASSERT_TRUE(collect_event("driver-up"));
  ASSERT_TRUE(publisher.wait_until_up());
  publisher.send(1, 1000);
  ASSERT_TRUE(broker_.wait_for_log("Sending PUBLISH to tidegate-driver", 150));
  wait_until_full();
  std::size_t acknowledged = 0;
  const std::string log = broker_.log();
  const std::string words = "Received PUBACK from tidegate-driver";
  for (auto at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) ++acknowledged;
  EXPECT_GT(acknowledged, 0U);
  EXPECT_LE(acknowledged * 56, 16U * 1024);  // what a message takes in the queue
  ASSERT_TRUE(collect_readings(1000));
  EXPECT_EQ(values(), numbers(1, 1000));
}

TEST_F(MqttDriverTest, StoppingWithAFullQueueLosesNothing) {
  options_.queue_bytes = 16 * 1024;
  start_driver();
  Publisher publisher(broker_.uri());
  ASSERT_TRUE(collect_event("driver-up"));
  ASSERT_TRUE(publisher.wait_until_up());
  publisher.send(1, 600);
  wait_until_full();
  driver_->stop();
  EXPECT_FALSE(driver_->status().up);
  while (driver_->collect(intake_)) {
  }
  driver_->settled();
  ASSERT_TRUE(intake_.mark);
  marks_ = {*intake_.mark};
  driver_.reset();
  start_driver();
  // What was in flight when the connection ended comes again.
  EXPECT_TRUE(collect_until([&] { return values_once().size() >= 600; }));
  EXPECT_EQ(values_once(), numbers(1, 600));
}

TEST_F(MqttDriverTest, ATooLargeMessageIsCountedAndTheNextOneComes) {
  options_.queue_bytes = 16 * 1024;
  start_driver();
  ASSERT_TRUE(collect_event("driver-up"));
  const std::string large = broker_.directory() + "/large";
  std::ofstream(large) << std::string(5000, 'x');
  const std::string publish = "mosquitto_pub -h 127.0.0.1 -q 1 -p " + std::to_string(broker_.port()) + " -t plant/d/t ";
  ASSERT_EQ(std::system((publish + "-f " + large).c_str()), 0);
  ASSERT_EQ(std::system((publish + "-m '{\"v\":1}'").c_str()), 0);
  ASSERT_TRUE(collect_readings(1));
  EXPECT_EQ(driver_->status().refused.at("too_large"), 1U);
}

TEST_F(MqttDriverTest, BadPayloadsAreCountedAndAreTakenOffTheQueue) {
  start_driver();
  ASSERT_TRUE(collect_event("driver-up"));
  const std::string publish = "mosquitto_pub -h 127.0.0.1 -q 1 -p " + std::to_string(broker_.port()) + " -t plant/d/t ";
  ASSERT_EQ(std::system((publish + "-m nonsense").c_str()), 0);
  ASSERT_TRUE(collect_until([&] { return !driver_->status().refused.empty(); }));
  EXPECT_EQ(driver_->status().refused.at("not_json"), 1U);
  EXPECT_TRUE(intake_.mark);
  EXPECT_TRUE(intake_.readings.empty());
  driver_->settled();
  EXPECT_EQ(driver_->status().queue_bytes, 0U);
}

TEST_F(MqttDriverTest, AQueueThatIsSetAsideIsAnEvent) {
  testing::write_file(broker_.directory() + "/mqtt-local.queue", std::string(100, 'x'));
  start_driver();
  ASSERT_TRUE(collect_event("queue-set-aside"));
  EXPECT_THAT(intake_.events.back().detail, HasSubstr("mqtt-local.queue.other-1 (100"));
}

TEST_F(MqttDriverTest, MessagesThatAreDamagedInTheQueueAreAnEvent) {
  start_driver();
  ASSERT_TRUE(collect_event("driver-up"));
  const std::string publish = "mosquitto_pub -h 127.0.0.1 -q 1 -p " + std::to_string(broker_.port()) + " -t plant/d/t ";
  ASSERT_EQ(std::system((publish + "-m '{\"v\":1}'").c_str()), 0);
  ASSERT_TRUE(collect_until([&] { return intake_.readings.size() == 1; }, false));
  driver_.reset();
  const std::string path = broker_.directory() + "/mqtt-local.queue";
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  constexpr std::streamoff kAt = 4096 + 20;  // in the first entry's head
  file.seekg(kAt);
  const auto another = static_cast<char>(file.get() ^ 1);
  file.seekp(kAt);
  file.put(another);
  file.close();
  start_driver();
  ASSERT_TRUE(collect_event("queue-damaged"));
  EXPECT_THAT(intake_.events.back().detail, HasSubstr("could not be read and are lost"));
  EXPECT_EQ(intake_.readings.size(), 1U);
}

TEST_F(MqttDriverTest, AMissingRuntimeDirectoryIsAnErrorOfTheStart) {
  DriverContext elsewhere = context();
  elsewhere.runtime_dir = broker_.directory() + "/missing";
  const auto driver = std::move(make_mqtt_driver(options_, elsewhere).value());
  const auto started = driver->start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("missing/mqtt-local.queue"));
}

}  // namespace
}  // namespace tidegate::drivers
