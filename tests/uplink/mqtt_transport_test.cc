#include "uplink/mqtt_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/fake_client.h"

namespace tidegate::uplink::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class MqttTransportTest : public ::testing::Test {
 protected:
  MqttTransportTest() { options_.broker.client_id = "gw-cloud"; }

  std::unique_ptr<Transport> make() {
    TransportHandlers handlers;
    handlers.done = [this](std::uint64_t id, bool ok) {
      told_.push_back("done " + std::to_string(id));
      done_.emplace_back(id, ok);
    };
    if (hears_reasons_) {
      handlers.failed = [this](std::uint64_t id, BatchFailure how) {
        told_.push_back("failed " + std::to_string(id));
        failed_.emplace_back(id, std::move(how));
      };
      handlers.trouble = [this](std::string reason) {
        told_.emplace_back("trouble");
        troubles_.push_back(std::move(reason));
      };
    }
    handlers.link = [this](bool up, std::string detail) { links_.emplace_back(up, std::move(detail)); };
    return make_mqtt_transport_over(fake_client_factory(client_), options_, "plant-7", std::move(handlers));
  }
  static OutgoingBatch batch(std::uint64_t id, Stream stream = Stream::readings) {
    OutgoingBatch batch;
    batch.id = id;
    batch.stream = stream;
    batch.payload = std::make_shared<const std::string>("payload " + std::to_string(id));
    return batch;
  }
  void report(std::uint64_t ticket, bool ok) { client_->handlers.published(ticket, ok); }
  void refuse(std::uint64_t ticket, const mqtt::PublishRefusal& why) { client_->handlers.refused(ticket, why); }

  MqttUplinkOptions options_;
  bool hears_reasons_ = true;
  std::shared_ptr<ClientLog> client_ = std::make_shared<ClientLog>();
  std::vector<std::pair<std::uint64_t, bool>> done_;
  std::vector<std::pair<std::uint64_t, BatchFailure>> failed_;
  std::vector<std::string> troubles_;
  std::vector<std::string> told_;
  std::vector<std::pair<bool, std::string>> links_;
};

TEST_F(MqttTransportTest, PublishesEachStreamToItsTopicWithTheBatchIdAsTicket) {
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  EXPECT_TRUE(client_->started);
  EXPECT_EQ(client_->broker.client_id, "gw-cloud");
  EXPECT_EQ(client_->subscriptions, 0U);
  transport->send(batch(5));
  transport->send(batch(6, Stream::alarms));
  ASSERT_EQ(client_->published.size(), 2U);
  EXPECT_EQ(client_->published[0].topic, "tidegate/plant-7/readings");
  EXPECT_EQ(client_->published[0].ticket, 5U);
  EXPECT_EQ(client_->published[0].payload, "payload 5");
  EXPECT_EQ(client_->published[1].topic, "tidegate/plant-7/alarms");
}

TEST_F(MqttTransportTest, NamesTheLaneInTheTopic) {
  options_.topic = "t/{stream}/{lane}";
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  transport->send(batch(5));
  OutgoingBatch old = batch(6);
  old.lane = Lane::backlog;
  transport->send(old);
  ASSERT_EQ(client_->published.size(), 2U);
  EXPECT_EQ(client_->published[0].topic, "t/readings/live");
  EXPECT_EQ(client_->published[1].topic, "t/readings/backlog");
}

TEST_F(MqttTransportTest, ReportsEachBatchOnce) {
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  for (std::uint64_t id = 1; id <= 3; ++id) transport->send(batch(id));
  report(2, true);
  report(2, true);
  report(2, false);
  report(9, true);
  report(1, false);
  EXPECT_THAT(done_, ElementsAre(Pair(2, true), Pair(1, false)));
  transport->stop(Duration::zero());
  EXPECT_THAT(done_, ElementsAre(Pair(2, true), Pair(1, false), Pair(3, false))) << "unknown is not delivered";
  EXPECT_TRUE(client_->stopped);
  report(3, true);
  EXPECT_EQ(done_.size(), 3U);
}

TEST_F(MqttTransportTest, FailsWhatIsSentWhenItIsNotRunning) {
  const auto transport = make();
  transport->send(batch(1));
  EXPECT_THAT(done_, ElementsAre(Pair(1, false)));
  ASSERT_TRUE(transport->start());
  transport->stop(Duration::zero());
  transport->send(batch(2));
  EXPECT_THAT(done_, ElementsAre(Pair(1, false), Pair(2, false)));
  EXPECT_THAT(client_->published, IsEmpty());
}

TEST_F(MqttTransportTest, StopsWithoutWaitingWhenNothingIsInFlight) {
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  transport->send(batch(1));
  report(1, true);
  transport->stop(std::chrono::hours(1));
  EXPECT_THAT(done_, ElementsAre(Pair(1, true)));
}

TEST_F(MqttTransportTest, PassesOnWhatTheLinkDoes) {
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  client_->handlers.link({true, mqtt::LinkProblem::none, ""});
  client_->handlers.link({false, mqtt::LinkProblem::refused_login, "check the password"});
  EXPECT_THAT(links_, ElementsAre(Pair(true, ""), Pair(false, "check the password")));
}

TEST_F(MqttTransportTest, WritesLineProtocolWhereThatIsTheFormat) {
  options_.format = MqttFormat::influx;
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  const auto send = [&](std::uint64_t id, const std::string& payload) {
    OutgoingBatch sent = batch(id);
    sent.payload = std::make_shared<const std::string>(payload);
    transport->send(sent);
  };
  send(1, R"({"sent":5,"readings":[{"seq":1,"tag":"boiler/temp","time":1000,"value":7,"quality":"good"}]})");
  ASSERT_EQ(client_->published.size(), 1U);
  EXPECT_EQ(client_->published[0].topic, "tidegate/plant-7/readings");
  EXPECT_EQ(client_->published[0].payload,
            "boiler/temp,gateway=plant-7,device=boiler value=7i,quality=\"good\" 1000000000\n");
  report(1, true);
  send(2, R"({"sent":5,"readings":[]})");
  send(3, "no batch");
  EXPECT_EQ(client_->published.size(), 1U);
  EXPECT_THAT(done_, ElementsAre(Pair(1, true), Pair(2, true)));
  ASSERT_EQ(failed_.size(), 1U);
  EXPECT_EQ(failed_[0].first, 3U);
  EXPECT_FALSE(failed_[0].second.refusal.empty());
}

TEST_F(MqttTransportTest, SaysBesideABatchOfVersion5WhatItIs) {
  options_.broker.protocol = mqtt::ProtocolVersion::v5;
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  OutgoingBatch sent = batch(5, Stream::alarms);
  sent.epoch = 3;
  sent.from = 17;
  sent.to = 42;
  transport->send(sent);
  ASSERT_EQ(client_->published.size(), 1U);
  const mqtt::MessageProperties expected{"application/json",
                                         true,
                                         {{"tidegate-gateway", "plant-7"},
                                          {"tidegate-stream", "alarms"},
                                          {"tidegate-epoch", "3"},
                                          {"tidegate-from", "17"},
                                          {"tidegate-to", "42"}}};
  EXPECT_EQ(client_->published[0].properties, expected);
  EXPECT_TRUE(client_->broker.clean_session);
}

TEST_F(MqttTransportTest, SaysNothingBesideABatchOfVersion3) {
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  transport->send(batch(5));
  EXPECT_EQ(client_->published.at(0).properties, mqtt::MessageProperties{});
  EXPECT_FALSE(client_->broker.clean_session);
}

TEST_F(MqttTransportTest, HasTheMediaTypeOfLineProtocol) {
  options_.broker.protocol = mqtt::ProtocolVersion::v5;
  options_.format = MqttFormat::influx;
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  OutgoingBatch sent = batch(1);
  sent.payload = std::make_shared<const std::string>(
      R"({"sent":5,"readings":[{"seq":1,"tag":"boiler/temp","time":1000,"value":7,"quality":"good"}]})");
  transport->send(sent);
  EXPECT_EQ(client_->published.at(0).properties.content_type, "text/plain; charset=utf-8");
}

TEST_F(MqttTransportTest, ABatchThatIsTooLargeIsToBeSplitAndARecordThatIsIsRefused) {
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  OutgoingBatch several = batch(1);
  several.count = 2;
  OutgoingBatch alone = batch(2);
  alone.count = 1;
  transport->send(several);
  transport->send(alone);
  refuse(1, {mqtt::ReasonCode::packet_too_large, {}, 101, 100});
  refuse(2, {mqtt::ReasonCode::packet_too_large, {}, 101, 100});
  ASSERT_EQ(failed_.size(), 2U);
  BatchFailure too_large;
  too_large.too_large = true;
  EXPECT_THAT(failed_[0], Pair(1, too_large));
  EXPECT_FALSE(failed_[1].second.too_large);
  EXPECT_EQ(failed_[1].second.refusal,
            "packet too large: 101 bytes with one record alone, and the broker takes 100 (maximum packet size)");
  EXPECT_THAT(troubles_, IsEmpty());
  EXPECT_THAT(done_, IsEmpty());
}

TEST_F(MqttTransportTest, WhatIsInABatchIsBlamedOnlyWhereTheBrokerBlamesIt) {
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  std::uint64_t id = 0;
  for (const auto reason : {mqtt::ReasonCode::unspecified_error, mqtt::ReasonCode::implementation_specific_error,
                            mqtt::ReasonCode::not_authorized, mqtt::ReasonCode::topic_name_invalid,
                            mqtt::ReasonCode::packet_identifier_in_use, mqtt::ReasonCode::quota_exceeded,
                            mqtt::ReasonCode::payload_format_invalid}) {
    transport->send(batch(++id));
    refuse(id, {reason});
    ASSERT_EQ(failed_.size(), id);
    const bool is_blamed = reason == mqtt::ReasonCode::payload_format_invalid;
    EXPECT_EQ(failed_.back().second.refusal, is_blamed ? "payload format invalid" : "");
    ASSERT_EQ(troubles_.size(), id) << to_string(reason);
    EXPECT_EQ(troubles_.back().empty(), is_blamed);
    EXPECT_THAT(troubles_.back(), HasSubstr(is_blamed ? "" : to_string(reason)));
  }
  EXPECT_THAT(troubles_[2], HasSubstr("may not publish to \"tidegate/plant-7/readings\": check the broker's access"));
  EXPECT_THAT(troubles_[3], HasSubstr("does not take the topic \"tidegate/plant-7/readings\""));
}

TEST_F(MqttTransportTest, TroubleIsToldBeforeTheBatchAndIsOverWithABatchOfItsStream) {
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  transport->send(batch(1));
  refuse(1, {mqtt::ReasonCode::quota_exceeded, "100 a day"});
  ASSERT_EQ(troubles_.size(), 1U);
  EXPECT_THAT(troubles_[0], HasSubstr("; it says \"100 a day\""));
  transport->send(batch(2, Stream::alarms));
  report(2, true);
  EXPECT_EQ(troubles_.size(), 1U) << "readings are refused as before";
  transport->send(batch(1));
  report(1, true);
  EXPECT_EQ(troubles_.back(), "");
  EXPECT_THAT(told_, ElementsAre("trouble", "failed 1", "done 2", "trouble", "done 1"));
}

TEST_F(MqttTransportTest, WhatIsTooLargeToBeSentSaysNothingOfWhatTheBrokerRefuses) {
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  transport->send(batch(1));
  refuse(1, {mqtt::ReasonCode::not_authorized});
  OutgoingBatch alone = batch(2);
  alone.count = 1;
  transport->send(alone);
  refuse(2, {mqtt::ReasonCode::packet_too_large, {}, 101, 100});
  EXPECT_THAT(troubles_, ElementsAre(HasSubstr("not authorized")));
  EXPECT_EQ(failed_.size(), 2U);
}

TEST_F(MqttTransportTest, WhoHearsNoReasonsHearsThatABatchIsNotDelivered) {
  hears_reasons_ = false;
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  transport->send(batch(1));
  refuse(1, {mqtt::ReasonCode::not_authorized});
  EXPECT_THAT(done_, ElementsAre(Pair(1, false)));
}

TEST_F(MqttTransportTest, ARefusalIsReportedOnce) {
  const auto transport = make();
  ASSERT_TRUE(transport->start());
  transport->send(batch(1));
  refuse(1, {mqtt::ReasonCode::quota_exceeded});
  refuse(1, {mqtt::ReasonCode::quota_exceeded});
  report(1, true);
  refuse(2, {mqtt::ReasonCode::quota_exceeded});
  transport->stop(Duration::zero());
  EXPECT_EQ(failed_.size(), 1U);
  EXPECT_THAT(done_, IsEmpty());
}

TEST_F(MqttTransportTest, RefusesTopicsThatCannotBePublishedTo) {
  const std::vector<std::pair<const char*, const char*>> wrong{
      {"", "topic"}, {"a/#", "topic"}, {"{gateway}/+", "topic"}, {"{gatway}/x", "{gatway}"}};
  for (const auto& [topic, words] : wrong) {
    options_.topic = topic;
    const auto started = make()->start();
    ASSERT_FALSE(started) << topic;
    EXPECT_EQ(started.error().code, ErrorCode::invalid);
    EXPECT_THAT(started.error().message, HasSubstr(words));
    EXPECT_FALSE(client_->started);
  }
}

}  // namespace
}  // namespace tidegate::uplink::testing
