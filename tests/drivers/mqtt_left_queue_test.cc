// From ack = "written" to ack = "durable": what a killed process had acknowledged waits in its queue.
#include <filesystem>
#include <fstream>

#include "drivers/mqtt/queue_intake.h"
#include "tests/drivers/mqtt_subscriber_fixture.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::drivers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LeftQueueTest : public ScriptedBrokerRig {
 protected:
  LeftQueueTest() {
    options_.name = "plant/local";
    context_.runtime_dir = directory_.path();
    context_.log_id.fill(7);
    context_.boot_id.fill(9);
    is_durable_ = false;
    takes_in_ = false;
    look_up_ = [this](const std::string& host, std::function<void(Result<HostAddresses>)> then) {
      ++tries_to_connect_;
      look_up_host(host, std::move(then));
    };
  }
  ~LeftQueueTest() override { driver_.reset(); }

  std::string path() const { return directory_ / "mqtt-plant_local.queue"; }
  bool is_there() const { return std::filesystem::exists(path()); }

  std::unique_ptr<SharedQueue> open_as_written() const {
    std::vector<QueueRemark> remarks;
    auto queue = SharedQueue::open(
        queue_file_options(options_, context_), [] {}, remarks);
    EXPECT_TRUE(queue) << queue.error().message;
    return std::move(*queue);
  }
  /// As a process with ack = "written" that is killed then.
  void leave(int first, int last) const {
    const auto queue = open_as_written();
    for (int value = first; value <= last; ++value) {
      const std::string payload = BrokerPackets::number(value);
      ASSERT_EQ(queue->push({"plant/d/t", payload, clock_.wall_now(), clock_.boot_now(), false, false}),
                SharedQueue::Push::stored);
    }
  }
  bool collect() { return driver_->collect(intake_); }
  void settle() {
    driver_->settled();
    ++settles_;
  }
  bool connects() {
    return turn_until([&] { return broker_ || (broker_ = listener_.accept()); });
  }

  testing::TemporaryDirectory directory_;
  std::unique_ptr<RawClient> broker_;
  int tries_to_connect_ = 0;
};

TEST_F(LeftQueueTest, GoesIntoTheLogBeforeTheBrokerIsAskedForMore) {
  leave(1, 3);
  start();
  EXPECT_TRUE(woken_);
  EXPECT_GT(driver_->status().queue_bytes, 0U);
  EXPECT_EQ(tries_to_connect_, 0);
  EXPECT_FALSE(collect());
  EXPECT_THAT(values(), ElementsAre("d/t=1", "d/t=2", "d/t=3"));
  ASSERT_TRUE(intake_.mark);
  EXPECT_GT(intake_.mark->position, 0U);
  EXPECT_EQ(tries_to_connect_, 0) << "not in the log yet";
  settle();
  EXPECT_TRUE(connects());
  EXPECT_TRUE(is_there()) << "written is not durable";
  make_durable();
  EXPECT_FALSE(is_there());
  EXPECT_EQ(driver_->status().queue_bytes, 0U);
}

TEST_F(LeftQueueTest, IsTakenOnceWhenThisOneIsKilledToo) {
  leave(1, 3);
  start();
  collect();
  ASSERT_TRUE(intake_.mark);
  driver_.reset();
  context_.marks = {*intake_.mark};
  intake_.clear();
  start();
  EXPECT_FALSE(collect());
  EXPECT_THAT(values(), IsEmpty());
  settle();
  EXPECT_TRUE(connects());
  make_durable();
  EXPECT_FALSE(is_there());
}

TEST_F(LeftQueueTest, IsTakenAgainWhenTheLogHasNothingOfIt) {
  leave(1, 3);
  start();
  collect();
  driver_.reset();
  intake_.clear();
  start();
  collect();
  EXPECT_THAT(values(), ElementsAre("d/t=1", "d/t=2", "d/t=3"));
}

TEST_F(LeftQueueTest, IsTakenInPartsWhenItIsLong) {
  options_.queue_bytes = 4 * 1024 * 1024;
  leave(1, 10'000);
  start();
  std::vector<std::uint64_t> marks;
  for (bool is_more = true; is_more;) {
    EXPECT_EQ(tries_to_connect_, 0);
    is_more = collect();
    ASSERT_TRUE(intake_.mark);
    marks.push_back(intake_.mark->position);
    settle();
    make_durable();
    EXPECT_EQ(is_there(), is_more);
  }
  EXPECT_GT(marks.size(), 1U);
  EXPECT_TRUE(std::is_sorted(marks.begin(), marks.end()));
  ASSERT_EQ(intake_.readings.size(), 10'000U);
  EXPECT_EQ(values().back(), "d/t=10000");
  EXPECT_TRUE(connects());
}

TEST_F(LeftQueueTest, IsRemovedWhenNothingIsInIt) {
  leave(1, 0);
  ASSERT_TRUE(is_there());
  start();
  EXPECT_TRUE(woken_);
  EXPECT_FALSE(collect());
  EXPECT_TRUE(intake_.mark) << "without anything in the intake nobody would settle it";
  settle();
  make_durable();
  EXPECT_FALSE(is_there());
  EXPECT_TRUE(connects());
}

// What is refused is settled too, and leaves no mark in the log.
TEST_F(LeftQueueTest, IsRemovedWhenNothingInItIsOfUse) {
  open_as_written()->push({"plant/d/t", "no json", clock_.wall_now(), clock_.boot_now(), false, false});
  start();
  collect();
  EXPECT_THAT(values(), IsEmpty());
  EXPECT_EQ(driver_->status().refused.at("not_json"), 1U);
  settle();
  make_durable();
  EXPECT_FALSE(is_there());
}

TEST_F(LeftQueueTest, IsSetAsideWhenItIsOfAnotherBoot) {
  leave(1, 3);
  context_.boot_id.fill(10);
  start();
  EXPECT_TRUE(woken_) << "there is an event";
  EXPECT_TRUE(connects());
  collect();
  EXPECT_THAT(values(), IsEmpty());
  EXPECT_EQ(events("queue-set-aside"), 1U);
  EXPECT_FALSE(is_there());
  EXPECT_TRUE(std::filesystem::exists(path() + ".other-1"));
}

TEST_F(LeftQueueTest, KeepsWhatStandsBeforeADamagedEntryAndTellsOfTheRest) {
  leave(1, 2);
  {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096 + 48 + 40);  // in the second entry
    file.put('\x7f');
  }
  start();
  collect();
  EXPECT_THAT(values(), ElementsAre("d/t=1"));
  EXPECT_EQ(events("queue-damaged"), 1U);
  EXPECT_GT(driver_->status().refused.at("queue_damaged"), 0U);
}

TEST_F(LeftQueueTest, IsNotTakenFromAProcessThatHasIt) {
  const auto other = open_as_written();
  const auto started = try_to_start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("in use by another process"));
  EXPECT_TRUE(is_there());
}

TEST_F(LeftQueueTest, IsMadeByNobodyWhoDoesNotNeedIt) {
  start();
  EXPECT_FALSE(woken_);
  EXPECT_TRUE(connects());
  EXPECT_FALSE(is_there());
}

TEST_F(LeftQueueTest, GoesIntoTheLogWhenTheDriverIsStoppedMeanwhileAndConnectsToNobody) {
  leave(1, 3);
  start();
  driver_->stop();
  collect();
  EXPECT_THAT(values(), ElementsAre("d/t=1", "d/t=2", "d/t=3"));
  settle();
  EXPECT_EQ(tries_to_connect_, 0);
  make_durable();
  EXPECT_FALSE(is_there());
}

// Back to "written": a new one, which the log knows nothing of.
TEST_F(LeftQueueTest, IsAnotherOneAfterwards) {
  leave(1, 3);
  start();
  collect();
  settle();
  make_durable();
  driver_.reset();
  context_.marks = {*intake_.mark};
  const auto queue = open_as_written();
  EXPECT_NE(queue->queue_id(), intake_.mark->queue_id);
  EXPECT_EQ(queue->position(), 0U);
}

}  // namespace
}  // namespace tidegate::drivers
