#include "uplink/forwarder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/uplink/forwarder_fixture.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class ForwarderTest : public ForwarderFixture {};

TEST_F(ForwarderTest, SendsNothingBeforeTheLinkIsUp) {
  supply(readings(1, 0, 9));
  EXPECT_FALSE(send());
  EXPECT_FALSE(forwarder_->next_deadline());
  link_up();
  EXPECT_EQ(stretches(send_all()), "0..9");
}

TEST_F(ForwarderTest, MakesSeveralBatchesOfOneFrameWithoutBeingAskedAgain) {
  link_up();
  supply(readings(1, 0, 34));
  EXPECT_EQ(stretches(send_all()), "0..9 10..19 20..29");
}

TEST_F(ForwarderTest, TakesNoMoreThanOneBatchWhileTheLinkIsDown) {
  supply(readings(1, 0, 99));
  EXPECT_FALSE(forwarder_->demand());
  link_up();
  ASSERT_TRUE(forwarder_->demand());
  EXPECT_EQ(forwarder_->demand()->from, (Position{1, 10}));
}

TEST_F(ForwarderTest, HoldsWhatIsInFlightAndOneBatchWhenNothingIsAcknowledged) {
  link_up();
  supply_all(readings(1, 0, 99));
  EXPECT_EQ(stretches(send_all()), "0..9 10..19 20..29 30..39");
  supply_all(readings(1, 0, 99));
  EXPECT_FALSE(send());
  EXPECT_FALSE(forwarder_->demand());
  link_down();
  EXPECT_FALSE(forwarder_->demand());
  pass(std::chrono::hours(24));
  link_up();
  EXPECT_FALSE(forwarder_->demand());
  EXPECT_EQ(stretches(send_all_later()), "0..9 10..19 20..29 30..39");
}

TEST_F(ForwarderTest, DoesNotRunAheadOfABatchThatIsNeverAnswered) {
  link_up();
  supply(readings(1, 0, 39));
  const auto batches = send_all();
  for (std::size_t i = 1; i < batches.size(); ++i) acknowledge(batches[i]);
  supply_all(readings(1, 40, 99));
  EXPECT_TRUE(send_all_later().empty());
  EXPECT_FALSE(forwarder_->demand());
  acknowledge(batches[0]);
  EXPECT_EQ(stretches(send_all()), "40..49");
}

TEST_F(ForwarderTest, MovesTheCursorOverTheAcknowledgedBeginningOnly) {
  link_up();
  supply(readings(1, 0, 39));
  const auto batches = send_all();
  ASSERT_EQ(batches.size(), 4U);
  acknowledge(batches[2]);
  acknowledge(batches[1]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 0}));
  EXPECT_EQ(forwarder_->backlog(Stream::readings), 40U);
  EXPECT_EQ(batches[1].payload.use_count(), 1) << "what arrived is kept no longer";
  EXPECT_GT(batches[0].payload.use_count(), 1) << "what may have to be repeated is";
  acknowledge(batches[0]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 30}));
  EXPECT_EQ(accounting().delivered, 30U);
  EXPECT_EQ(forwarder_->backlog(Stream::readings), 10U);
}

TEST_F(ForwarderTest, IgnoresAcknowledgementsItDoesNotKnowOrHadAlready) {
  link_up();
  supply(readings(1, 0, 9));
  const auto batches = send_all();
  for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}, batches[0].id + (1U << 20)}) {
    forwarder_->acknowledged(id);
    forwarder_->failed(id, now_);
  }
  EXPECT_EQ(cursor().acked_to, (Position{1, 0}));
  acknowledge(batches[0]);
  acknowledge(batches[0]);
  fail(batches[0]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 10}));
  EXPECT_EQ(accounting().delivered, 10U);
  EXPECT_TRUE(send_all_later().empty());
}

TEST_F(ForwarderTest, RepeatsWhatFailedAndWhatIsBehindItAsItWas) {
  link_up();
  supply(readings(1, 0, 39));
  const auto first = send_all();
  acknowledge(first[2]);
  fail(first[1]);
  EXPECT_FALSE(send());
  const auto again = send_all_later();
  EXPECT_EQ(stretches(again), "10..19 30..39");
  EXPECT_EQ(parse_batch(*again[0].payload).entries_text, parse_batch(*first[1].payload).entries_text);
  acknowledge(first[0]);
  acknowledge(again[0]);
  acknowledge(again[1]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 40}));
}

TEST_F(ForwarderTest, TakesALateAcknowledgementOfAnEarlierAttemptButNoLateFailure) {
  link_up();
  supply(readings(1, 0, 19));
  const auto first = send_all();
  fail(first[0]);
  const auto again = send_all_later();
  ASSERT_EQ(stretches(again), "0..9 10..19");
  fail(first[0]);
  fail(first[1]);
  EXPECT_TRUE(send_all_later().empty()) << "the repeats are in flight and have not failed";
  acknowledge(first[0]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 10}));
  acknowledge(again[0]);
  EXPECT_EQ(accounting().delivered, 10U);
}

TEST_F(ForwarderTest, DoesNotRepeatWhatIsAcknowledgedDuringThePause) {
  link_up();
  supply(readings(1, 0, 19));
  const auto first = send_all();
  fail(first[0]);
  acknowledge(first[1]);
  EXPECT_EQ(stretches(send_all_later()), "0..9");
}

TEST_F(ForwarderTest, PausesOnceForAWindowThatFailsAndLongerWhenItFailsAgain) {
  options_.retry_first = milliseconds(100);
  options_.retry_most = seconds(60);
  begin_at({1, 0});
  link_up();
  supply(readings(1, 0, 39));
  Duration longest{};
  for (int round = 0; round < 12; ++round) {
    const auto batches = send_all();
    ASSERT_EQ(batches.size(), 4U) << round;
    for (auto batch = batches.rbegin(); batch != batches.rend(); ++batch) fail(*batch);
    ASSERT_TRUE(forwarder_->next_deadline());
    const Duration pause = *forwarder_->next_deadline() - now_;
    const Duration bound = std::min<Duration>(milliseconds(100) * (1 << round), seconds(60));
    ASSERT_GT(pause, Duration::zero());
    ASSERT_LE(pause, bound) << round;
    longest = std::max(longest, pause);
    pass(pause - Duration(1));
    ASSERT_FALSE(send());
    pass(Duration(1));
  }
  EXPECT_GT(longest, seconds(6));
  acknowledge(*send());
  fail(*send());
  EXPECT_LE(*forwarder_->next_deadline() - now_, milliseconds(100)) << "an acknowledgement ends the series";
}

TEST_F(ForwarderTest, SendsEverythingUnknownAgainAtOnceWhenALinkThatWorkedComesBack) {
  link_up();
  supply(readings(1, 0, 39));
  const auto first = send_all();
  acknowledge(first[0]);
  for (const auto& batch : first) fail(batch);
  link_down();
  EXPECT_FALSE(forwarder_->next_deadline());
  link_up();
  EXPECT_EQ(stretches(send_all()), "10..19 20..29 30..39");
}

TEST_F(ForwarderTest, WaitsWhenTheLinkBreaksEachTimeBeforeAnythingIsAcknowledged) {
  options_.batch_readings_max = 1;
  begin_at({1, 0});
  supply(readings(1, 0, 0));
  link_up();
  Duration longest{};
  for (int round = 0; round < 10; ++round) {
    ASSERT_EQ(stretches(send_all()), "0..0") << round;
    link_down();
    link_up();
    ASSERT_FALSE(send());
    ASSERT_TRUE(forwarder_->next_deadline());
    longest = std::max(longest, *forwarder_->next_deadline() - now_);
    pass(*forwarder_->next_deadline() - now_);
  }
  EXPECT_GT(longest, seconds(6));
  EXPECT_LE(longest, options_.retry_most);
}

TEST_F(ForwarderTest, WaitsShortlyAgainOnceSomethingWasAcknowledged) {
  options_.retry_first = milliseconds(100);
  options_.batch_readings_max = 1;
  begin_at({1, 0});
  supply(readings(1, 0, 0));
  link_up();
  for (int round = 0; round < 8; ++round) {
    send_all_later();
    link_down();
    link_up();
  }
  acknowledge(send_all_later()[0]);
  link_down();
  supply(readings(1, 1, 1));
  link_up();
  ASSERT_EQ(stretches(send_all()), "1..1") << "the link before worked";
  link_down();
  link_up();
  ASSERT_TRUE(forwarder_->next_deadline());
  EXPECT_LE(*forwarder_->next_deadline() - now_, milliseconds(100));
}

TEST_F(ForwarderTest, TakesAnAcknowledgementThatComesAfterTheLinkWentDown) {
  link_up();
  supply(readings(1, 0, 9));
  const auto batches = send_all();
  link_down();
  acknowledge(batches[0]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 10}));
  link_up();
  EXPECT_TRUE(send_all_later().empty());
}

TEST_F(ForwarderTest, CountsWhatIsInFlightOverAllStreams) {
  options_.inflight_max = 2;
  begin_at({1, 0});
  link_up();
  supply(documents(Stream::alarms, 0, {"{\"alarm\":\"a\"}"}));
  supply(readings(1, 0, 39));
  const auto batches = send_all();
  ASSERT_EQ(batches.size(), 2U);
  EXPECT_EQ(batches[0].stream, Stream::alarms);
  EXPECT_EQ(batches[1].stream, Stream::readings);
  EXPECT_FALSE(forwarder_->next_deadline()) << "only an acknowledgement helps";
  acknowledge(batches[0]);
  EXPECT_EQ(stretches(send_all()), "10..19");
}

TEST_F(ForwarderTest, AsksForAlarmsThenEventsThenReadings) {
  for (const Stream stream : kAllStreams) forwarder_->announce(stream, {1, 1});
  EXPECT_EQ(forwarder_->demand()->stream, Stream::alarms);
  forwarder_->supply(documents(Stream::alarms, 0, {"{}"}), now_);
  EXPECT_EQ(forwarder_->demand()->stream, Stream::events);
  forwarder_->supply(documents(Stream::events, 0, {"{}"}), now_);
  EXPECT_EQ(forwarder_->demand()->stream, Stream::readings);
}

TEST_F(ForwarderTest, SendsAnAlarmAtOnceAndGathersThoseThatComeWhileItIsOnItsWay) {
  link_up();
  supply(documents(Stream::alarms, 0, {"{\"alarm\":\"a\"}"}));
  const auto first = send_all();
  ASSERT_EQ(stretches(first), "0..0");
  supply(documents(Stream::alarms, 1, {"{\"alarm\":\"b\"}"}));
  supply(documents(Stream::alarms, 2, {"{\"alarm\":\"c\"}"}));
  EXPECT_FALSE(send());
  acknowledge(first[0]);
  const auto second = send_all();
  ASSERT_EQ(stretches(second), "1..2");
  EXPECT_THAT(*second[0].payload, HasSubstr("\"alarms\":[{\"seq\":1,\"alarm\":\"b\"},{\"seq\":2,\"alarm\":\"c\"}]}"));
}

TEST_F(ForwarderTest, LetsAnAlarmOvertakeReadingsThatHaveToBeSentAgain) {
  link_up();
  supply(readings(1, 0, 39));
  acknowledge(send_all()[0]);
  supply_all(readings(1, 40, 59));
  send_all();
  link_down();
  supply(documents(Stream::alarms, 0, {"{\"alarm\":\"a\"}"}));
  link_up();
  const auto batches = send_all();
  ASSERT_EQ(batches.size(), 4U);
  EXPECT_EQ(batches[0].stream, Stream::alarms);
  EXPECT_EQ(batches[1].from, 10U);
}

TEST_F(ForwarderTest, KeepsToTheBytesOfABatchAndSendsALargerRecordAlone) {
  options_.batch_bytes_max = 1000;
  begin_at({1, 0});
  link_up();
  RecordBatch batch = readings(1, 0, 6);
  batch.readings[3].value = std::string(5000, 'x');
  supply_all(batch);
  const auto batches = send_all_later();
  ASSERT_EQ(stretches(batches), "0..2 3..3 4..6");
  EXPECT_LE(batches[0].payload->size(), 1000U);
  EXPECT_GT(batches[1].payload->size(), 5000U);
}

TEST_F(ForwarderTest, TakesWhatItHasNotYetOfABatchThatCoversTheDemand) {
  link_up();
  supply(readings(1, 0, 4));
  supply(readings(1, 0, 4));
  supply(readings(1, 2, 7));
  const auto batches = send_all_later();
  EXPECT_EQ(stretches(batches), "0..7");
  EXPECT_EQ(batches[0].count, 8U);
}

TEST_F(ForwarderTest, CallsOldRecordsHistoricalAlsoWhenTheyWereLiveAtTheFirstAttempt) {
  link_up();
  supply(readings(1, 0, 9));
  const auto live = parse_batch(*send_all()[0].payload);
  EXPECT_EQ(live.problem, "");
  EXPECT_EQ(live.lane, "live");
  link_down();
  pass(options_.batch_delay_max + seconds(5) + Duration(1));
  link_up();
  const auto late = parse_batch(*send_all_later()[0].payload);
  EXPECT_EQ(late.problem, "");
  EXPECT_EQ(late.lane, "backlog");
  EXPECT_GT(late.sent, live.sent);
}

TEST_F(ForwarderTest, CallsRecordsOfAnotherBootHistorical) {
  link_up();
  RecordBatch earlier_boot = readings(1, 0, 9);  // at the same time after its own boot, and its clock said the same
  earlier_boot.boot_id = BootId{1};
  supply(earlier_boot);
  RecordBatch later_in_another_boot = readings(1, 10, 19);
  later_in_another_boot.boot_id = BootId{1};
  later_in_another_boot.times.boot += std::chrono::hours(1);
  supply(later_in_another_boot);
  for (const auto& batch : send_all()) EXPECT_EQ(parse_batch(*batch.payload).lane, "backlog");
}

TEST_F(ForwarderTest, PutsTheStretchIntoTheFirstBytes) {
  link_up();
  supply(readings(1, 0, 9));
  const std::string head = send_all()[0].payload->substr(0, 300);
  EXPECT_THAT(head, HasSubstr("\"from\":0,\"to\":9,"));
  EXPECT_THAT(head, HasSubstr("\"gateway\":\"plant-7\""));
}

TEST_F(ForwarderTest, KnowsTheAgeOfTheOldestThatIsNotAcknowledged) {
  link_up();
  const auto age = [this] { return forwarder_->oldest_age({wall_, now_, ClockQuality::synced}); };
  EXPECT_EQ(age(), std::nullopt);
  supply(readings(1, 0, 9));
  pass(seconds(3));
  supply(readings(1, 10, 12));
  EXPECT_EQ(age(), seconds(3));
  wall_ -= std::chrono::years(10);
  EXPECT_EQ(age(), seconds(3)) << "the wall clock says nothing of an age";
  acknowledge(send_all()[0]);
  EXPECT_EQ(age(), seconds(0));
}

TEST_F(ForwarderTest, TellsTheAgeOfRecordsOfAnotherBootByTheWallClock) {
  link_up();
  RecordBatch batch = readings(1, 0, 9);
  batch.boot_id = BootId{1};
  batch.times = {WallTime(seconds(10)), BootTime(seconds(10)), ClockQuality::unsynced};
  supply(batch);
  const FrameTimes now{WallTime(seconds(1'000)), now_, ClockQuality::synced};
  EXPECT_EQ(forwarder_->oldest_age(now), seconds(990));
  clock_history_.add({BootId{1}, BootTime(seconds(20)), seconds(500), ClockQuality::synced});
  EXPECT_EQ(forwarder_->oldest_age(now), seconds(490));
}

TEST_F(ForwarderTest, StaysLiveWhenTheClockIsSet) {
  link_up();
  supply(readings(1, 0, 9));
  wall_ += std::chrono::years(10);
  EXPECT_EQ(parse_batch(*send_all()[0].payload).lane, "live");
}

TEST_F(ForwarderTest, LeavesStreamsAloneThatItDoesNotCarry) {
  options_.streams = {Stream::readings};
  begin_at({1, 0});
  link_up();
  supply(documents(Stream::events, 0, {"{}"}));
  forwarder_->supply_gap(Stream::events, {1, 5}, 4);
  EXPECT_FALSE(forwarder_->demand());
  EXPECT_TRUE(send_all_later().empty());
  EXPECT_EQ(forwarder_->backlog(Stream::events), 0U);
  EXPECT_EQ(forwarder_->cursor(Stream::events), Cursor{});
}

TEST_F(ForwarderTest, MarksTheFirstBatchOfAReplayAsOftenAsItIsSent) {
  link_up();
  supply_all(readings(1, 0, 19));
  send_all();
  forwarder_->move(Stream::readings, {{1, 0}, 20, 0, 0});
  supply_all(readings(1, 0, 19));
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto batches = send_all_later();
    ASSERT_EQ(batches.size(), 2U);
    EXPECT_TRUE(batches[0].replay);
    EXPECT_FALSE(batches[1].replay);
    fail(batches[0]);
  }
}

TEST_F(ForwarderTest, ABatchThatTheLinkIsLostWithAgainAndAgainIsHalvedAndNothingIsLost) {
  link_up();
  supply_all(readings(1, 0, 9));
  supply_all(readings(1, 10, 19));
  auto batches = send_all();
  ASSERT_EQ(stretches(batches), "0..9 10..19");
  const std::size_t bytes = batches[0].payload->size();
  for (int lost = 1; lost <= 2; ++lost) {
    if (lost == 1) fail(batches[0]);  // a transport may say so first
    link_down();
    link_up();
    batches = send_all_later();
    EXPECT_EQ(stretches(batches), "0..9 10..19") << "it may have been chance";
  }
  link_down();
  link_up();
  ASSERT_TRUE(forwarder_->demand());
  EXPECT_EQ(forwarder_->demand()->from, (Position{1, 0})) << "they are made anew";
  for (const auto& old : batches) acknowledge(old);
  EXPECT_EQ(cursor().acked_to, (Position{1, 0})) << "an answer that comes late is of a batch that there is no more";
  supply_all(readings(1, 0, 19));
  const auto smaller = send_all_later();
  ASSERT_GE(smaller.size(), 3U);
  EXPECT_EQ(smaller[0].from, 0U);
  for (std::size_t i = 0; i < smaller.size(); ++i) {
    EXPECT_LE(smaller[i].payload->size(), bytes / 2);
    if (i > 0) {
      EXPECT_EQ(smaller[i].from, smaller[i - 1].to + 1);
    }
    acknowledge(smaller[i]);
  }
  EXPECT_EQ(cursor().acked_to, (Position{1, smaller.back().to + 1}));
  EXPECT_EQ(accounting().delivered, smaller.back().to + 1);
}

TEST_F(ForwarderTest, ASingleRecordIsSentHoweverOftenTheLinkIsLostWithIt) {
  link_up();
  supply_all(readings(1, 0, 0));
  for (int lost = 0; lost < 10; ++lost) {
    ASSERT_EQ(stretches(send_all_later()), "0..0");
    link_down();
    EXPECT_FALSE(forwarder_->demand());
    link_up();
  }
}

}  // namespace
}  // namespace tidegate::uplink::testing
