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
using ::testing::Le;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

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
  for (std::uint64_t id = 1; id <= 300; ++id) {
    send(id, reading_json("d/a", "1") + "," + reading_json("e/a", "1"));
    answer_all();
  }
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

TEST_F(SparkplugSessionTest, AMissingBirthFailsAllThatComesBehindIt) {
  connect();
  answer_all();
  send(5, reading_json("d/a", "1"));
  send(6, reading_json("d/a", "2"));
  ASSERT_THAT(take_topics(),
              ElementsAre("NBIRTH/gw", "NDATA/gw", "DBIRTH/gw/d", "DDATA/gw/d", "NDATA/gw", "DDATA/gw/d"));
  const std::vector<std::uint64_t> open(tickets_.begin(), tickets_.end());
  answer(open[0]);
  answer(open[1], false);
  for (std::size_t i = 2; i < open.size(); ++i) answer(open[i]);
  EXPECT_THAT(done_, UnorderedElementsAre(std::pair(std::uint64_t{5}, false), std::pair(std::uint64_t{6}, false)));
  send(7, reading_json("d/a", "1"));
  EXPECT_THAT(take_topics(), IsEmpty()) << "nothing goes into the hole";
  pass(SparkplugSession::kBirthPause);
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "DBIRTH/gw/d", "NDATA/gw", "DDATA/gw/d"));
  answer_all();
  EXPECT_EQ(done_.back(), std::pair(std::uint64_t{7}, true));
}

TEST_F(SparkplugSessionTest, OnlySoManyMessagesAreOnTheirWayAndTheRestWaits) {
  connect();
  answer_all();
  std::string many;
  for (std::size_t i = 0; i < SparkplugSession::kOnTheirWayMost; ++i) {
    many += (i == 0 ? "" : ",") + reading_json("d" + std::to_string(i) + "/a", "1");
  }
  send(1, many);
  send(2, many);
  EXPECT_THAT(tickets_, SizeIs(SparkplugSession::kOnTheirWayMost)) << "of 1 + 2 x 900 of the first alone";
  EXPECT_TRUE(session_->has_open_batches());
  session_->end(now());
  take();
  EXPECT_THAT(tickets_, SizeIs(SparkplugSession::kOnTheirWayMost + 1));
  EXPECT_EQ(last().topic, "NDEATH/gw") << "with nothing before it that waits";
  make();
  tickets_.clear();
  done_.clear();
  connect();
  send(1, many);
  send(2, many);
  while (!tickets_.empty()) {
    EXPECT_LE(tickets_.size(), SparkplugSession::kOnTheirWayMost);
    answer(*tickets_.begin());
  }
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{1}, true), std::pair(std::uint64_t{2}, true)));
  EXPECT_FALSE(session_->has_open_batches());
}

TEST_F(SparkplugSessionTest, OnlySoManyBytesAreOnTheirWay) {
  connect();
  answer_all();
  const std::string text = '"' + std::string(SparkplugSession::kBytesOnTheirWayMost / 4, 'x') + '"';
  for (std::uint64_t id = 1; id <= 10; ++id) send(id, reading_json("d/a", text));
  EXPECT_LE(tickets_.size(), 10U);
  answer_all();
  EXPECT_THAT(done_, SizeIs(10));
}

TEST_F(SparkplugSessionTest, ALostConnectionTakesAlongWhatWasNotOnItsWay) {
  connect();
  std::string many;
  for (std::size_t i = 0; i < SparkplugSession::kOnTheirWayMost; ++i) {
    many += (i == 0 ? "" : ",") + reading_json("d" + std::to_string(i) + "/a", "1");
  }
  send(1, many);
  session_->disconnected("gone");
  take();
  tickets_.clear();
  connect(8);
  answer_all();
  take_topics();
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{1}, false)));
  send(2, reading_json("d0/a", "2"));
  EXPECT_THAT(take_topics(), ElementsAre("NDATA/gw", "DDATA/gw/d0"));
  EXPECT_THAT(last().payload.metrics, SizeIs(1));
}

TEST_F(SparkplugSessionTest, ATagThatFlipsBetweenTypesBringsFewBirths) {
  connect();
  std::string devices;
  for (int i = 0; i < 120; ++i) devices += (i == 0 ? "" : ",") + reading_json("d" + std::to_string(i) + "/a", "1");
  send(1, devices);
  answer_all();
  std::string flips;
  for (int i = 0; i < 500; ++i) {
    flips += (i == 0 ? "" : ",") + reading_json(i % 2 == 0 ? "flip" : "d0/flip", i % 4 < 2 ? "7" : "\"off\"");
  }
  take_topics();
  send(2, flips);
  EXPECT_THAT(take_topics(), SizeIs(Le(124U))) << "births of all once, and the data";
  for (std::uint64_t id = 3; id < 50; ++id) {
    answer_all();
    send(id, reading_json("flip", id % 2 == 0 ? "7" : "\"off\"") + "," + reading_json("d0/flip", "true"));
  }
  answer_all();
  EXPECT_LE(take_topics().size(), 47U * 2U + 124U);
  EXPECT_THAT(done_, SizeIs(49));
}

TEST_F(SparkplugSessionTest, BirthsOfAllWaitForTheOnesBeforeThem) {
  connect();
  answer_all();
  send(1, reading_json("d/a", "1"));
  pass(seconds(10));
  answer_all();
  command(rebirth_command());
  take_topics();
  for (int i = 0; i < 10; ++i) {
    command(rebirth_command());
    pass(seconds(10));
  }
  EXPECT_THAT(take_topics(), IsEmpty()) << "a link is slow";
  answer_all();
  EXPECT_THAT(take_topics(), IsEmpty());
  pass(SparkplugSession::kBirthPause);
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "DBIRTH/gw/d"));
}

TEST_F(SparkplugSessionTest, AnOrderToEndAConnectionIsNotForTheNextOne) {
  with_host();
  connect();
  host_says("{\"online\":true,\"timestamp\":5}");
  host_says("{\"online\":false,\"timestamp\":6}");
  elapsed_ += seconds(60);
  session_->tick(now());
  session_->disconnected("gone");
  take();
  EXPECT_EQ(reconnects_, 0);
}

TEST_F(SparkplugSessionTest, WhatAnotherConnectionSaidOfTheHostDoesNotCount) {
  with_host();
  host_says("{\"online\":true,\"timestamp\":5}");
  session_->connecting("the connection was lost");
  connect();
  EXPECT_THAT(take_topics(), IsEmpty());
  EXPECT_THAT(link_, HasSubstr("nothing is known of it"));
}

TEST_F(SparkplugSessionTest, AConnectionWhoseEndWasNotToldFailsWhatIsOpen) {
  connect();
  send(1, reading_json("d/a", "1"));
  session_->connecting("the connection was lost");
  take();
  EXPECT_THAT(done_, ElementsAre(std::pair(std::uint64_t{1}, false)));
  EXPECT_EQ(link_, "down: the connection was lost");
}

TEST_F(SparkplugSessionTest, ARebirthIsDoneWhenItIsAskedForButNotOftenerThanEveryFewSeconds) {
  connect();
  send(1, reading_json("d/a", "1"));
  answer_all();
  pass(seconds(10));
  take_topics();
  for (int i = 0; i < 100; ++i) command(rebirth_command());
  EXPECT_THAT(take_topics(), ElementsAre("NBIRTH/gw", "DBIRTH/gw/d"));
  EXPECT_EQ(seen_[seen_.size() - 2].named("bdSeq")->value, SparkplugValue(std::uint64_t{7})) << "the same session";
  answer_all();
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

TEST_F(SparkplugSessionTest, AHostWhoseClockWentBackIsSaidAndAskedForAgain) {
  with_host();
  connect();
  host_says("{\"online\":false,\"timestamp\":50}");
  pass(SparkplugSession::kAskAgain * 2);
  EXPECT_EQ(reconnects_, 0) << "it is offline, and that is all";
  host_says("{\"online\":true,\"timestamp\":4}");
  EXPECT_THAT(take_topics(), IsEmpty());
  EXPECT_THAT(link_, HasSubstr("online at 4 is older than its last word at 50: check the host's clock"));
  EXPECT_EQ(session_->next_deadline(), BootTime(elapsed_ + SparkplugSession::kAskAgain));
  pass(SparkplugSession::kAskAgain);
  EXPECT_EQ(reconnects_, 1);
  session_->disconnected("ended the connection");
  host_says("{\"online\":true,\"timestamp\":4}");
  connect(8);
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
  pass(seconds(19));
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
  EXPECT_THAT(refusal_, HasSubstr("is no batch"));
  batch = sparkplug_batch(4, reading_json("d/a", "1"));
  batch.count = 2;
  send(batch);
  EXPECT_THAT(refusal_, HasSubstr("1 entries can be read of the 2"));
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
