// What brokers of Kafka refuse for what it is, and what they refuse without a reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/integration/gateway_process.h"
#include "tests/support/kafka_cluster.h"
#include "tests/support/kafka_records.h"
#include "tests/support/kafka_size_limit.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/schema_registry.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr seconds kPatience{120};
constexpr std::uint64_t kCount = 60;
constexpr std::size_t kTakenMost = 16'384;

std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
}

// Publisher -> source broker -> the daemon -> Kafka, some records of each of three tags; the second half when asked
// for.
class KafkaDeadLetters : public ::testing::Test {
 protected:
  KafkaDeadLetters() : source_("max_queued_messages 0\nlog_type subscribe\n") {
    readings_.count = kCount;
    readings_.devices = 3;
    cluster_.create_topic("plant.readings", 8);
    source_.start();
  }
  ~KafkaDeadLetters() override { gateway_.stop(); }

  void start(const std::string& broker, const std::string& more) {
    const std::string relay = relay_config(source_.port(), 0);
    gateway_.configure(relay.substr(0, relay.find("[[uplink")) + "[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"" +
                       broker + "\"]\ntopic = \"plant.{stream}\"\nstreams = [\"readings\"]\nretry_most = \"1s\"\n" +
                       more);
    publisher_ = std::make_unique<NumberedPublisher>(NumberedPublisher::Options{source_.port(), readings_, 1'000});
    publisher_->pause_before(kCount / 2);
    gateway_.start();
    ASSERT_TRUE(wait_until([this] { return source_.log().find("plant/+/+") != std::string::npos; }, kPatience))
        << gateway_.log();
    publisher_->start();
    ASSERT_TRUE(publisher_->wait_for_acknowledged(kCount / 2, kPatience));
  }
  void publish_the_rest() {
    publisher_->pause_before(kCount);
    EXPECT_TRUE(publisher_->wait_for_all(kPatience));
  }
  // A text that no compression makes shorter than what the topic takes.
  void publish_too_large_one() {
    std::mt19937 random(1);
    std::string text;
    while (text.size() < 2 * kTakenMost) text += "0123456789abcdef"[random() % 16];
    write_file(directory_ / "large",
               "{\"ts\":" + std::to_string(readings_.time_ms(kCount)) + ",\"value\":\"" + text + "\"}");
    const auto done = run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(source_.port()),
                                  "-q", "1", "-t", readings_.topic(1), "-f", directory_ / "large"});
    ASSERT_EQ(done.end.exit_code, 0) << done.errors;
  }

  double letters() { return gateway_.metric(R"(tidegate_uplink_dead_letters{uplink="fleet"})"); }
  double delivered() {
    return gateway_.metric(R"(tidegate_readings_delivered_total{uplink="fleet",stream="readings"})");
  }
  FinishedProcess deadletter(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "deadletter");
    arguments.insert(arguments.end(), {"--config", gateway_.config_file()});
    return gateway_.command(std::move(arguments));
  }

  // One that is too large, among others of its tag: it goes aside, these arrive, and so does it when the topic takes
  // it.
  void expect_the_too_large_one_to_go_aside(KafkaSizeLimit& limit) {
    publish_too_large_one();
    publish_the_rest();
    EXPECT_TRUE(wait_until([this] { return letters() == 1 && delivered() == kCount; }, kPatience))
        << letters() << " " << delivered() << gateway_.status_of("fleet") << gateway_.log();
    const std::string status = gateway_.status_of("fleet");
    EXPECT_THAT(status, HasSubstr(R"("dead-letter":1)"));
    EXPECT_EQ(status.find("account_mismatch"), std::string::npos) << status;
    const auto listed = deadletter({"ls", "--uplink", "fleet"});
    EXPECT_THAT(listed.output, HasSubstr("topic plant.readings takes no message of this size")) << listed.errors;
    const auto refused = deadletter({"retry", "--uplink", "fleet", "--all"});
    EXPECT_THAT(refused.output, HasSubstr("refused again")) << refused.errors << gateway_.log();
    EXPECT_GT(limit.refused(), 10);
    limit.raise(10 * kTakenMost);
    const auto taken = [this] {
      deadletter({"retry", "--uplink", "fleet", "--all"});
      return letters() == 0;
    };
    EXPECT_TRUE(wait_until(taken, kPatience)) << gateway_.log();
  }
  // Records that are longer than what the topic took at first.
  std::size_t count_large() const {
    std::size_t large = 0;
    read_kafka_topic(cluster_.brokers(), "plant.readings", [&](const KafkaMessage& message) {
      if (message.value.size() > kTakenMost) ++large;
    });
    return large;
  }

  const TemporaryDirectory directory_;
  NumberedReadings readings_;
  KafkaCluster cluster_{2};
  MosquittoBroker source_;
  GatewayProcess gateway_;
  std::unique_ptr<NumberedPublisher> publisher_;
};

class KafkaDeadLettersOfSize : public KafkaDeadLetters {
 protected:
  KafkaDeadLettersOfSize() {
    for (int partition = 0; partition < 8; ++partition) cluster_.set_leader("plant.readings", partition, 1);
  }
  KafkaSizeLimit limit_{port_of(cluster_.brokers().front()), kTakenMost};
};

TEST_F(KafkaDeadLettersOfSize, OneAmongOthersOfItsTagGoesAsideByDefaultAndAllElseArrives) {
  ASSERT_NO_FATAL_FAILURE(start(limit_.address(), ""));
  ASSERT_NO_FATAL_FAILURE(expect_the_too_large_one_to_go_aside(limit_));
  std::set<std::string> numbers;
  read_kafka_topic(cluster_.brokers(), "plant.readings", [&](const KafkaMessage& message) {
    if (message.value.size() <= kTakenMost) numbers.insert(message.value);
  });
  EXPECT_EQ(numbers.size(), kCount);
  EXPECT_EQ(count_large(), 1U);
}

TEST_F(KafkaDeadLettersOfSize, OneGoesAsideByDefaultInAvroToo) {
  FakeSchemaRegistry registry;
  ASSERT_NO_FATAL_FAILURE(
      start(limit_.address(), "format = \"avro\"\nschema_registry = { url = \"" + registry.url() + "\" }\n"));
  ASSERT_NO_FATAL_FAILURE(expect_the_too_large_one_to_go_aside(limit_));
  EXPECT_EQ(count_large(), 1U);
}

// The partitions of another broker are no matter of a record: also where it begins to refuse what it had taken of the
// same tags, and with the least that may be configured.
TEST_F(KafkaDeadLetters, NoneIsMadeWhereALeaderRefusesEverythingAndAllArrivesWhenItTakesItAgain) {
  constexpr int kInvalidRecord = 87;  // RD_KAFKA_RESP_ERR_INVALID_RECORD
  constexpr int kRequests = 15;
  std::map<std::string, int> partitions;
  for (int partition = 0; partition < 8; ++partition) cluster_.set_leader("plant.readings", partition, 1);
  ASSERT_NO_FATAL_FAILURE(start(cluster_.brokers().front(), "dead_letter_after = 1\n"));
  ASSERT_TRUE(wait_until([this] { return delivered() == kCount / 2; }, kPatience)) << gateway_.log();
  read_kafka_topic(cluster_.brokers(), "plant.readings",
                   [&](const KafkaMessage& message) { partitions[message.key] = message.partition; });
  const int theirs = partitions[readings_.tag(1)];
  cluster_.set_leader("plant.readings", theirs, 2);
  cluster_.refuse_to_produce_at(2, kInvalidRecord, kRequests);
  publish_the_rest();
  const auto is_refusing = [&] { return cluster_.refusals_left(2) < kRequests; };
  EXPECT_TRUE(wait_until(is_refusing, kPatience)) << gateway_.log();
  const auto is_told = [&] { return gateway_.status_of("fleet").find("\"refused\"") != std::string::npos; };
  EXPECT_TRUE(wait_until(is_told, kPatience)) << gateway_.log();
  EXPECT_TRUE(wait_until([&] { return cluster_.refusals_left(2) == 0; }, kPatience))
      << cluster_.refusals_left(2) << gateway_.log();
  EXPECT_TRUE(wait_until([this] { return delivered() == kCount; }, kPatience)) << delivered() << gateway_.log();
  EXPECT_EQ(letters(), 0) << gateway_.log();
  const auto records = read_kafka_records(cluster_.brokers(), "plant.readings", readings_, kPatience);
  EXPECT_EQ(records.distinct, kCount);
  EXPECT_EQ(records.altered, 0U) << ::testing::PrintToString(records.complaints);
}

}  // namespace
}  // namespace tidegate::testing
