#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/avro_decoded.h"
#include "tests/support/kafka_cluster.h"
#include "tests/support/network.h"
#include "tests/support/schema_registry.h"
#include "tests/support/temporary_directory.h"
#include "tests/uplink/uplink_harness.h"
#include "uplink/avro/avro_schemas.h"
#include "uplink/transport.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using tidegate::testing::AvroDecoded;
using tidegate::testing::FakeSchemaRegistry;
using tidegate::testing::http_reply;
using tidegate::testing::HttpScriptedReply;
using tidegate::testing::KafkaCluster;
using tidegate::testing::KafkaMessage;
using tidegate::testing::NumberedReadings;
using tidegate::testing::read_kafka_topic;

constexpr seconds kPatience{60};

class KafkaAvroTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kReadings = 2'000;

  KafkaAvroTest() {
    readings_.count = kReadings;
    options_.topic = "plant.{stream}";
    options_.brokers = cluster_.brokers();
    options_.format = KafkaFormat::avro;
    options_.registry.emplace().urls = {registry_.url()};
    options_.registry->timeout = seconds(1);
    options_.forwarder.name = "fleet";
    options_.forwarder.streams = {Stream::readings};
    options_.forwarder.batch_readings_max = 100;
    options_.forwarder.batch_delay_max = milliseconds(10);
    options_.forwarder.retry_first = milliseconds(10);
    options_.forwarder.retry_most = milliseconds(50);
    cluster_.create_topic("plant.readings", 4);
    cluster_.create_topic("tidegate-cursors", 1);
  }

  void start_uplink() {
    uplink_ = std::make_unique<UplinkHarness>(options_.forwarder, readings_);
    const auto started = uplink_->start([this](TransportHandlers handlers) {
      return options_.exactly_once
                 ? make_kafka_exactly_once_transport(options_, "gw", {"ab", {1ULL << 32U}}, std::move(handlers))
                 : make_kafka_transport(options_, "gw", std::move(handlers));
    });
    ASSERT_TRUE(started) << started.error().message;
    uplink_->announce(kReadings);
  }
  void expect_told(const std::string& part) {
    const auto is_told = [&] {
      return !uplink_->details().empty() && uplink_->details().back().find(part) != std::string::npos;
    };
    EXPECT_TRUE(uplink_->run_until(is_told, kPatience)) << part << ::testing::PrintToString(uplink_->details());
    EXPECT_FALSE(uplink_->is_up());
  }
  void expect_delivered() {
    EXPECT_TRUE(uplink_->run_until([&] { return uplink_->cursor().acked_to.sequence == kReadings; }, kPatience))
        << ::testing::PrintToString(uplink_->details());
  }
  // Each reading once, by the schema that the registry has for what stands before it.
  void expect_readable() {
    std::map<std::int32_t, std::vector<KafkaMessage>> by_id;
    read_kafka_topic(options_.brokers, "plant.readings", [&](const KafkaMessage& message) {
      ASSERT_GT(message.value.size(), 5U);
      EXPECT_EQ(message.value.front(), '\0');
      EXPECT_EQ(message.headers.at("tidegate-stream"), "readings");
      std::uint32_t id = 0;
      for (std::size_t i = 1; i < 5; ++i) id = id << 8U | static_cast<unsigned char>(message.value[i]);
      by_id[static_cast<std::int32_t>(id)].push_back(message);
    });
    ASSERT_EQ(by_id.size(), 1U);
    const auto& [id, messages] = *by_id.begin();
    std::vector<std::string> bodies;
    for (const KafkaMessage& message : messages) bodies.push_back(message.value.substr(5));
    AvroDecoded decoded(registry_.schema(id), bodies);
    std::set<std::uint64_t> numbers;
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      const auto record = decoded.at(i);
      const std::uint64_t number = record["value"]["long"].get_uint64().value();
      EXPECT_TRUE(numbers.insert(number).second) << number;
      EXPECT_EQ(record["tag"].get_string().value(), readings_.tag(number));
      EXPECT_EQ(record["time"].get_int64().value(), readings_.time_ms(number));
      EXPECT_EQ(messages[i].key, readings_.tag(number));
    }
    EXPECT_EQ(numbers.size(), kReadings);
  }

  KafkaCluster cluster_;
  FakeSchemaRegistry registry_;
  NumberedReadings readings_;
  KafkaUplinkOptions options_;
  std::unique_ptr<UplinkHarness> uplink_;
};

TEST_F(KafkaAvroTest, ProducesRecordsThatTheSchemaOfTheirIdReads) {
  registry_.add("another", R"("string")");  // so that the id is not the first one
  start_uplink();
  expect_delivered();
  expect_readable();
  EXPECT_THAT(registry_.subjects(), ElementsAre("another", "plant.readings-value"));
  EXPECT_EQ(registry_.requests().size(), 1U);
}

TEST_F(KafkaAvroTest, ProducesThemExactlyOnceToo) {
  options_.exactly_once = true;
  registry_.answer_with(http_reply(503));
  start_uplink();
  expect_told("answers 503");
  registry_.answer_with(std::nullopt);
  expect_delivered();
  expect_readable();
}

TEST_F(KafkaAvroTest, WaitsForARegistryThatRefusesAndSaysWhy) {
  const std::vector<std::pair<HttpScriptedReply, std::string>> faults{
      {http_reply(401, R"({"error_code":40101,"message":"Unauthorized"})"), "(401): check username and password"},
      {http_reply(403, ""), "(403)"},
      {http_reply(404, R"({"error_code":40401,"message":"x"})"), "has no such path (404)"},
      {http_reply(409, R"({"error_code":409,"message":"READER_FIELD"})"), "plant.readings-value has (409)"},
      {http_reply(422, R"({"error_code":42201,"message":"Invalid Avro"})"), "(422): Invalid Avro"},
      {http_reply(500, ""), "answers 500"},
      {http_reply(307, "", "Location: http://elsewhere.example/\r\n"),
       "redirects with 307 to http://elsewhere.example/"},
      {http_reply(200, "<html>", "Content-Type: text/html\r\n"), "none of a registry's answers"},
      {http_reply(200, R"({"id":-5})"), "an id that is none of 0 to 2147483647: -5"},
      {http_reply(200, R"({"id":"x"})"), "an id that is none of 0 to 2147483647: \"x\""},
      {{"HTTP/1.1 200 OK\r\n\r\n{\"id\":7,\"a\":\"" + std::string(1024, 'a'), HttpScriptedReply::Then::repeat_bytes},
       R"(none of a registry's answers, which have an "id"; is "url" right? {"id":7,"a":"aa)"},
      {{"HTTP/1.1 200 OK\r\nContent-Len", HttpScriptedReply::Then::close}, "gives no answer"},
      {{"HTTP/1.1 200 OK\r\nX: ", HttpScriptedReply::Then::drip}, "gives no answer: Operation timed out"},
      {{"", HttpScriptedReply::Then::close}, "gives no answer: Empty reply"},
      {{"", HttpScriptedReply::Then::say_nothing}, "gives no answer: Operation timed out"},
  };
  registry_.answer_with(faults.front().first);
  start_uplink();
  for (const auto& [reply, part] : faults) {
    registry_.answer_with(reply);
    expect_told(part);
  }
  registry_.stop();
  expect_told("Failed to connect");
  EXPECT_EQ(uplink_->delivered(), 0U);
  EXPECT_EQ(uplink_->failures(), 0U);  // nothing was sent to be refused
  registry_.answer_with(std::nullopt);
  registry_.start();
  expect_delivered();
  expect_readable();
}

TEST_F(KafkaAvroTest, LooksUpWhatItMayNotRegister) {
  options_.registry->registers = false;
  options_.registry->subject = "{topic}-{record}";
  const std::string subject = "plant.readings-tidegate.Reading";
  start_uplink();
  expect_told("under the subject " + subject + " (404)");
  registry_.add(subject, R"("string")");
  expect_told("Schema not found");
  registry_.add(subject, std::string(avro_schema(Stream::readings)));
  expect_delivered();
  EXPECT_EQ(registry_.requests().back().target, "/subjects/" + subject);
}

TEST_F(KafkaAvroTest, SaysWhichSubjectHasAnIncompatibleSchema) {
  registry_.add("plant.readings-value", R"("string")");
  start_uplink();
  expect_told("not compatible with what the subject plant.readings-value has (409)");
}

TEST_F(KafkaAvroTest, LogsInWithWhatTheFileOfThePasswordHasNow) {
  const tidegate::testing::TemporaryDirectory directory;
  tidegate::testing::write_file(directory / "password", "wrong-one\n");
  options_.registry->username = "gw";
  options_.registry->password = {"", "wrong-one", directory / "password", true};
  registry_.answer_with(http_reply(401, R"({"message":"gw:wrong-one, Z3c6d3Jvbmctb25l, is nobody"})"));
  start_uplink();
  expect_told("gw:(secret), (secret), is nobody");
  EXPECT_THAT(uplink_->details(), Each(Not(HasSubstr("wrong-one"))));
  EXPECT_EQ(registry_.requests().back().header("authorization"), "Basic Z3c6d3Jvbmctb25l");
  registry_.answer_with(http_reply(401));
  tidegate::testing::write_file(directory / "password", "right\n");
  const auto is_sent = [&] { return registry_.requests().back().header("authorization") == "Basic Z3c6cmlnaHQ="; };
  EXPECT_TRUE(uplink_->run_until(is_sent, kPatience));
  registry_.answer_with(std::nullopt);
  expect_delivered();
}

TEST_F(KafkaAvroTest, ShowsATokenInPlaceOfALogin) {
  options_.registry->token = {"", "opaque", "", true};
  start_uplink();
  expect_delivered();
  EXPECT_EQ(registry_.requests().back().header("authorization"), "Bearer opaque");
}

TEST_F(KafkaAvroTest, AsksTheNextServerOfARegistryWhereOneIsAway) {
  const std::string away = "http://127.0.0.1:" + std::to_string(tidegate::testing::free_port());
  options_.registry->urls = {away, registry_.url()};
  registry_.answer_with(http_reply(503));
  start_uplink();
  expect_told(registry_.url() + " answers 503");
  EXPECT_THAT(uplink_->details().back(), HasSubstr("the schema registry " + away + " gives no answer: "));
  registry_.answer_with(std::nullopt);
  expect_delivered();
}

TEST_F(KafkaAvroTest, AsksOnceAProcessAndNotAgainForABrokerThatWasAway) {
  start_uplink();
  uplink_->announce(100);
  ASSERT_TRUE(uplink_->run_until([&] { return uplink_->delivered() == 100; }, kPatience));
  cluster_.set_up(1, false);
  registry_.stop();
  uplink_->announce(kReadings);
  ASSERT_TRUE(uplink_->run_until([&] { return !uplink_->troubles().empty(); }, kPatience));
  cluster_.set_up(1, true);
  expect_delivered();
  EXPECT_EQ(registry_.requests().size(), 1U);
}

TEST_F(KafkaAvroTest, StopsInTimeWhileTheRegistrySaysNothing) {
  options_.registry->timeout = seconds(60);
  registry_.answer_with(HttpScriptedReply{"", HttpScriptedReply::Then::say_nothing});
  start_uplink();
  ASSERT_TRUE(uplink_->run_until([&] { return !registry_.requests().empty(); }, kPatience));
  const auto began = std::chrono::steady_clock::now();
  uplink_->stop(milliseconds(10));
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(10));
}

}  // namespace
}  // namespace tidegate::uplink::testing
