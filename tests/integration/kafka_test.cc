#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "tests/integration/gateway_process.h"
#include "tests/support/http_server.h"
#include "tests/support/json_web_token.h"
#include "tests/support/kafka_broker.h"
#include "tests/support/kafka_cluster.h"
#include "tests/support/kafka_records.h"
#include "tests/support/kafka_transaction.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/mqtt_probe.h"
#include "tests/support/network.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr seconds kPatience{120};
constexpr const char* kExactlyOnce = "delivery = \"exactly-once\"\n";

// Publisher -> source broker -> the daemon -> Kafka.
class KafkaRig {
 public:
  struct Load {
    std::uint64_t count = 0;
    double rate = 0;
  };

  /// `readers`: where to look what has arrived, when that is not where the gateway sends to.
  KafkaRig(const std::vector<std::string>& brokers, Load load, const std::string& more = "",
           const std::vector<std::string>& readers = {})
      : readings_{load.count},
        brokers_(readers.empty() ? brokers : readers),
        source_("max_queued_messages 0\nlog_type subscribe\n") {
    source_.start();
    const std::string relay = relay_config(source_.port(), 0);
    configuration_ = relay.substr(0, relay.find("[[uplink")) + "[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"" +
                     brokers.front() + "\"]\ntopic = \"plant.{stream}\"\n" + more;
    gateway_.configure(configuration_);
    publisher_ = std::make_unique<NumberedPublisher>(NumberedPublisher::Options{source_.port(), readings_, load.rate});
  }

  void start() {
    gateway_.start();
    const auto is_subscribed = [this] { return source_.log().find("plant/+/+") != std::string::npos; };
    if (!wait_until(is_subscribed, kPatience)) throw std::runtime_error(gateway_.log() + source_.log());
    publisher_->start();
  }
  bool wait_for_published(std::uint64_t count) { return publisher_->wait_for_acknowledged(count, kPatience); }
  void kill_and_start() {
    gateway_.kill();
    gateway_.start();
  }
  // More lines of the uplink, while it runs.
  void reload_with(const std::string& more) { gateway_.change_to(configuration_ + more); }
  void expect_all_arrived() {
    EXPECT_TRUE(publisher_->wait_for_all(kPatience));
    const auto is_all_there = [this] {
      records_ = read_kafka_records(brokers_, "plant.readings", readings_, kPatience);
      return records_.distinct == readings_.count;
    };
    EXPECT_TRUE(wait_until(is_all_there, kPatience)) << records_.distinct << gateway_.log();
    EXPECT_EQ(records_.defects(), 0U) << ::testing::PrintToString(records_.complaints);
    std::printf("arrived %llu, repeats %llu, resent by the source %llu\n",
                static_cast<unsigned long long>(records_.distinct), static_cast<unsigned long long>(records_.repeats),
                static_cast<unsigned long long>(records_.taken_twice));
  }

  // Until it has delivered something that it had not when this began.
  void wait_for_progress() {
    const auto delivered = [this] {
      return gateway_.metric(R"(tidegate_readings_delivered_total{uplink="fleet",stream="readings"})");
    };
    const double before = delivered();
    EXPECT_TRUE(wait_until([&] { return delivered() > before; }, kPatience)) << gateway_.log();
  }
  void wait_for_delivered() {
    EXPECT_TRUE(gateway_.wait_for_metric(R"(tidegate_uplink_up{uplink="fleet"})", 1, kPatience)) << gateway_.log();
    const auto is_delivered = [this] {
      return gateway_.metric(R"(tidegate_uplink_backlog_readings{uplink="fleet",stream="readings"})") == 0;
    };
    EXPECT_TRUE(wait_until(is_delivered, kPatience));
  }
  // Each record once; what a source sends twice is two records. Where an older copy of the disk came back, two of them
  // may have one epoch and seq.
  void expect_each_record_once() {
    EXPECT_TRUE(publisher_->wait_for_all(kPatience));
    wait_for_delivered();
    std::map<std::string, int> records;
    std::set<std::uint64_t> numbers;
    const auto is_all_there = [&] {
      records.clear();
      read_kafka_topic(brokers_, "plant.readings", [&](const KafkaMessage& message) {
        ++records[message.value];
        const auto at = message.value.find("\"value\":");
        if (at != std::string::npos) numbers.insert(std::stoull(message.value.substr(at + 8)));
      });
      return numbers.size() == readings_.count;
    };
    EXPECT_TRUE(wait_until(is_all_there, kPatience)) << numbers.size() << gateway_.log();
    for (const auto& [record, count] : records) ASSERT_EQ(count, 1) << record;
  }

  GatewayProcess& gateway() { return gateway_; }
  const KafkaRecords& records() const { return records_; }

 private:
  const NumberedReadings readings_;
  const std::vector<std::string> brokers_;
  MosquittoBroker source_;
  std::string configuration_;
  GatewayProcess gateway_;
  std::unique_ptr<NumberedPublisher> publisher_;
  KafkaRecords records_;
};

// Over the mock cluster of librdkafka.
class KafkaShort : public ::testing::Test {
 protected:
  KafkaShort() { cluster_.create_topic("plant.readings", 8); }

  KafkaCluster cluster_;
};

TEST_F(KafkaShort, HasEveryReadingOnceThroughAnOutageOfTheBroker) {
  KafkaRig rig(cluster_.brokers(), {10'000, 5'000});
  rig.start();
  ASSERT_TRUE(rig.wait_for_published(3'000));
  cluster_.set_up(1, false);
  ASSERT_TRUE(
      wait_until([&] { return rig.gateway().metric(R"(tidegate_uplink_up{uplink="fleet"})") == 0; }, kPatience));
  EXPECT_THAT(http_get(rig.gateway().admin_port(), "/api/v1/status").body, HasSubstr("127.0.0.1:"));
  cluster_.set_up(1, true);
  rig.expect_all_arrived();
  EXPECT_EQ(rig.records().taken_twice, 0U);
  EXPECT_TRUE(rig.gateway().wait_for_metric(R"(tidegate_uplink_up{uplink="fleet"})", 1, kPatience));
  rig.gateway().stop();
}

TEST_F(KafkaShort, GoesOnWithoutARepeatAfterAStopInOrder) {
  KafkaRig rig(cluster_.brokers(), {10'000, 5'000});
  rig.start();
  ASSERT_TRUE(rig.wait_for_published(5'000));
  rig.gateway().stop();
  rig.gateway().start();
  rig.expect_all_arrived();
  EXPECT_EQ(rig.records().repeats, 0U);
  rig.gateway().stop();
}

TEST_F(KafkaShort, GoesOnWhereTheClusterIsAfterAKill) {
  cluster_.create_topic("tidegate-cursors", 1);
  KafkaRig rig(cluster_.brokers(), {10'000, 5'000}, kExactlyOnce);
  rig.start();
  ASSERT_TRUE(rig.wait_for_published(5'000));
  rig.wait_for_delivered();
  rig.kill_and_start();
  rig.expect_all_arrived();
  rig.gateway().stop();
}

// Each begins with a producer of its own, which waits for what the one before has on its way.
void reload_through(KafkaRig& rig) {
  rig.start();
  for (std::uint64_t step = 1; step <= 4; ++step) {
    ASSERT_TRUE(rig.wait_for_published(step * 2'000));
    rig.reload_with("batch = { max_delay = \"50ms\", max_readings = " + std::to_string(step * 100) + " }\n");
  }
  rig.expect_all_arrived();
  EXPECT_EQ(rig.records().repeats, 0U);
  rig.gateway().stop();
}

TEST_F(KafkaShort, HasEveryReadingOnceThroughReloadsThatChangeTheUplink) {
  KafkaRig rig(cluster_.brokers(), {10'000, 5'000});
  reload_through(rig);
}

TEST_F(KafkaShort, HasEveryReadingOnceThroughReloadsOfAnUplinkThatIsToDeliverOnce) {
  cluster_.create_topic("tidegate-cursors", 1);
  KafkaRig rig(cluster_.brokers(), {10'000, 5'000}, kExactlyOnce);
  reload_through(rig);
}

TEST(KillShort, LosesNothingOnItsWayToKafka) {
  KafkaCluster cluster;
  cluster.create_topic("plant.readings", 8);
  KafkaRig rig(cluster.brokers(), {20'000, 4'000});
  rig.start();
  for (std::uint64_t kill = 1; kill <= 3; ++kill) {
    ASSERT_TRUE(rig.wait_for_published(kill * 5'000));
    rig.kill_and_start();
  }
  rig.expect_all_arrived();
  rig.gateway().stop();
}

std::string from_environment(const char* name, const std::string& otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

// With Apache Kafka itself: scripts/test-kafka.
class KafkaBrokerTest : public ::testing::Test {
 protected:
  KafkaBrokerTest() : broker_(from_environment("TIDEGATE_KAFKA_JARS", "")) { broker_.start(); }

  // Ten SIGKILLs of the daemon, and the broker stopped, killed and stopped.
  void kill_and_restart_through(KafkaRig& rig) {
    constexpr std::uint64_t kSteps = 14;
    rig.start();
    for (std::uint64_t step = 1; step < kSteps; ++step) {
      ASSERT_TRUE(rig.wait_for_published(count_ * step / kSteps));
      rig.wait_for_progress();
      if (step % 4 != 0) {
        rig.kill_and_start();
        continue;
      }
      step == 8 ? broker_.kill() : broker_.stop();
      broker_.start();
    }
    rig.expect_all_arrived();
  }

  const std::uint64_t count_ = std::stoull(from_environment("TIDEGATE_KAFKA_RECORDS", "1000000"));
  const double rate_ = static_cast<double>(count_) / 90;  // so that something is on its way at every kill
  KafkaBroker broker_;
};

TEST_F(KafkaBrokerTest, HasEveryRecordThroughTenKillsAndThreeRestartsOfTheBroker) {
  KafkaRig rig(broker_.brokers(), {count_, rate_});
  kill_and_restart_through(rig);
  rig.gateway().stop();
}

TEST_F(KafkaBrokerTest, HasEveryRecordOnceThroughTenKillsAndThreeRestartsOfTheBroker) {
  KafkaRig rig(broker_.brokers(), {count_, rate_}, kExactlyOnce);
  kill_and_restart_through(rig);
  EXPECT_EQ(rig.records().repeats, 0U);
  rig.gateway().stop();
}

// The card of yesterday is put in again: it does not know what has been sent since, and has numbers given out that the
// target knows for other records.
TEST_F(KafkaBrokerTest, HasEveryRecordOnceThoughAnOlderCopyOfTheDiskComesBack) {
  KafkaRig rig(broker_.brokers(), {40'000, 1'000}, kExactlyOnce);
  broker_.stop();  // so that the copy has records that are not delivered yet
  rig.start();
  ASSERT_TRUE(rig.wait_for_published(2'000));
  rig.gateway().stop();
  broker_.start();
  const TemporaryDirectory copy;
  const auto data = rig.gateway().data_directory();
  std::filesystem::copy(data, copy / "data", std::filesystem::copy_options::recursive);
  rig.gateway().start();
  ASSERT_TRUE(rig.wait_for_published(20'000));
  rig.wait_for_delivered();
  rig.gateway().stop();
  std::filesystem::remove_all(data);
  std::filesystem::copy(copy / "data", data, std::filesystem::copy_options::recursive);
  rig.gateway().start();
  rig.expect_each_record_once();
  EXPECT_THAT(rig.gateway().log(), HasSubstr("an older copy of the disk came back"));
  rig.gateway().stop();
}

// A token endpoint whose tokens last for seconds.
class TokenEndpoint {
 public:
  TokenEndpoint() { write_file(directory_ / "secret", "secret"); }
  std::string sasl() const {
    return "sasl = { mechanism = \"OAUTHBEARER\", token_url = \"" + server_.url("/token") +
           "\", client_id = \"gw\", client_secret = { file = \"" + (directory_ / "secret") + "\" } }\n";
  }
  int given() const { return given_; }
  void set_refusing(bool refusing) { is_refusing_ = refusing; }

 private:
  static constexpr int kLasts = 14;  // so that one is fetched no sooner than it may be

  HttpScriptedReply answer() {
    if (is_refusing_) return http_reply(401, R"({"error":"invalid_client"})");
    const auto now = std::chrono::floor<seconds>(SystemClock().wall_now().time_since_epoch()).count();
    const std::string claims = "{\"sub\":\"gw\",\"iat\":" + std::to_string(now) +
                               ",\"exp\":" + std::to_string(now + kLasts) + ",\"jti\":" + std::to_string(++given_) +
                               "}";
    return http_reply(200, "{\"access_token\":\"" + json_web_token(claims) +
                               "\",\"token_type\":\"Bearer\",\"expires_in\":" + std::to_string(kLasts) + "}");
  }

  const TemporaryDirectory directory_;
  std::atomic<int> given_ = 0;
  std::atomic<bool> is_refusing_ = false;
  ScriptedHttpServer server_{[this](const HttpRequestSeen&) { return answer(); }};
};

// The library of Debian 12 does not show a new token on a connection that stands: the broker ends it with the token.
TEST_F(KafkaBrokerTest, GoesOnThroughTheEndsOfTokens) {
  TokenEndpoint endpoint;
  KafkaRig rig(broker_.brokers_for_tokens(), {30'000, 1'000}, endpoint.sasl(), broker_.brokers());
  rig.start();
  rig.expect_all_arrived();
  EXPECT_GE(endpoint.given(), 3);
  rig.gateway().stop();
}

TEST_F(KafkaBrokerTest, HasEveryRecordOnceThroughTheEndsOfTokensAndAnOutageOfTheirEndpoint) {
  TokenEndpoint endpoint;
  KafkaRig rig(broker_.brokers_for_tokens(), {20'000, 1'000}, endpoint.sasl() + kExactlyOnce, broker_.brokers());
  rig.start();
  ASSERT_TRUE(rig.wait_for_published(5'000));
  rig.wait_for_progress();
  endpoint.set_refusing(true);
  const auto is_said = [&] {
    return rig.gateway().status_of("fleet").find("answered 401: invalid_client") != std::string::npos;
  };
  EXPECT_TRUE(wait_until(is_said, kPatience)) << rig.gateway().status_of("fleet") << rig.gateway().log();
  endpoint.set_refusing(false);
  rig.expect_all_arrived();
  EXPECT_EQ(rig.records().repeats, 0U);
  rig.gateway().stop();
}

// Who reads what is committed comes to the end of it before an older cursor's successors.
TEST_F(KafkaBrokerTest, WaitsForATransactionOfAnotherProducerBeforeItTakesACursorForTheNewest) {
  KafkaRig rig(broker_.brokers(), {20'000, 2'000}, kExactlyOnce);
  rig.start();
  ASSERT_TRUE(rig.wait_for_published(4'000));
  rig.wait_for_progress();
  KafkaTransaction theirs(broker_.brokers(), {"tidegate-cursors", "plant.readings"});
  rig.wait_for_progress();
  ASSERT_TRUE(rig.wait_for_published(12'000));
  rig.wait_for_progress();
  rig.kill_and_start();
  const auto is_said = [&] {
    return rig.gateway().status_of("fleet").find("a transaction of another producer is open at offset") !=
           std::string::npos;
  };
  EXPECT_TRUE(wait_until(is_said, kPatience)) << rig.gateway().status_of("fleet") << rig.gateway().log();
  EXPECT_EQ(rig.gateway().metric(R"(tidegate_uplink_up{uplink="fleet"})"), 0);
  theirs.abort();
  rig.expect_all_arrived();
  EXPECT_EQ(rig.records().repeats, 0U);
  rig.gateway().stop();
}

TEST_F(KafkaBrokerTest, EndsTheUplinkOfASecondGatewayOfThatName) {
  KafkaRig rig(broker_.brokers(), {100'000, 1000}, kExactlyOnce);
  rig.start();
  rig.wait_for_progress();
  GatewayProcess twin;
  twin.configure("[[driver.simulator]]\nname = \"sim\"\n[[uplink.kafka]]\nname = \"fleet\"\nbrokers = [\"" +
                 broker_.brokers().front() + "\"]\ntopic = \"plant.{stream}\"\n" + kExactlyOnce);
  twin.start();
  ASSERT_TRUE(twin.wait_for_metric(R"(tidegate_uplink_up{uplink="fleet"})", 1, kPatience)) << twin.log();
  const auto is_said = [&] { return rig.gateway().log().find("another process sends") != std::string::npos; };
  EXPECT_TRUE(wait_until(is_said, kPatience)) << rig.gateway().log();
  EXPECT_TRUE(rig.gateway().wait_for_metric(R"(tidegate_uplink_up{uplink="fleet"})", 0, kPatience));
  twin.stop();
  rig.gateway().stop();
}

// What no uplink asks for is not in the process.
TEST_F(KafkaShort, LoadsTheLibraryOnlyForAKafkaUplink) {
  const auto maps = [](GatewayProcess& gateway) {
    return read_file("/proc/" + std::to_string(gateway.process().pid()) + "/maps");
  };
  GatewayProcess without;
  without.configure("[[uplink.file]]\nname = \"f\"\npath = \"{dir}/f\"\n");
  without.start();
  EXPECT_THAT(maps(without), Not(HasSubstr("librdkafka")));
  KafkaRig rig(cluster_.brokers(), {1});
  rig.start();
  EXPECT_THAT(maps(rig.gateway()), HasSubstr("librdkafka.so.1"));
}

}  // namespace
}  // namespace tidegate::testing
