#include "tests/support/mqtt_probe.h"

#include <gtest/gtest.h>

#include "tests/support/mosquitto_broker.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

TEST(MqttProbe, PublishesAllAndHearsItsAcknowledgements) {
  MosquittoBroker broker;
  broker.start();
  NumberedPublisher publisher({broker.port(), {500, 10}, 0, 1, 100});
  publisher.start();
  EXPECT_TRUE(publisher.wait_for_all(seconds(20)));
  EXPECT_EQ(publisher.acknowledged(), 500u);
}

// A payload that is no batch must show up as such: the subscriber hears everything on its topic.
TEST(MqttProbe, HandsEveryMessageToTheChecker) {
  MosquittoBroker broker;
  broker.start();
  BatchSubscriber subscriber(broker.port(), "plant/#", {500, 10});
  subscriber.start();
  NumberedPublisher publisher({broker.port(), {500, 10}, 5000, 1, 100});
  publisher.start();
  EXPECT_TRUE(subscriber.wait_for([](const DeliveryReport& report) { return report.malformed == 500; }, seconds(20)));
}

TEST(MqttProbe, MissesNothingWhileTheBrokerIsRestarted) {
  MosquittoBroker broker("persistence true\npersistence_location {dir}/\nmax_queued_messages 0\n");
  broker.start();
  BatchSubscriber subscriber(broker.port(), "plant/#", {2000, 10});
  subscriber.start();
  NumberedPublisher publisher({broker.port(), {2000, 10}, 1000, 1, 100});
  publisher.start();
  ASSERT_TRUE(publisher.wait_for_acknowledged(500, seconds(20)));
  broker.restart();
  EXPECT_TRUE(subscriber.wait_for([](const DeliveryReport& report) { return report.malformed >= 2000; }, seconds(40)));
}

}  // namespace
}  // namespace tidegate::testing
