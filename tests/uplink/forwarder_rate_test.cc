// How fast a backlog goes, and who has a turn in a flood.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/uplink/forwarder_fixture.h"
#include "uplink/token_bucket.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(TokenBucketTest, BeginsFullAndFillsUpToItsBurst) {
  const BootTime begin(seconds(100));
  TokenBucket bucket(10, 20);
  EXPECT_LE(bucket.ready_at(20), begin);
  bucket.take(20, begin);
  EXPECT_EQ(bucket.ready_at(1), begin + milliseconds(100));
  EXPECT_EQ(bucket.ready_at(20), begin + seconds(2));
  EXPECT_EQ(bucket.ready_at(1000), begin + seconds(2)) << "more than the burst goes when it is full";
  bucket.take(5, begin + seconds(60));
  EXPECT_EQ(bucket.ready_at(20), begin + seconds(60) + milliseconds(500)) << "a pause gives no more than the burst";
}

class ForwarderRateTest : public ForwarderFixture {
 protected:
  ForwarderRateTest() {
    options_.backfill_rate = 5;
    begin_at({1, 0});
  }
  /// Supplies and sends until nothing more goes now.
  std::vector<OutgoingBatch> send_from(const std::vector<RecordBatch>& frames) {
    std::vector<OutgoingBatch> sent;
    for (bool progress = true; progress;) {
      progress = false;
      while (const auto demand = forwarder_->demand()) {
        const auto frame = std::find_if(frames.begin(), frames.end(), [&](const RecordBatch& one) {
          return one.stream == demand->stream && one.end() > demand->from;
        });
        if (frame == frames.end()) break;
        forwarder_->supply(*frame, now_);
        progress = true;
      }
      for (const auto& batch : send_all()) {
        acknowledge(batch);
        sent.push_back(batch);
        progress = true;
      }
    }
    return sent;
  }
  void announce_all(const std::vector<RecordBatch>& frames) {
    for (const auto& frame : frames) forwarder_->announce(frame.stream, frame.end());
  }
};

TEST_F(ForwarderRateTest, SendsABacklogAtTheRateAndSaysWhenTheNextGoes) {
  const std::vector<RecordBatch> frames{readings(1, 0, 44)};
  pass(std::chrono::hours(1));
  announce_all(frames);
  link_up();
  EXPECT_EQ(stretches(send_from(frames)), "0..9") << "a burst of one batch";
  for (int i = 1; i < 4; ++i) {
    ASSERT_EQ(forwarder_->next_deadline(), now_ + seconds(2));
    pass(seconds(2) - Duration(1));
    EXPECT_TRUE(send_from(frames).empty());
    pass(Duration(1));
    EXPECT_EQ(send_from(frames).size(), 1U);
  }
  ASSERT_EQ(forwarder_->next_deadline(), now_ + seconds(1)) << "the last one is half as large";
  pass(seconds(1));
  EXPECT_EQ(stretches(send_from(frames)), "40..44");
  EXPECT_EQ(accounting().delivered, 45U);
}

TEST_F(ForwarderRateTest, TakesWhatWasNotUsedForOneSecond) {
  options_.backfill_rate = 30;
  begin_at({1, 0});
  const std::vector<RecordBatch> frames{readings(1, 0, 99)};
  pass(std::chrono::hours(1));
  announce_all(frames);
  link_up();
  EXPECT_EQ(stretches(send_from(frames)), "0..9 10..19 20..29");
}

TEST_F(ForwarderRateTest, LimitsRepeatsOfABacklogToo) {
  const std::vector<RecordBatch> frames{readings(1, 0, 9)};
  pass(std::chrono::hours(1));
  supply(frames[0]);
  link_up();
  const auto sent = send_all();
  ASSERT_EQ(sent.size(), 1U);
  link_down();
  link_up();
  EXPECT_TRUE(send_all().empty());
  pass(seconds(2));
  EXPECT_EQ(stretches(send_all()), "0..9");
}

TEST_F(ForwarderRateTest, HoldsNothingBackThatIsCurrent) {
  const std::vector<RecordBatch> frames{readings(1, 0, 99)};
  announce_all(frames);
  link_up();
  EXPECT_EQ(send_from(frames).size(), 10U);
}

TEST_F(ForwarderRateTest, HoldsNoAlarmBackAndLeavesItTheRoom) {
  const std::vector<RecordBatch> old{readings(1, 0, 99)};
  pass(std::chrono::hours(1));
  announce_all(old);
  link_up();
  EXPECT_EQ(send_from(old).size(), 1U);
  const std::vector<RecordBatch> alarms{documents(Stream::alarms, 0, std::vector<std::string>(40, "{}"))};
  announce_all(alarms);
  for (int i = 0; i < 4; ++i) forwarder_->supply(alarms[0], now_);
  EXPECT_EQ(send_all().size(), options_.inflight_max) << "as many at once as ever";
}

class ForwarderTurnTest : public ForwarderRateTest {
 protected:
  ForwarderTurnTest() {
    options_.backfill_rate = 0;
    options_.inflight_max = 1;
    begin_at({1, 0});
    link_up();
  }
};

TEST_F(ForwarderTurnTest, AFloodOfAlarmsLeavesReadingsOneBatchInEight) {
  const std::vector<RecordBatch> frames{documents(Stream::alarms, 0, std::vector<std::string>(400, "{}")),
                                        readings(1, 0, 99)};
  announce_all(frames);
  const auto sent = send_from(frames);
  ASSERT_EQ(sent.size(), 50U);
  for (std::size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(sent[i].stream, i % 8 == 7 ? Stream::readings : Stream::alarms) << i;
  }
}

TEST_F(ForwarderTurnTest, AFloodOfAlarmsLeavesEventsAndReadingsTheirTurns) {
  options_.inflight_max = 8;
  begin_at({1, 0});
  link_up();
  const std::vector<RecordBatch> frames{documents(Stream::alarms, 0, std::vector<std::string>(900, "{}")),
                                        documents(Stream::events, 0, std::vector<std::string>(900, "{}")),
                                        readings(1, 0, 899)};
  announce_all(frames);
  const auto sent = send_from(frames);
  const auto count = [&](Stream stream) {
    return std::count_if(sent.begin(), sent.begin() + 80, [&](const auto& one) { return one.stream == stream; });
  };
  EXPECT_GE(count(Stream::events), 7);
  EXPECT_GE(count(Stream::readings), 7);
  EXPECT_GE(count(Stream::alarms), 55) << "and still go first";
}

TEST_F(ForwarderTurnTest, AsksForReadingsInTimeWhereAlarmsAlwaysHaveRoom) {
  options_.inflight_max = 8;
  begin_at({1, 0});
  link_up();
  forwarder_->announce(Stream::alarms, {1, 10'000});
  forwarder_->announce(Stream::readings, {1, 10'000});
  int alarms = 0;
  while (alarms < 20 && forwarder_->demand()->stream == Stream::alarms) {
    auto batch = documents(Stream::alarms, forwarder_->demand()->from.sequence, std::vector<std::string>(10, "{}"));
    forwarder_->supply(batch, now_);
    for (const auto& sent : send_all()) acknowledge(sent);
    ++alarms;
  }
  EXPECT_EQ(alarms, 7) << "although all of them were answered at once";
}

}  // namespace
}  // namespace tidegate::uplink::testing
