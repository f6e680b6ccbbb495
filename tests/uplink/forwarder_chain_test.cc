#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/uplink/forwarder_fixture.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink::testing {
namespace {

using ::testing::HasSubstr;

// The chain of stretches that a receiver sees: through filters, restarts, epochs and gaps.
class ForwarderChainTest : public ForwarderFixture {};

TEST_F(ForwarderChainTest, LeavesOutWhatTheFilterDoesNotPassWithoutBreakingTheChain) {
  options_.tags = {"a/*"};
  begin_at({1, 0});
  link_up();
  supply(readings(1, 0, 4, "b/x"));
  EXPECT_EQ(cursor().acked_to, (Position{1, 0}));
  EXPECT_EQ(cursor().passed_to, (Position{1, 5}));
  EXPECT_EQ(accounting().filtered, 5U);
  EXPECT_TRUE(send_all_later().empty());
  supply(readings(1, 5, 14, "a/x"));
  supply(readings(1, 15, 19, "b/x"));
  const auto first = send_all();
  EXPECT_EQ(stretches(first), "0..14");
  EXPECT_EQ(cursor().passed_to, (Position{1, 5}));
  supply(readings(1, 20, 29, "a/x"));
  EXPECT_EQ(stretches(send_all()), "15..29");
  acknowledge(first[0]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 15}));
  EXPECT_EQ(cursor().passed_to, (Position{1, 20}));
  EXPECT_EQ(accounting().filtered, 10U);
  EXPECT_EQ(accounting().delivered, 10U);
  EXPECT_EQ(forwarder_->backlog(Stream::readings), 10U);
}

TEST_F(ForwarderChainTest, AnswersForFilteredRecordsThatFollowInABatchThatIsNotFull) {
  options_.tags = {"a/*"};
  begin_at({1, 0});
  link_up();
  supply(readings(1, 0, 2, "a/x"));
  supply(readings(1, 3, 8, "b/x"));
  EXPECT_EQ(stretches(send_all_later()), "0..8");
}

TEST_F(ForwarderChainTest, FiltersAlarmsByTheirTagAndEventsNever) {
  options_.tags = {"a/*"};
  begin_at({1, 0});
  link_up();
  supply(documents(Stream::alarms, 0,
                   {R"({"alarm":"r/b/x","tag":"b/x"})", R"({"alarm":"r/a/x","cause":{"tag":"b/x"},"tag":"a/x"})"}));
  supply(documents(Stream::events, 0, {R"({"event":"device","tag":"b/x"})"}));
  const auto batches = send_all_later();
  ASSERT_EQ(batches.size(), 2U);
  EXPECT_THAT(*batches[0].payload, HasSubstr("\"count\":1,"));
  EXPECT_THAT(*batches[0].payload, HasSubstr("\"seq\":1,\"alarm\":\"r/a/x\""));
  EXPECT_THAT(*batches[1].payload, HasSubstr("\"event\":\"device\""));
  EXPECT_EQ(forwarder_->accounting(Stream::alarms).filtered, 1U);
  acknowledge(batches[0]);
  supply(documents(Stream::alarms, 2, {R"({"alarm":"of no tag"})"}));
  EXPECT_EQ(stretches(send_all()), "2..2");
}

TEST_F(ForwarderChainTest, GoesOnBehindTheCursorAfterARestart) {
  options_.tags = {"a/*"};
  restart({{2, 100}, {2, 110}}, {90, 20, 0});
  forwarder_->announce(Stream::readings, {2, 130});
  EXPECT_EQ(forwarder_->backlog(Stream::readings), 20U);
  ASSERT_TRUE(forwarder_->demand());
  EXPECT_EQ(forwarder_->demand()->from, (Position{2, 110}));
  link_up();
  supply(readings(2, 105, 119, "a/x"));
  const auto batches = send_all();
  EXPECT_EQ(stretches(batches), "100..119");
  EXPECT_EQ(batches[0].count, 10U);
  EXPECT_FALSE(parse_batch(*batches[0].payload).prev);
  acknowledge(batches[0]);
  EXPECT_EQ(accounting().delivered, 100U);
  EXPECT_EQ(accounting().filtered, 20U);
}

TEST_F(ForwarderChainTest, EndsABatchWithItsEpochAndNamesTheEndInTheNext) {
  link_up();
  supply(readings(1, 0, 4));
  supply(readings(2, 5, 9));
  supply(readings(2, 10, 20));
  const auto batches = send_all_later();
  ASSERT_EQ(stretches(batches), "0..4 5..14 15..20");
  EXPECT_EQ(parse_batch(*batches[1].payload).prev, (ChainEnd{1, 4}));
  EXPECT_EQ(batches[1].epoch, 2U);
  EXPECT_FALSE(parse_batch(*batches[2].payload).prev);
}

TEST_F(ForwarderChainTest, ReachesBackOverTheFilteredEndOfAnEpoch) {
  options_.tags = {"a/*"};
  begin_at({1, 0});
  link_up();
  supply(readings(1, 0, 4, "a/x"));
  const auto first = send_all_later();
  supply(readings(1, 5, 9, "b/x"));
  supply(readings(2, 10, 19, "a/x"));
  const auto second = send_all();
  ASSERT_EQ(stretches(second), "5..19");
  EXPECT_EQ(parse_batch(*second[0].payload).prev, (ChainEnd{1, 4}));
}

TEST_F(ForwarderChainTest, FollowsAnEpochThatGivesNumbersOutAgain) {
  restart({{2, 150}, {2, 150}}, {150, 0, 0});
  link_up();
  supply(readings(3, 120, 129));
  const auto batches = send_all();
  ASSERT_EQ(stretches(batches), "120..129");
  EXPECT_EQ(parse_batch(*batches[0].payload).prev, (ChainEnd{2, 149}));
  acknowledge(batches[0]);
  EXPECT_EQ(cursor().acked_to, (Position{3, 130}));
  EXPECT_EQ(forwarder_->backlog(Stream::readings), 0U);
}

TEST_F(ForwarderChainTest, NamesNoEndBeforeTheFirstRecordThereEverWas) {
  link_up();
  supply(readings(2, 0, 9));
  EXPECT_FALSE(parse_batch(*send_all()[0].payload).prev);
  begin_at({0, 0});
  link_up();
  supply(readings(4, 500, 509));
  const auto batches = send_all();
  EXPECT_EQ(stretches(batches), "500..509");
  EXPECT_FALSE(parse_batch(*batches[0].payload).prev);
}

TEST_F(ForwarderChainTest, GoesOnBehindAGapAndCountsWhatIsLost) {
  link_up();
  supply(readings(1, 0, 4));
  forwarder_->announce(Stream::readings, {1, 60});
  forwarder_->supply_gap(Stream::readings, {1, 50}, 45);
  supply(readings(1, 50, 59));
  const auto batches = send_all();
  ASSERT_EQ(stretches(batches), "0..4 50..59");
  EXPECT_EQ(accounting().dropped, 0U) << "counted when the cursor gets there";
  EXPECT_EQ(forwarder_->backlog(Stream::readings), 60U);
  acknowledge(batches[0]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 50}));
  EXPECT_EQ(accounting().dropped, 45U);
  EXPECT_EQ(forwarder_->backlog(Stream::readings), 10U);
}

TEST_F(ForwarderChainTest, DoesNotGatherSmallBatchesBetweenGapsWhileTheLinkIsDown) {
  supply(readings(1, 0, 4));
  forwarder_->announce(Stream::readings, {1, 100});
  forwarder_->supply_gap(Stream::readings, {1, 50}, 45);
  EXPECT_FALSE(forwarder_->demand());
  link_up();
  EXPECT_EQ(forwarder_->demand()->from, (Position{1, 50}));
  EXPECT_EQ(stretches(send_all()), "0..4");
}

TEST_F(ForwarderChainTest, AnswersForFilteredRecordsBeforeAGapByABatchWithoutEntries) {
  options_.tags = {"a/*"};
  begin_at({1, 0});
  link_up();
  supply(readings(1, 0, 4, "b/x"));
  forwarder_->supply_gap(Stream::readings, {1, 50}, 45);
  supply(readings(1, 50, 59, "a/x"));
  const auto batches = send_all();
  ASSERT_EQ(stretches(batches), "0..4 50..59");
  EXPECT_EQ(batches[0].count, 0U);
  EXPECT_THAT(*batches[0].payload, HasSubstr("\"readings\":[]}"));
  acknowledge(batches[0]);
  acknowledge(batches[1]);
  EXPECT_EQ(cursor().acked_to, (Position{1, 60}));
  EXPECT_EQ(accounting().filtered, 5U);
  EXPECT_EQ(accounting().dropped, 45U);
  EXPECT_EQ(accounting().delivered, 10U);
}

TEST_F(ForwarderChainTest, CountsAJumpThatNobodyDeclared) {
  link_up();
  supply(readings(1, 7, 16));
  const auto batches = send_all();
  EXPECT_EQ(stretches(batches), "7..16");
  EXPECT_EQ(accounting().dropped, 7U);
}

TEST_F(ForwarderChainTest, IsNotHeldUpByAStreamWhoseNewEpochIsEmpty) {
  link_up();
  forwarder_->announce(Stream::alarms, {2, 0});
  forwarder_->announce(Stream::readings, {1, 10});
  EXPECT_EQ(forwarder_->demand()->stream, Stream::readings);
  supply(readings(1, 0, 9));
  EXPECT_EQ(forwarder_->demand()->stream, Stream::alarms);
  forwarder_->supply(documents(Stream::alarms, 0, {}), now_);
  EXPECT_FALSE(forwarder_->demand());
  forwarder_->announce(Stream::alarms, {2, 1});
  EXPECT_EQ(forwarder_->demand()->stream, Stream::alarms);
}

TEST_F(ForwarderChainTest, IsDoneWithAnEmptyEpochWhenTheLogSaysSo) {
  link_up();
  supply(readings(1, 0, 9));
  acknowledge(send_all()[0]);
  forwarder_->announce(Stream::readings, {2, 10});
  forwarder_->supply_gap(Stream::readings, {2, 10}, 0);
  EXPECT_FALSE(forwarder_->demand());
  EXPECT_EQ(forwarder_->backlog(Stream::readings), 0U);
  supply(readings(2, 10, 19));
  const auto batches = send_all();
  EXPECT_EQ(stretches(batches), "10..19");
  EXPECT_EQ(parse_batch(*batches[0].payload).prev, (ChainEnd{1, 9}));
}

}  // namespace
}  // namespace tidegate::uplink::testing
