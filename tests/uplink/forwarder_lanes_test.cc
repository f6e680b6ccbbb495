// With live-first: what is current goes at once, and the backlog fills exactly what that left out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "tests/uplink/forwarder_fixture.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ForwarderLanesTest : public ForwarderFixture {
 protected:
  ForwarderLanesTest() {
    options_.live_first = true;
    options_.streams = {Stream::readings};
    begin_at({1, 0});
  }

  /// So many readings are taken in now, ten a frame.
  void take_in(std::uint64_t count) {
    for (const std::uint64_t end = end_ + count; end_ < end; end_ = std::min(end, end_ + 10)) {
      frames_.push_back(readings(1, end_, std::min(end, end_ + 10) - 1));
    }
    forwarder_->announce(Stream::readings, {1, end_});
  }
  void read_all() {
    while (const auto demand = forwarder_->demand()) {
      const auto frame = std::find_if(frames_.begin(), frames_.end(),
                                      [&](const RecordBatch& one) { return one.end() > demand->from; });
      if (frame == frames_.end()) return;
      forwarder_->supply(*frame, now_, demand->lane);
    }
  }
  /// Sends what goes now: "live 50..59, backlog 0..9".
  std::string send_now(std::size_t most = 1000) {
    std::string text;
    for (std::size_t i = 0; i < most; ++i) {
      read_all();
      auto batch = send();
      if (!batch) read_all();
      if (!batch) batch = send();
      if (!batch) break;
      const ParsedBatch parsed = parse_batch(*batch->payload);
      EXPECT_EQ(parsed.problem, "");
      EXPECT_EQ(to_string(batch->lane), parsed.lane);
      text += (text.empty() ? "" : ", ") + parsed.lane + " " + stretches({*batch});
      if (parsed.skipped) {
        text += " skips " + std::to_string(parsed.skipped->from) + ".." + std::to_string(parsed.skipped->to);
      }
      sent_.push_back(*batch);
    }
    return text;
  }
  void acknowledge_all() {
    for (const auto& batch : std::exchange(sent_, {})) acknowledge(batch);
  }
  /// As after a checkpoint and a start.
  void start_again() {
    const LanePlaces places = forwarder_->lanes(Stream::readings);
    const Accounting accounts = accounting();
    const bool replay = forwarder_->is_replay_marked(Stream::readings);
    forwarder_ = std::make_unique<Forwarder>(options_, "plant-7", tags_, clock_history_, 1);
    forwarder_->restore(Stream::readings, places, accounts, replay);
    forwarder_->announce(Stream::readings, {1, end_});
    sent_.clear();
    EXPECT_EQ(forwarder_->lanes(Stream::readings), places);
    EXPECT_EQ(accounting().first, accounts.first);
  }
  std::vector<SkippedStretch> left() const { return forwarder_->lanes(Stream::readings).stretches; }
  /// Fifty readings that nobody took for an hour, and the link is up again.
  void come_back() {
    take_in(50);
    pass(hours(1));
    link_up();
  }

  std::vector<RecordBatch> frames_;
  std::uint64_t end_ = 0;
  std::vector<OutgoingBatch> sent_;
};

TEST_F(ForwarderLanesTest, SendsWhatIsCurrentBesideTheBacklogAndJoinsThemAtTheEnd) {
  come_back();
  EXPECT_EQ(send_now(2), "backlog 0..9, backlog 10..19") << "all there is is old";
  EXPECT_THAT(left(), ElementsAre(SkippedStretch{{{1, 0}, {1, 0}}, {1, 50}}));
  take_in(10);
  EXPECT_EQ(send_now(1), "live 50..59 skips 0..49");
  acknowledge_all();
  EXPECT_EQ(cursor().acked_to, (Position{1, 20})) << "the oldest that is not done";
  EXPECT_EQ(forwarder_->lanes(Stream::readings).live.acked_to, (Position{1, 60}));
  EXPECT_EQ(forwarder_->backlog(Stream::readings), 30U);
  EXPECT_EQ(accounting().delivered, 30U);
  EXPECT_EQ(send_now(), "backlog 20..29, backlog 30..39, backlog 40..49");
  acknowledge_all();
  EXPECT_THAT(left(), IsEmpty());
  EXPECT_EQ(cursor().acked_to, (Position{1, 60}));
  EXPECT_EQ(accounting().delivered, 60U);
  EXPECT_EQ(imbalance(accounting(), cursor().passed_to), 0U);
  take_in(10);
  EXPECT_EQ(send_now(), "live 60..69") << "and the mark is gone";
}

// As in a window of the day that is closed.
TEST_F(ForwarderLanesTest, WhatWasHeldBackIsBacklogAndWhatIsCurrentPassesIt) {
  link_up();
  forwarder_->hold(Stream::readings, now_ + hours(8));
  take_in(50);
  EXPECT_EQ(send_now(), "");
  pass(hours(8));
  EXPECT_EQ(send_now(2), "backlog 0..9, backlog 10..19") << "all there is is old";
  take_in(10);
  EXPECT_EQ(send_now(1), "live 50..59 skips 0..49");
  acknowledge_all();
  EXPECT_EQ(send_now(), "backlog 20..29, backlog 30..39, backlog 40..49");
  acknowledge_all();
  EXPECT_EQ(cursor().acked_to, (Position{1, 60}));
}

TEST_F(ForwarderLanesTest, EndsTheLastBatchOfAStretchExactly) {
  take_in(13);
  pass(hours(1));
  link_up();
  EXPECT_EQ(send_now(), "backlog 0..9, backlog 10..12");
  take_in(10);
  EXPECT_EQ(send_now(), "live 13..22 skips 0..12");
}

TEST_F(ForwarderLanesTest, LeavesTheBacklogOneBatchInFour) {
  options_.inflight_max = 1;
  begin_at({1, 0});
  come_back();
  EXPECT_EQ(send_now(), "backlog 0..9");
  acknowledge_all();
  take_in(100);
  std::string lanes;
  for (int i = 0; i < 12; ++i) {
    lanes += send_now()[0];
    acknowledge_all();
  }
  EXPECT_EQ(lanes, "lllblllblllb");
}

TEST_F(ForwarderLanesTest, KeepsAQuarterOfWhatMayBeInFlightForTheBacklog) {
  options_.inflight_max = 8;
  begin_at({1, 0});
  take_in(500);
  pass(hours(1));
  link_up();
  EXPECT_EQ(send_now(1), "backlog 0..9");
  take_in(500);
  // One answer at a time, of the oldest.
  for (int i = 0; i < 30; ++i) {
    send_now();
    ASSERT_EQ(sent_.size(), 8U);
    acknowledge(sent_.front());
    sent_.erase(sent_.begin());
  }
  send_now();
  const auto backlog = std::count_if(sent_.begin(), sent_.end(), [](const OutgoingBatch& batch) {
    return parse_batch(*batch.payload).lane == "backlog";
  });
  EXPECT_EQ(backlog, 2);
}

TEST_F(ForwarderLanesTest, HasNoMoreOfTheBacklogOnItsWayThanKeepsTheTargetBusy) {
  options_.inflight_max = 8;
  begin_at({1, 0});
  take_in(20'000);
  pass(hours(1));
  link_up();
  // A target that takes a batch in ten milliseconds, one after the other.
  std::size_t most = 0;
  for (int i = 0; i < 1'000; ++i) {
    if (i == 300) take_in(10);
    const std::string sent = send_now();
    if (i == 300) {
      EXPECT_THAT(sent, HasSubstr("live 20000..20009")) << "which has room beside it";
    }
    if (i > 300) most = std::max(most, sent_.size());
    pass(std::chrono::milliseconds(10));
    ASSERT_FALSE(sent_.empty());
    acknowledge(sent_.front());
    sent_.erase(sent_.begin());
  }
  EXPECT_GE(most, 2U);
  EXPECT_LE(most, 3U);
}

TEST_F(ForwarderLanesTest, LimitsTheBacklogAloneAndLeavesTheRoomToWhatIsCurrent) {
  options_.backfill_rate = 5;
  begin_at({1, 0});
  come_back();
  EXPECT_EQ(send_now(), "backlog 0..9");
  acknowledge_all();
  take_in(30);
  EXPECT_EQ(send_now(), "live 50..59 skips 0..49, live 60..69, live 70..79");
  acknowledge_all();
  EXPECT_EQ(forwarder_->next_deadline(), now_ + seconds(2));
  pass(seconds(2));
  EXPECT_EQ(send_now(), "backlog 10..19");
}

TEST_F(ForwarderLanesTest, LimitsTheBacklogToItsYoungestRecord) {
  options_.backfill_rate = 10;
  begin_at({1, 0});
  take_in(10);
  pass(hours(1));
  take_in(20);
  link_up();
  EXPECT_EQ(send_now(), "backlog 0..9");
  acknowledge_all();
  pass(seconds(1));
  EXPECT_EQ(send_now(), "backlog 10..19");
  acknowledge_all();
  EXPECT_EQ(forwarder_->next_deadline(), now_ + seconds(1));
}

TEST_F(ForwarderLanesTest, AnotherOutageLeavesAnotherStretchAndEachIsFilled) {
  come_back();
  send_now(1);
  take_in(10);
  send_now(1);
  acknowledge_all();  // 0..9 and 50..59
  link_down();
  take_in(20);
  pass(hours(1));
  link_up();
  take_in(10);
  EXPECT_EQ(send_now(1), "backlog 10..19") << "what has come since has not been read when that is decided";
  EXPECT_EQ(left().size(), 2U);
  EXPECT_EQ(left()[1], (SkippedStretch{{{1, 60}, {1, 60}}, {1, 90}}));
  take_in(10);
  EXPECT_EQ(send_now(1), "live 90..99 skips 60..89");
  acknowledge_all();
  for (const char* sent :
       {"backlog 20..29", "backlog 30..39", "backlog 40..49", "backlog 60..69", "backlog 70..79", "backlog 80..89"}) {
    EXPECT_EQ(send_now(1), sent);
    acknowledge_all();
  }
  EXPECT_THAT(left(), IsEmpty());
  EXPECT_EQ(accounting().delivered, 100U);
}

TEST_F(ForwarderLanesTest, WhatWasNotAcknowledgedJoinsTheStretchBeforeIt) {
  come_back();
  send_now(1);
  take_in(10);
  EXPECT_EQ(send_now(1), "live 50..59 skips 0..49");
  link_down();
  take_in(10);
  pass(hours(1));
  link_up();
  pass(seconds(2));  // nothing was acknowledged: the first batch waits
  send_now(1);
  EXPECT_THAT(left(), ElementsAre(SkippedStretch{{{1, 0}, {1, 0}}, {1, 70}}));
  take_in(10);
  EXPECT_EQ(send_now(1), "live 70..79 skips 0..69");
}

TEST_F(ForwarderLanesTest, CountsWhatTheFilterLeftOutOnceWhenAStretchGrows) {
  options_.tags = {"a/*"};
  begin_at({1, 0});
  come_back();
  send_now(1);
  const auto filtered = readings(1, 50, 59, "b/x");
  frames_.push_back(filtered);
  end_ = 60;
  take_in(10);
  read_all();
  EXPECT_EQ(accounting().filtered, 10U);
  link_down();
  pass(hours(1));
  link_up();
  pass(seconds(2));
  send_now(1);
  EXPECT_EQ(left().size(), 1U);
  for (int i = 0; i < 8; ++i) {
    acknowledge_all();
    send_now();
  }
  EXPECT_EQ(accounting().filtered, 10U);
  EXPECT_EQ(accounting().delivered, 60U);
  EXPECT_THAT(left(), IsEmpty());
}

TEST_F(ForwarderLanesTest, LeavesNothingWhileBatchesAreOnTheirWay) {
  link_up();
  take_in(10);
  EXPECT_EQ(send_now(), "live 0..9");
  take_in(10);
  pass(hours(1));
  EXPECT_EQ(send_now(), "live 10..19") << "the target is only slow";
  EXPECT_THAT(left(), IsEmpty());
}

TEST_F(ForwarderLanesTest, GoesInOrderWhenThereAreTooManyStretches) {
  options_.backfill_rate = 0.1;
  begin_at({1, 0});
  link_up();
  std::vector<std::string> late;
  for (std::size_t i = 0; i < kStretchesMost + 4; ++i) {
    take_in(10);
    pass(seconds(7));
    late.push_back(send_now());
    acknowledge_all();
    take_in(10);
    send_now();
    acknowledge_all();
  }
  EXPECT_EQ(left().size(), kStretchesMost) << "the backlog hardly gets on at that rate";
  EXPECT_EQ(late.back(), "live 380..389");
  EXPECT_EQ(imbalance(accounting(), {1, end_ - forwarder_->backlog(Stream::readings)}), 0U);
  for (int i = 0; i < 20; ++i) {
    pass(seconds(100));
    send_now();
    acknowledge_all();
  }
  EXPECT_THAT(left(), IsEmpty());
  EXPECT_EQ(accounting().delivered, 400U);
}

TEST_F(ForwarderLanesTest, GoesOnInBothLanesAfterARestart) {
  come_back();
  send_now(1);
  acknowledge_all();
  take_in(10);
  EXPECT_EQ(send_now(1), "live 50..59 skips 0..49");
  start_again();
  link_up();
  EXPECT_EQ(send_now(2), "live 50..59 skips 0..49, backlog 10..19") << "neither was acknowledged";
  acknowledge_all();
  start_again();
  link_up();
  take_in(10);
  EXPECT_EQ(send_now(2), "live 60..69, backlog 20..29");
  acknowledge_all();
  EXPECT_EQ(accounting().delivered, 50U);
}

TEST_F(ForwarderLanesTest, EndsWhatWasLeftAlsoWhenTheOrderIsOldestFirstNow) {
  come_back();
  send_now(1);
  acknowledge_all();
  take_in(10);
  send_now(1);
  acknowledge_all();
  options_.live_first = false;
  start_again();
  link_up();
  take_in(10);
  EXPECT_EQ(send_now(1), "live 60..69");
  EXPECT_EQ(send_now(), "backlog 10..19, backlog 20..29, backlog 30..39");
  acknowledge_all();
  EXPECT_EQ(send_now(), "backlog 40..49");
  acknowledge_all();
  link_down();
  take_in(10);
  pass(hours(1));
  link_up();
  EXPECT_EQ(send_now(), "live 70..79");
  EXPECT_THAT(left(), IsEmpty());
}

TEST_F(ForwarderLanesTest, AReplayIsOneChainAgainAndThenABacklog) {
  come_back();
  send_now(1);
  take_in(10);
  send_now(1);
  acknowledge_all();  // 0..9 and 50..59
  forwarder_->move(Stream::readings, {{1, 5}, 15, 0, 0});
  EXPECT_THAT(left(), IsEmpty());
  EXPECT_EQ(imbalance(accounting(), cursor().passed_to), 0U);
  EXPECT_EQ(send_now(2), "backlog 5..14, backlog 15..24");
  EXPECT_TRUE(sent_[0].replay);
  take_in(10);
  EXPECT_EQ(send_now(1), "live 60..69 skips 5..59");
  EXPECT_FALSE(sent_[2].replay);
  acknowledge_all();
  EXPECT_FALSE(forwarder_->is_replay_marked(Stream::readings));
}

TEST_F(ForwarderLanesTest, EndsAStretchOfWhichTheLogHasNothingAnyMore) {
  take_in(100);
  pass(hours(1));
  link_up();
  send_now(1);
  take_in(10);
  send_now(1);
  acknowledge_all();  // 0..9 and 100..109
  const auto demand = forwarder_->demand(LaneOf(Stream::readings, Lane::backlog));
  ASSERT_TRUE(demand);
  EXPECT_EQ(demand->until, (Position{1, 100}));
  forwarder_->supply_gap({Stream::readings, Lane::backlog}, {1, 105}, 100 - demand->from.sequence, "overflow");
  for (int i = 0; i < 4; ++i) {
    send_now();
    acknowledge_all();
  }
  EXPECT_THAT(left(), IsEmpty());
  EXPECT_EQ(accounting().delivered + accounting().dropped, 110U);
  EXPECT_EQ(accounting().dropped, 100 - demand->from.sequence);
  EXPECT_EQ(cursor().passed_to, (Position{1, 110}));
}

TEST_F(ForwarderLanesTest, AnswersForNumbersThatACrashTookFromTheEndOfAStretch) {
  come_back();
  send_now(1);
  acknowledge_all();
  frames_.resize(4);  // 40..49 are gone, their numbers are given out again
  start_again();
  link_up();
  forwarder_->announce(Stream::readings, {2, 40});
  read_all();
  EXPECT_EQ(send_now(), "backlog 10..19, backlog 20..29, backlog 30..39");
  while (const auto demand = forwarder_->demand()) {
    forwarder_->supply_gap({Stream::readings, demand->lane}, demand->until.value_or(Position{2, 40}), 0);
  }
  acknowledge_all();
  EXPECT_EQ(send_now(), "backlog 40..49") << "without entries";
  acknowledge_all();
  EXPECT_THAT(left(), IsEmpty());
  EXPECT_EQ(accounting().delivered, 40U);
  EXPECT_EQ(imbalance(accounting(), forwarder_->cursor(Stream::readings).passed_to), 0U);
}

}  // namespace
}  // namespace tidegate::uplink::testing
