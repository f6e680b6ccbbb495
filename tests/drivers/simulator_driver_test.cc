#include "drivers/simulator/simulator_driver.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "core/clock.h"

namespace tidegate::drivers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Collects from a driver on the test's thread, waiting for its wakes.
class Collector {
 public:
  DriverContext context() {
    DriverContext context;
    context.tags = &tags_;
    context.clock = &clock_;
    context.wake = [this] {
      const std::lock_guard lock(mutex_);
      woken_ = true;
      changed_.notify_all();
    };
    return context;
  }
  bool collect_until(Driver& driver, std::size_t readings) {
    while (intake_.readings.size() < readings) {
      std::unique_lock lock(mutex_);
      if (!changed_.wait_for(lock, seconds(20), [this] { return woken_; })) return false;
      woken_ = false;
      lock.unlock();
      driver.collect(intake_);
    }
    return true;
  }
  const std::vector<Reading>& readings() const { return intake_.readings; }
  TagRegistry& tags() { return tags_; }

 private:
  TagRegistry tags_;
  SystemClock clock_;
  Intake intake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

TEST(SimulatorDriver, MakesEveryTagOfEveryDeviceEachInterval) {
  Collector collector;
  auto driver = make_simulator_driver({"sim", 2, 3, milliseconds(5)}, collector.context()).value();
  ASSERT_TRUE(driver->start());
  ASSERT_TRUE(collector.collect_until(*driver, 18));
  driver->stop();
  for (std::size_t i = 0; i < 18; ++i) {
    const auto& reading = collector.readings()[i];
    ASSERT_EQ(reading.tag, collector.readings()[i % 6].tag);
    ASSERT_EQ(reading.quality, Quality::good);
  }
  EXPECT_EQ(collector.tags().tag(collector.readings()[4].tag).path, "sim-2/tag-2");
}

TEST(SimulatorDriver, MakesTheSameValuesInEveryRun) {
  const auto first_values = [] {
    Collector collector;
    auto driver = make_simulator_driver({"sim", 1, 4, milliseconds(1)}, collector.context()).value();
    EXPECT_TRUE(driver->start());
    EXPECT_TRUE(collector.collect_until(*driver, 40));
    driver->stop();
    std::vector<Value> values;
    for (std::size_t i = 0; i < 40; ++i) values.push_back(collector.readings()[i].value);
    return values;
  };
  EXPECT_EQ(first_values(), first_values());
}

TEST(SimulatorDriver, StopsAtOnceHoweverLongItsInterval) {
  Collector collector;
  auto driver = make_simulator_driver({"sim", 1, 1, std::chrono::hours(1)}, collector.context()).value();
  ASSERT_TRUE(driver->start());
  ASSERT_TRUE(collector.collect_until(*driver, 1));
  driver->stop();  // the test's own time limit shows when it does not
}

}  // namespace
}  // namespace tidegate::drivers
