// The real daemon, a schema registry and the mock cluster of librdkafka.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/integration/gateway_process.h"
#include "tests/support/avro_decoded.h"
#include "tests/support/kafka_cluster.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/schema_registry.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr seconds kPatience{60};
constexpr std::uint64_t kReadings = 2'000;

// Publisher -> source broker -> the daemon -> Kafka in Avro, and a file beside it.
class KafkaAvroShort : public ::testing::Test {
 protected:
  KafkaAvroShort() : source_("max_queued_messages 0\nlog_type subscribe\n") {
    cluster_.create_topic("plant.readings", 4);
    cluster_.create_topic("plant.events", 1);
    cluster_.create_topic("tidegate-cursors", 1);
    readings_.count = kReadings;
  }
  ~KafkaAvroShort() override { gateway_.stop(); }

  void start(const std::string& more) {
    source_.start();
    const std::string relay = relay_config(source_.port(), 0);
    gateway_.configure(relay.substr(0, relay.find("[[uplink")) + "[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"" +
                       cluster_.brokers().front() + "\"]\ntopic = \"plant.{stream}\"\nretry_most = \"1s\"\n" +
                       "format = \"avro\"\nschema_registry = { url = \"" + registry_.url() +
                       "\", timeout = \"1s\" }\n" + more +
                       "[[uplink.file]]\nname = \"beside\"\npath = \"{dir}/beside\"\n");
    publisher_ = std::make_unique<NumberedPublisher>(NumberedPublisher::Options{source_.port(), readings_, 2'000});
    gateway_.start();
    const auto is_subscribed = [this] { return source_.log().find("plant/+/+") != std::string::npos; };
    ASSERT_TRUE(wait_until(is_subscribed, kPatience)) << gateway_.log();
    publisher_->start();
  }
  void expect_status(const std::string& part) {
    EXPECT_TRUE(wait_until([&] { return gateway_.status_of("fleet").find(part) != std::string::npos; }, kPatience))
        << part << gateway_.status_of("fleet");
  }
  void expect_delivered(const std::string& uplink, std::uint64_t count) {
    EXPECT_TRUE(
        gateway_.wait_for_metric(R"(tidegate_readings_delivered_total{uplink=")" + uplink + R"(",stream="readings"})",
                                 static_cast<double>(count), kPatience))
        << gateway_.log();
  }

  // By the schema that the registry has for the id before each record.
  std::vector<std::string> read(const std::string& topic) {
    std::map<std::int32_t, std::vector<std::string>> by_id;
    read_kafka_topic(cluster_.brokers(), topic, [&](const KafkaMessage& message) {
      if (message.value.size() < 5 || message.value.front() != '\0')
        throw std::runtime_error("no frame of Confluent's");
      std::uint32_t id = 0;
      for (std::size_t i = 1; i < 5; ++i) id = id << 8U | static_cast<unsigned char>(message.value[i]);
      by_id[static_cast<std::int32_t>(id)].push_back(message.value.substr(5));
    });
    std::vector<std::string> records;
    for (const auto& [id, bodies] : by_id) {
      const AvroDecoded decoded(registry_.schema(id), bodies);
      for (std::size_t i = 0; i < decoded.size(); ++i) records.push_back(decoded.text(i));
    }
    return records;
  }
  // How many records the topic has; each reading has to be there.
  std::size_t expect_all_arrived() {
    std::set<std::string> values;
    std::size_t records = 0;
    const auto is_all_there = [&] {
      const auto found = read("plant.readings");
      records = found.size();
      values.clear();
      for (const std::string& record : found) {
        const std::size_t at = record.find(R"("value": {"long": )");
        if (at != std::string::npos) values.insert(record.substr(at, record.find('}', at) - at));
      }
      return values.size() == kReadings;
    };
    EXPECT_TRUE(wait_until(is_all_there, kPatience)) << values.size() << gateway_.log();
    return records;
  }

  KafkaCluster cluster_;
  FakeSchemaRegistry registry_;
  NumberedReadings readings_;
  MosquittoBroker source_;
  GatewayProcess gateway_;
  std::unique_ptr<NumberedPublisher> publisher_;
};

TEST_F(KafkaAvroShort, WaitsForTheRegistryAtEachStartAndLosesNothing) {
  registry_.answer_with(HttpScriptedReply{"HTTP/1.1 200 OK\r\nX: ", HttpScriptedReply::Then::drip});
  ASSERT_NO_FATAL_FAILURE(start(""));
  expect_delivered("beside", kReadings / 2);  // which does not notice
  registry_.answer_with(http_reply(409, R"({"error_code":409,"message":"reader field missing"})"));
  expect_status("not compatible with what the subject plant.readings-value has (409)");
  EXPECT_THAT(gateway_.status_of("fleet"), HasSubstr("reader field missing"));
  registry_.answer_with(std::nullopt);
  expect_delivered("fleet", kReadings / 2);
  EXPECT_TRUE(publisher_->wait_for_all(kPatience));
  gateway_.kill();
  registry_.stop();
  gateway_.start();
  expect_status("the schema registry " + registry_.url() + " gives no answer");
  registry_.start();
  EXPECT_TRUE(gateway_.wait_for_metric(R"(tidegate_uplink_up{uplink="fleet"})", 1, kPatience));
  expect_all_arrived();
  const auto events = read("plant.events");
  ASSERT_FALSE(events.empty());
  EXPECT_THAT(events.front(), HasSubstr(R"("event": "start")"));
}

TEST_F(KafkaAvroShort, SendsEachRecordOnceWithExactlyOnce) {
  ASSERT_NO_FATAL_FAILURE(start("delivery = \"exactly-once\"\n"));
  expect_delivered("fleet", kReadings / 2);
  gateway_.stop();
  gateway_.start();
  std::size_t arrived = expect_all_arrived();
  // What its broker had on the way to the driver when it stopped may come again, and is a record of its own.
  const std::size_t logged = gateway_.tail("readings", "\"value\"").size();
  EXPECT_GE(logged, kReadings);
  (void)wait_until([&] { return (arrived = read("plant.readings").size()) >= logged; }, kPatience);
  EXPECT_EQ(arrived, logged);
}

}  // namespace
}  // namespace tidegate::testing
