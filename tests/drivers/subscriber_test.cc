#include "drivers/mqtt_listener/subscriber.h"

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/drivers/fake_latest.h"

namespace tidegate::drivers {
namespace {

using mqtt::ProtocolVersion;
using mqtt::ReasonCode;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::size_t kPlenty = 1'000'000;

class SubscriberTest : public ::testing::Test {
 protected:
  SubscriberTest() {
    latest_.on_changed([this](const IndexSet& changed) {
      subscriber_->note_changed(changed);
      return true;
    });
    begin();
  }

  void begin(Subscriber::Peer peer = {}) {
    peer_ = peer;
    subscriber_->begin(peer);
  }
  ReasonCode subscribe(const std::string& filter, std::uint8_t qos = 0, std::uint8_t retain_handling = 0,
                       bool retain_as_published = false) {
    return subscriber_->subscribe({filter, qos, false, retain_as_published, retain_handling});
  }
  std::vector<std::string> sent(std::size_t budget = kPlenty) {
    std::string out;
    subscriber_->fill(out, budget);
    return messages_in(out, peer_.version);
  }

  FakeLatest latest_;
  std::unique_ptr<Subscriber> subscriber_ = std::make_unique<Subscriber>(latest_);
  Subscriber::Peer peer_;
};

TEST_F(SubscriberTest, SendsWhatMatchesAsRetainedAndThenEachChange) {
  latest_.set_and_report("v/a", "1");
  latest_.set_and_report("v/b", "2");
  latest_.set_and_report("w/c", "3");
  EXPECT_EQ(subscribe("v/+"), ReasonCode::success);
  EXPECT_TRUE(subscriber_->wants_to_send());
  EXPECT_THAT(sent(), ElementsAre("v/a=1 r", "v/b=2 r"));
  EXPECT_FALSE(subscriber_->wants_to_send());
  latest_.set_and_report("v/b", "4");
  latest_.set_and_report("w/c", "5");
  EXPECT_THAT(sent(), ElementsAre("v/b=4"));
  latest_.set_and_report("v/new", "6");
  EXPECT_THAT(sent(), ElementsAre("v/new=6"));
}

TEST_F(SubscriberTest, SendsOnlyTheLastValueToWhoeverIsSlow) {
  subscribe("#");
  for (int i = 0; i <= 1000; ++i) {
    latest_.set_and_report("v/a", std::to_string(i));
    latest_.set_and_report("v/b", std::to_string(-i));
  }
  EXPECT_THAT(sent(), ElementsAre("v/a=1000", "v/b=-1000"));
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(SubscriberTest, SendsNoMoreThanTheBudgetAndGivesEachTopicItsTurn) {
  subscribe("#");
  for (const char* topic : {"v/a", "v/b", "v/c"}) latest_.set(topic, "0");
  latest_.report();
  std::vector<std::string> seen;
  for (int i = 1; i <= 6; ++i) {
    const auto messages = sent(1);
    ASSERT_EQ(messages.size(), 1U) << "one uses it up";
    seen.push_back(messages.front());
    latest_.set_and_report("v/a", std::to_string(i));
  }
  EXPECT_THAT(seen, ElementsAre("v/a=0", "v/b=0", "v/c=0", "v/a=3", "v/a=4", "v/a=5"));
}

TEST_F(SubscriberTest, LooksAtSoManyTopicsARoundThatItsFiltersDoNotMatch) {
  for (int i = 0; i < 1000; ++i) latest_.set("w/" + std::to_string(i), "0");
  latest_.set("v/a", "0");
  latest_.report();
  subscribe("v/#");
  int rounds = 0;
  while (sent(1600).empty() && rounds < 100) ++rounds;
  EXPECT_EQ(rounds, 10);
}

TEST_F(SubscriberTest, MatchesATopicOnceForAnyNumberOfMessages) {
  subscribe("v/#");
  latest_.set_and_report("w/other", "0");
  EXPECT_THAT(sent(), IsEmpty());
  const int before = latest_.topics_asked;
  for (int i = 0; i < 100; ++i) {
    latest_.set_and_report("w/other", "1");
    EXPECT_FALSE(subscriber_->wants_to_send()) << "what it is known not to match is not even marked";
  }
  EXPECT_EQ(latest_.topics_asked, before);
}

TEST_F(SubscriberTest, KeepsNoMoreInFlightThanTheClientTakes) {
  begin({ProtocolVersion::v5, 2, kPlenty});
  EXPECT_EQ(subscribe("#", 2), ReasonCode::granted_qos_1) << "QoS 2 is granted as 1";
  for (const char* topic : {"v/a", "v/b", "v/c"}) latest_.set(topic, "1");
  latest_.report();
  EXPECT_THAT(sent(), ElementsAre("v/a=1 1", "v/b=1 2"));
  EXPECT_FALSE(subscriber_->wants_to_send());
  latest_.set_and_report("v/c", "7");
  subscriber_->acknowledge(99);
  EXPECT_THAT(sent(), IsEmpty());
  subscriber_->acknowledge(1);
  EXPECT_TRUE(subscriber_->wants_to_send());
  EXPECT_THAT(sent(), ElementsAre("v/c=7 3"));
}

TEST_F(SubscriberTest, PacketIdsInUseAreNotUsedAgain) {
  begin({ProtocolVersion::v5, 2, kPlenty});
  subscribe("#", 1);
  latest_.set_and_report("v/a", "0");
  EXPECT_THAT(sent(), ElementsAre("v/a=0 1"));
  for (int i = 2; i <= 65535; ++i) {
    latest_.set_and_report("v/b", "0");
    ASSERT_THAT(sent(), ElementsAre("v/b=0 " + std::to_string(i)));
    subscriber_->acknowledge(static_cast<std::uint16_t>(i));
  }
  latest_.set_and_report("v/b", "0");
  EXPECT_THAT(sent(), ElementsAre("v/b=0 2")) << "neither 0 nor 1, which waits for its acknowledgement";
}

TEST_F(SubscriberTest, SendsAgainUnderTheSameIdWithTheValueOfNow) {
  subscribe("#", 1);
  latest_.set_and_report("v/a", "1");
  latest_.set_and_report("v/b", "1");
  EXPECT_THAT(sent(), ElementsAre("v/a=1 1", "v/b=1 2"));
  subscriber_->acknowledge(1);
  subscriber_->leave();
  latest_.set_and_report("v/b", "2");
  begin();
  EXPECT_THAT(sent(), ElementsAre("v/b=2 d2"));
  subscriber_->acknowledge(2);
  EXPECT_FALSE(subscriber_->wants_to_send());
}

TEST_F(SubscriberTest, SendsAgainNoMoreAtOnceThanTheNewConnectionTakes) {
  subscribe("#", 1);
  for (const char* topic : {"v/a", "v/b", "v/c"}) latest_.set(topic, "1");
  latest_.report();
  EXPECT_THAT(sent(), ElementsAre("v/a=1 1", "v/b=1 2", "v/c=1 3"));
  subscriber_->leave();
  begin({ProtocolVersion::v5, 1, kPlenty});
  EXPECT_THAT(sent(), ElementsAre("v/a=1 d1"));
  subscriber_->acknowledge(2);
  EXPECT_THAT(sent(), IsEmpty());
  subscriber_->acknowledge(1);
  EXPECT_THAT(sent(), ElementsAre("v/c=1 d3"));
}

TEST_F(SubscriberTest, SendsToWhoComesBackWhatHasChangedMeanwhile) {
  subscribe("v/#");
  latest_.set_and_report("v/a", "1");
  latest_.set_and_report("v/b", "1");
  latest_.set_and_report("v/c", "1");
  EXPECT_EQ(sent().size(), 3U);
  latest_.set_and_report("v/c", "2");  // not sent before it leaves
  subscriber_->leave();
  latest_.set_and_report("v/b", "2");
  latest_.set_and_report("w/d", "2");
  begin();
  EXPECT_THAT(sent(), ElementsAre("v/b=2", "v/c=2"));
}

TEST_F(SubscriberTest, SendsTheRestOfWhatWasRetainedToWhoLeftInTheMiddleOfIt) {
  latest_.set_and_report("v/a", "1");
  latest_.set_and_report("v/b", "1");
  subscribe("v/#");
  EXPECT_THAT(sent(1), ElementsAre("v/a=1 r"));
  subscriber_->leave();
  begin();
  EXPECT_THAT(sent(), ElementsAre("v/a=1", "v/b=1"));
}

TEST_F(SubscriberTest, LeavesOutWhatIsLargerThanTheClientTakes) {
  begin({ProtocolVersion::v5, 10, 30});
  subscribe("#", 1);
  latest_.set("v/a", std::string(100, 'x'));
  latest_.set("v/b", "1");
  latest_.report();
  EXPECT_THAT(sent(), ElementsAre("v/b=1 2"));
  EXPECT_FALSE(subscriber_->wants_to_send());
}

TEST_F(SubscriberTest, SendsWhatIsRetainedAsOftenAsTheSubscriptionSays) {
  latest_.set_and_report("v/a", "1");
  subscribe("v/a", 0, 2);
  EXPECT_THAT(sent(), IsEmpty());
  subscribe("v/a", 0, 1);
  EXPECT_THAT(sent(), IsEmpty()) << "it is there already";
  subscribe("v/a", 0, 0);
  EXPECT_THAT(sent(), ElementsAre("v/a=1 r"));
  subscribe("v/+", 0, 1);
  EXPECT_THAT(sent(), ElementsAre("v/a=1 r"));
}

TEST_F(SubscriberTest, AClearedAlarmIsToldOnceAndNotRetained) {
  subscribe("#");
  latest_.set_and_report("alarm", "raised");
  EXPECT_THAT(sent(), ElementsAre("alarm=raised"));
  latest_.set_and_report("alarm", "cleared", false);
  EXPECT_THAT(sent(), ElementsAre("alarm=cleared"));
  subscribe("alarm");
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(SubscriberTest, OverlappingSubscriptionsGiveOneMessageWithTheHigherQos) {
  subscribe("v/#", 0);
  subscribe("v/a", 1);
  latest_.set_and_report("v/a", "1");
  latest_.set_and_report("v/b", "1");
  EXPECT_THAT(sent(), ElementsAre("v/a=1 1", "v/b=1"));
  EXPECT_TRUE(subscriber_->unsubscribe("v/a"));
  EXPECT_FALSE(subscriber_->unsubscribe("v/a"));
  latest_.set_and_report("v/a", "2");
  EXPECT_THAT(sent(), ElementsAre("v/a=2"));
  EXPECT_TRUE(subscriber_->unsubscribe("v/#"));
  latest_.set_and_report("v/a", "3");
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(SubscriberTest, WhatIsUnsubscribedInTheMiddleOfItsRetainedMessagesEnds) {
  latest_.set_and_report("v/a", "1");
  subscribe("v/#");
  EXPECT_TRUE(subscriber_->unsubscribe("v/#"));
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_FALSE(subscriber_->wants_to_send());
}

TEST_F(SubscriberTest, WhatChangedBeforeTheFirstSubscriptionIsNoChangeToIt) {
  latest_.set_and_report("v/a", "1");
  subscribe("v/a", 0, 2);
  EXPECT_FALSE(subscriber_->wants_to_send());
  latest_.set_and_report("v/a", "2");
  EXPECT_TRUE(subscriber_->unsubscribe("v/a"));
  subscribe("v/a", 0, 2);
  EXPECT_FALSE(subscriber_->wants_to_send());
}

TEST_F(SubscriberTest, RetainAsPublishedIsRespected) {
  subscribe("v/#", 0, 2, true);
  latest_.set_and_report("v/a", "1");
  EXPECT_THAT(sent(), ElementsAre("v/a=1 r"));
}

TEST_F(SubscriberTest, HasSoManyFiltersAndSoManyBytesOfThem) {
  for (std::size_t i = 0; i < Subscriber::kFiltersMax; ++i) {
    ASSERT_EQ(subscribe("f/" + std::to_string(i)), ReasonCode::success);
  }
  EXPECT_EQ(subscribe("f/more"), ReasonCode::quota_exceeded);
  EXPECT_EQ(subscribe("f/7", 1), ReasonCode::granted_qos_1) << "it only takes the place of one";
  EXPECT_EQ(subscriber_->subscriptions(), Subscriber::kFiltersMax);
  subscriber_ = std::make_unique<Subscriber>(latest_);
  EXPECT_EQ(subscribe(std::string(Subscriber::kFilterBytesMax, 'x')), ReasonCode::success);
  EXPECT_EQ(subscribe("y"), ReasonCode::quota_exceeded);
}

TEST_F(SubscriberTest, WhoIsAwayKeepsOnlyWhatIsBounded) {
  subscribe("#", 1);
  for (int i = 0; i < 20'000; ++i) latest_.set("v/" + std::to_string(i), "1");
  latest_.report();
  (void)sent();
  subscriber_->leave();
  EXPECT_LT(subscriber_->kept_bytes(), 64U * 1024);
}

}  // namespace
}  // namespace tidegate::drivers
