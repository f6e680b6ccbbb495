#include <gtest/gtest.h>

#include "drivers/mqtt/mqtt_driver.h"
#include "tests/drivers/queue_fixture.h"
#include "tests/support/manual_clock.h"

namespace tidegate::drivers {
namespace {

using namespace std::chrono_literals;

/// Messages that a process queued, and that the next one takes.
class QueuedTimeTest : public QueueFixture {
 protected:
  QueuedTimeTest() {
    options_.path = directory_ + "/mqtt-local.queue";
    driver_options_.name = "local";
    driver_options_.queue_bytes = options_.capacity_bytes;
    driver_options_.broker.uri = "tcp://127.0.0.1:1";  // nobody is there
    auto& subscribe = driver_options_.subscribe.emplace_back();
    subscribe.topic = "plant/{device}/{tag}";
    subscribe.value = "/v";
  }
  void queue_message() {
    open();
    const QueueEntry entry{"plant/d/t", R"({"v":1})", clock_.wall_now(), clock_.boot_now(), false, false};
    ASSERT_EQ(queue_->push(entry), SharedQueue::Push::stored);
    queue_.reset();
  }
  std::vector<Reading> take_as_next_process() {
    DriverContext context;
    context.tags = &tags_;
    context.clock = &clock_;
    context.wake = [] {};
    context.runtime_dir = directory_;
    context.boot_id = options_.boot_id;
    context.log_id = options_.log_id;
    auto driver = make_mqtt_driver(driver_options_, context);
    EXPECT_TRUE(driver && (*driver)->start());
    Intake intake;
    (*driver)->collect(intake);
    (*driver)->stop();
    return intake.readings;
  }

  testing::ManualClock clock_;
  TagRegistry tags_;
  MqttDriverOptions driver_options_;
};

TEST_F(QueuedTimeTest, IsByTheClockAsItIsNowWhenThatWasSetInBetween) {
  clock_.boot(10s, WallTime(10s));
  queue_message();
  clock_.advance(50s);
  clock_.step_wall(1'760'000'000s);
  const auto readings = take_as_next_process();
  ASSERT_EQ(readings.size(), 1U);
  EXPECT_EQ(readings[0].time, WallTime(1'760'000'010s));
  EXPECT_EQ(readings[0].origin, TimeOrigin::ingest);
}

TEST_F(QueuedTimeTest, IsAsItWasQueuedWhenTheClockRanOn) {
  queue_message();
  const WallTime queued = clock_.wall_now();
  clock_.advance(1h + 300us);
  const auto readings = take_as_next_process();
  ASSERT_EQ(readings.size(), 1U);
  EXPECT_EQ(readings[0].time, queued);
}

}  // namespace
}  // namespace tidegate::drivers
