#include "uplink/sparkplug/sparkplug_session.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/sparkplug_session_fixture.h"

namespace tidegate::uplink::testing {
namespace {

using mqtt::SparkplugValue;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(SparkplugSessionTest, TheNodeIsBornFirst) {
  connect();
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw"));
  EXPECT_EQ(link_, "up");
  const SparkplugSeen& birth = last();
  EXPECT_EQ(birth.payload.seq, 0U);
  ASSERT_NE(birth.named("bdSeq"), nullptr);
  EXPECT_EQ(birth.named("bdSeq")->value, SparkplugValue(std::uint64_t{7}));
  ASSERT_NE(birth.named("Node Control/Rebirth"), nullptr);
  EXPECT_EQ(birth.named("Node Control/Rebirth")->value, SparkplugValue(false));
  EXPECT_FALSE(birth.named("Node Control/Rebirth")->alias) << "the specification wants none there";
  EXPECT_EQ(birth.named("Properties/Gateway")->value, SparkplugValue(std::string("gw")));
  EXPECT_TRUE(birth.named("Tidegate/Batch")->alias);
}

TEST_F(SparkplugSessionTest, NumbersGoRoundOverAllMessages) {
  connect();
  for (std::uint64_t id = 1; id <= 300; ++id) send(id, reading_json("d/a", "1") + "," + reading_json("e/a", "1"));
  EXPECT_THAT(seen_, SizeIs(1 + 300 * 3 + 2)) << "take() looks at each number";
  EXPECT_EQ(last().payload.seq, (seen_.size() - 1) % 256);
}

TEST_F(SparkplugSessionTest, ABatchIsDoneWhenAllItsMessagesAreAcknowledged) {
  connect();
  answer_all();
  send(5, reading_json("d/a", "1") + "," + reading_json("e/a", "1"));
  ASSERT_THAT(tickets_, SizeIs(5)) << "two births, the batch's word, two of data";
  const std::vector<std::uint64_t> open(tickets_.begin(), tickets_.end());
  for (std::size_t i = 1; i < open.size(); ++i) answer(open[i]);
  EXPECT_THAT(done_, IsEmpty());
  answer(open[0]);
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{5}, true)));
  answer(open[0], false);
  EXPECT_THAT(done_, SizeIs(1));
}

TEST_F(SparkplugSessionTest, WhatTheNetworkRefusesFailsItsBatchAndBringsBirths) {
  connect();
  answer_all();
  pass(seconds(10));
  send(5, reading_json("d/a", "1"));
  take_topics();
  const std::vector<std::uint64_t> open(tickets_.begin(), tickets_.end());
  answer(open[0], false);
  for (std::size_t i = 1; i < open.size(); ++i) answer(open[i]);
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{5}, false)));
  pass(seconds(0));
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "DBIRTH/gw/d"));
}

TEST_F(SparkplugSessionTest, ALostConnectionFailsWhatIsOpenAndTheNextOneBeginsAnew) {
  connect();
  send(5, reading_json("d/a", "1"));
  session_->disconnected("the connection was lost");
  take();
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{5}, false)));
  EXPECT_EQ(link_, "down: the connection was lost");
  const auto old = tickets_;
  take_topics();
  connect(8);
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "DBIRTH/gw/d"));
  EXPECT_EQ(seen_[seen_.size() - 2].named("bdSeq")->value, SparkplugValue(std::uint64_t{8}));
  send(6, reading_json("d/a", "1"));
  take_topics();
  for (const std::uint64_t ticket : old) answer(ticket, ticket == *old.begin());
  pass(seconds(10));
  EXPECT_THAT(done_, SizeIs(1)) << "late answers count for nothing";
  EXPECT_THAT(take_topics(), IsEmpty());
}

TEST_F(SparkplugSessionTest, ABatchThatComesWhileThereIsNoConnectionFails) {
  send(1, reading_json("d/a", "1"));
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{1}, false)));
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(SparkplugSessionTest, AWindowOfMessagesIsOnItsWayAndTheRestWaits) {
  connect();
  answer_all();
  std::string many;
  for (std::size_t i = 0; i < SparkplugSession::kOpenMost; ++i) {
    many += (i == 0 ? "" : ",") + reading_json("d" + std::to_string(i) + "/a", "1");
  }
  send(1, many);
  const std::size_t given = seen_.size();
  send(2, many);
  EXPECT_EQ(seen_.size(), given);
  EXPECT_TRUE(session_->has_open_batches());
  answer_all();
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{1}, true), std::pair(std::uint64_t{2}, true)));
  EXPECT_FALSE(session_->has_open_batches());
}

TEST_F(SparkplugSessionTest, ARebirthIsDoneWhenItIsAskedForButNotOftenerThanEveryFewSeconds) {
  connect();
  send(1, reading_json("d/a", "1"));
  pass(seconds(10));
  take_topics();
  for (int i = 0; i < 100; ++i) command(rebirth_command());
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "DBIRTH/gw/d"));
  EXPECT_EQ(seen_[seen_.size() - 2].named("bdSeq")->value, SparkplugValue(std::uint64_t{7})) << "the same session";
  EXPECT_EQ(session_->next_deadline(), BootTime(elapsed_ + SparkplugSession::kBirthPause));
  pass(SparkplugSession::kBirthPause);
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "DBIRTH/gw/d")) << "the others are answered together";
  pass(SparkplugSession::kBirthPause);
  EXPECT_THAT(take_topics(), IsEmpty());
  command(rebirth_command(false));
  EXPECT_THAT(take_topics(), IsEmpty());
}

TEST_F(SparkplugSessionTest, GarbageFromOutsideChangesNothing) {
  with_host();
  connect();
  host_says("{\"online\":true,\"timestamp\":5}");
  pass(seconds(10));
  take_topics();
  const std::string good = rebirth_command();
  for (std::size_t size = 0; size < good.size(); ++size) command(good.substr(0, size));
  command(std::string(100'000, '\xff'));
  command("\x12\x02\x0a\x7f");
  command(good, "spBv1.0/plant/DCMD/gw/pump");
  command(good, "spBv1.0/plant/NCMD/other");
  for (const char* state : {"", "OFFLINE", "{}", "[]", "{\"online\":1,\"timestamp\":9}", "{\"online\":false}",
                            "{\"online\":false,\"timestamp\":\"9\"}", "{\"online\":false,\"timestamp\":9"}) {
    host_says(state);
  }
  EXPECT_THAT(take_topics(), IsEmpty());
  EXPECT_EQ(link_, "up");
}

TEST_F(SparkplugSessionTest, NothingIsSentBeforeThePrimaryHostIsOnline) {
  with_host();
  connect();
  EXPECT_THAT(link_, HasSubstr("waits for the primary host \"scada\""));
  EXPECT_THAT(link_, HasSubstr("nothing is known of it"));
  send(1, reading_json("d/a", "1"));
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{1}, false)));
  host_says("{\"online\":false,\"timestamp\":5}");
  EXPECT_THAT(link_, HasSubstr("it is offline"));
  EXPECT_THAT(seen_, IsEmpty());
  host_says("{\"online\":true,\"timestamp\":6}");
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw"));
  EXPECT_EQ(link_, "up");
  host_says("{\"online\":true,\"timestamp\":7}");
  EXPECT_THAT(take_topics(), IsEmpty()) << "that is no news";
}

TEST_F(SparkplugSessionTest, TheRetainedStateMayComeBeforeTheAnswerToTheSubscription) {
  with_host();
  host_says("{\"online\":true,\"timestamp\":5}");
  connect();
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw"));
}

TEST_F(SparkplugSessionTest, AnOlderStateOfTheHostIsIgnored) {
  with_host();
  connect();
  host_says("{\"online\":true,\"timestamp\":5}");
  host_says("{\"online\":false,\"timestamp\":4}");
  EXPECT_EQ(link_, "up");
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw"));
}

TEST_F(SparkplugSessionTest, WhenThePrimaryHostGoesTheNodeDiesAndComesBackToWait) {
  with_host();
  connect();
  host_says("{\"online\":true,\"timestamp\":5}");
  send(1, reading_json("d/a", "1"));
  take_topics();
  host_says("{\"online\":false,\"timestamp\":6}");
  EXPECT_THAT(take_topics(), ElementsAre("NDEATH/gw"));
  EXPECT_EQ(last().metric(0).value, SparkplugValue(std::uint64_t{7}));
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{1}, false)));
  EXPECT_THAT(link_, HasSubstr("\"scada\""));
  EXPECT_EQ(reconnects_, 0) << "the death has to be there first";
  const std::string why = link_;
  answer(*tickets_.rbegin());
  EXPECT_EQ(reconnects_, 1);
  pass(seconds(60));
  EXPECT_EQ(reconnects_, 1);
  session_->disconnected("ended the connection");
  take();
  EXPECT_EQ(link_, why);
  connect(8);
  EXPECT_THAT(take_topics(), IsEmpty());
  host_says("{\"online\":true,\"timestamp\":3}");
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "DBIRTH/gw/d")) << "what the new connection says counts";
}

TEST_F(SparkplugSessionTest, ADeathThatIsNotAcknowledgedIsNotWaitedForWithoutEnd) {
  with_host();
  connect();
  host_says("{\"online\":true,\"timestamp\":5}");
  host_says("{\"online\":false,\"timestamp\":6}");
  pass(seconds(4));
  EXPECT_EQ(reconnects_, 0);
  pass(seconds(1));
  EXPECT_EQ(reconnects_, 1);
}

TEST_F(SparkplugSessionTest, AtTheEndTheNodeSaysThatItGoes) {
  session_->end(now());
  take();
  EXPECT_THAT(seen_, IsEmpty()) << "it was never born";
  make();
  connect();
  session_->end(now());
  take();
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "NDEATH/gw"));
}

TEST_F(SparkplugSessionTest, WithQosZeroABatchIsDoneWhenTheNetworkHasIt) {
  options_.qos = 0;
  make();
  connect();
  send(1, reading_json("d/a", "1"));
  EXPECT_THAT(done_, IsEmpty());
  answer_all();
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{1}, true)));
}

TEST_F(SparkplugSessionTest, ABatchThatIsNoneIsSaidToHaveFailed) {
  connect();
  OutgoingBatch batch = sparkplug_batch(3, "");
  batch.payload = std::make_shared<const std::string>("{\"v\":1}");
  send(batch);
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{3}, false)));
}

TEST(SparkplugNames, AreMadeOfGroupNodeAndDevice) {
  SparkplugOptions options;
  options.group = "g";
  options.node = "n-{gateway}";
  const SparkplugNames names(options, "gw");
  EXPECT_EQ(names.topic("NBIRTH"), "spBv1.0/g/NBIRTH/n-gw");
  EXPECT_EQ(names.topic("DDATA", "d"), "spBv1.0/g/DDATA/n-gw/d");
  for (const char* bad : {"", "a+", "#", "a/b", "a\n", "\xff"}) EXPECT_FALSE(check_sparkplug_name(bad)) << bad;
  EXPECT_TRUE(check_sparkplug_name("Werk 7 – Süd"));
}

}  // namespace
}  // namespace tidegate::uplink::testing
