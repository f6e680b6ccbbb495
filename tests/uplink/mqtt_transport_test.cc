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
    handlers.done = [this](std::uint64_t id, bool ok) { done_.emplace_back(id, ok); };
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

  MqttUplinkOptions options_;
  std::shared_ptr<ClientLog> client_ = std::make_shared<ClientLog>();
  std::vector<std::pair<std::uint64_t, bool>> done_;
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
  EXPECT_THAT(done_, ElementsAre(Pair(1, true), Pair(2, true), Pair(3, false)));
}

TEST_F(MqttTransportTest, RefusesTopicsThatCannotBePublishedTo) {
  for (const char* const topic : {"", "a/#", "{gateway}/+", "{gatway}/x"}) {
    options_.topic = topic;
    const auto started = make()->start();
    ASSERT_FALSE(started) << topic;
    EXPECT_EQ(started.error().code, ErrorCode::invalid);
    EXPECT_THAT(started.error().message,
                HasSubstr(topic[0] == '{' && topic[3] == 't' && topic[4] == 'w' ? "{gatway}" : "topic"));
    EXPECT_FALSE(client_->started);
  }
}

}  // namespace
}  // namespace tidegate::uplink::testing
