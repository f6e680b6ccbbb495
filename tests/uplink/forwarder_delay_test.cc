// How long a record waits for company.
#include <gtest/gtest.h>

#include "tests/uplink/forwarder_fixture.h"

namespace tidegate::uplink::testing {
namespace {

class ForwarderDelayTest : public ForwarderFixture {};

TEST_F(ForwarderDelayTest, SendsAFullBatchAtOnceAndAPartOfOneWhenTheDelayIsOver) {
  link_up();
  supply(readings(1, 0, 12));
  EXPECT_EQ(stretches(send_all()), "0..9");
  ASSERT_TRUE(forwarder_->next_deadline());
  EXPECT_EQ(*forwarder_->next_deadline(), now_ + options_.batch_delay_max);
  pass(options_.batch_delay_max - Duration(1));
  EXPECT_FALSE(send());
  supply(readings(1, 13, 13));
  pass(Duration(1));
  EXPECT_EQ(stretches(send_all()), "10..13");
  EXPECT_FALSE(forwarder_->next_deadline());
}

TEST_F(ForwarderDelayTest, BeginsWhenTheRecordWasTakenInNotWhenItWasRead) {
  link_up();
  const auto early = readings(1, 0, 2);
  pass(options_.batch_delay_max - Duration(1));
  supply(early);
  EXPECT_FALSE(send());
  pass(Duration(1));
  EXPECT_EQ(stretches(send_all()), "0..2");
}

// Else a process that never lives for as long as the delay would never send it.
TEST_F(ForwarderDelayTest, IsOverForRecordsOfAnEarlierBoot) {
  link_up();
  auto batch = readings(1, 0, 2);
  batch.boot_id = {7};
  supply(batch);
  EXPECT_EQ(stretches(send_all()), "0..2");
}

TEST_F(ForwarderDelayTest, LetsABacklogGoInFullBatches) {
  link_up();
  const auto early = readings(1, 0, 2);
  const auto more = readings(1, 3, 7);
  pass(options_.batch_delay_max * 10);
  forwarder_->announce(Stream::readings, {1, 8});
  forwarder_->supply(early, now_);
  EXPECT_FALSE(send()) << "more is there to be read";
  forwarder_->supply(more, now_);
  EXPECT_EQ(stretches(send_all()), "0..7");
}

TEST_F(ForwarderDelayTest, WhatIsHeldWaitsAndNothingElseDoes) {
  link_up();
  forwarder_->hold(Stream::readings, now_ + std::chrono::hours(1));
  supply_all(readings(1, 0, 49));
  EXPECT_FALSE(send());
  EXPECT_EQ(forwarder_->next_deadline(), now_ + std::chrono::hours(1));
  for (std::uint64_t i = 0; i < 3; ++i) {
    supply(documents(Stream::alarms, i, {"{\"alarm\":\"a\"}"}));
    pass(options_.batch_delay_max);
    const auto alarm = send();
    ASSERT_TRUE(alarm);
    EXPECT_EQ(alarm->stream, Stream::alarms);
    forwarder_->acknowledged(alarm->id);
  }
  forwarder_->hold(Stream::readings, now_);
  const auto first = send();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->stream, Stream::readings);
  EXPECT_EQ(first->from, 0U);
}

// One batch of readings is on its way, and the others take all the room there is.
TEST_F(ForwarderDelayTest, AlarmsPassReadingsThatFillWhatMayBeHeld) {
  link_up();
  supply_all(readings(1, 0, 99));
  const auto on_its_way = send();
  ASSERT_TRUE(on_its_way);
  forwarder_->hold(Stream::readings, now_ + std::chrono::hours(1));
  EXPECT_FALSE(send());
  EXPECT_FALSE(forwarder_->demand(Stream::readings)) << "there is room for no more";
  for (std::uint64_t i = 0; i < 3; ++i) {
    supply(documents(Stream::alarms, i, {"{\"alarm\":\"a\"}"}));
    pass(options_.batch_delay_max);
    const auto alarm = send();
    ASSERT_TRUE(alarm) << i;
    EXPECT_EQ(alarm->stream, Stream::alarms);
    acknowledge(*alarm);
  }
  acknowledge(*on_its_way);
  EXPECT_FALSE(send());
  forwarder_->hold(Stream::readings, now_);
  EXPECT_EQ(stretches(send_all()), "10..19 20..29 30..39 40..49");
}

TEST_F(ForwarderDelayTest, ReadingsThatWereHeldGoAtTheRateOfABacklog) {
  options_.backfill_rate = 10;
  begin_at({1, 0});
  link_up();
  forwarder_->hold(Stream::readings, now_ + std::chrono::hours(8));
  const RecordBatch early = readings(1, 0, 99);
  supply_all(early);
  pass(std::chrono::hours(8));
  forwarder_->hold(Stream::readings, now_);
  std::size_t batches = 0;
  const BootTime begun = now_;
  while (cursor().acked_to.sequence < 100) {
    while (auto batch = send()) {
      ++batches;
      acknowledge(*batch);
      while (forwarder_->demand()) forwarder_->supply(early, now_);
    }
    if (cursor().acked_to.sequence >= 100) break;
    ASSERT_TRUE(forwarder_->next_deadline());
    pass(*forwarder_->next_deadline() - now_);
  }
  EXPECT_EQ(batches, 10U);
  EXPECT_GE(now_ - begun, std::chrono::seconds(8)) << "but for what a bucket may hold, ten readings a second";
}

// Once it is held again, what failed waits too.
TEST_F(ForwarderDelayTest, WhatFailedIsHeldLikeAnythingElse) {
  link_up();
  supply(readings(1, 0, 9));
  const auto sent = send();
  ASSERT_TRUE(sent);
  forwarder_->hold(Stream::readings, now_ + std::chrono::hours(1));
  forwarder_->failed(sent->id, now_);
  pass(std::chrono::hours(1) - Duration(1));
  EXPECT_FALSE(send());
  pass(Duration(1));
  EXPECT_TRUE(send());
}

}  // namespace
}  // namespace tidegate::uplink::testing
