#include "uplink/kafka/kafka_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tidegate::uplink {
namespace {

using ::testing::HasSubstr;

TEST(KafkaNames, FillsGatewayAndStreamIntoATopic) {
  EXPECT_EQ(kafka_topic("plant.{gateway}.{stream}", "gw-7", Stream::alarms), "plant.gw-7.alarms");
}

TEST(KafkaNames, RefusesWhatIsNoTopicOfKafka) {
  for (const std::string topic : {"", ".", "..", "plant/{stream}", "pl\xc3\xa4nt", "a b", "{gateway}"}) {
    const auto refused = kafka_topic(topic, "gw:7", Stream::readings);
    ASSERT_FALSE(refused) << topic;
    EXPECT_THAT(refused.error().message, HasSubstr("1 to 249 of the characters a-z A-Z 0-9 . _ -"));
  }
  EXPECT_TRUE(kafka_topic(std::string(249, 'a'), "gw", Stream::readings));
  EXPECT_FALSE(kafka_topic(std::string(250, 'a'), "gw", Stream::readings));
}

TEST(KafkaNames, SaysWhichPlaceholdersATopicMayHave) {
  const auto refused = kafka_topic("{tag}", "gw", Stream::readings);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("{tag} is not known; allowed are {gateway} {stream}"));
}

TEST(KafkaNames, GivesARecordWithoutATagTheKeyOfTheGateway) {
  EXPECT_EQ(kafka_key("{tag}", "gw", "line/temp"), "line/temp");
  EXPECT_EQ(kafka_key("{gateway}/{tag}", "gw", "line/temp"), "gw/line/temp");
  EXPECT_EQ(kafka_key("{tag}", "gw", ""), "gw");
}

}  // namespace
}  // namespace tidegate::uplink
