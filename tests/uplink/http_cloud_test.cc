// The formats of cloud services, through the transport and the forwarder, to servers that do not take everything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/support/http_server.h"
#include "tests/support/kinesis_stream.h"
#include "tests/support/seed.h"
#include "tests/support/temporary_directory.h"
#include "tests/uplink/uplink_harness.h"
#include "uplink/transport.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using tidegate::testing::http_reply;
using tidegate::testing::HttpRequestSeen;
using tidegate::testing::KinesisStream;
using tidegate::testing::NumberedReadings;
using tidegate::testing::ScriptedHttpServer;
using tidegate::testing::TemporaryDirectory;
using tidegate::testing::write_file;

std::uint64_t seed() {
  const std::uint64_t seed = tidegate::testing::from_environment("TIDEGATE_SEED", 1);
  std::printf("TIDEGATE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

constexpr auto kPatience = seconds(60);
constexpr std::uint64_t kReadings = 3'000;

std::string message_ids(std::size_t count) {
  std::string ids;
  for (std::size_t i = 0; i < count; ++i) ids += (i == 0 ? "\"" : ",\"") + std::to_string(10'000'000 + i) + '"';
  return "{\"messageIds\":[" + ids + "]}";
}

class HttpCloudTest : public ::testing::Test {
 protected:
  HttpCloudTest() {
    options_.forwarder.name = "cloud";
    options_.forwarder.batch_readings_max = 100;
    options_.forwarder.batch_delay_max = milliseconds(10);
    options_.forwarder.retry_first = milliseconds(5);
    options_.forwarder.retry_most = milliseconds(20);
    options_.forwarder.inflight_max = 1;
    options_.aws = {"eu-central-1",
                    "s",
                    {"", "AKIDEXAMPLE", "", false},
                    {"", "secret-canary", "", true},
                    {"", "token-canary", "", true}};
  }

  void serve(ScriptedHttpServer::Answer answer) {
    server_ = std::make_unique<ScriptedHttpServer>(std::move(answer));
    options_.url = server_->url("/");
  }
  void deliver_all(std::uint32_t devices = 100) {
    NumberedReadings readings;
    readings.devices = devices;
    readings.count = kReadings;
    uplink_ = std::make_unique<UplinkHarness>(options_.forwarder, readings);
    ASSERT_TRUE(uplink_->start(
        [this](TransportHandlers handlers) { return make_http_transport(options_, "gw", std::move(handlers)); }));
    uplink_->announce(kReadings);
    ASSERT_TRUE(uplink_->run_until([&] { return uplink_->delivered() == kReadings; }, kPatience))
        << uplink_->delivered() << " " << uplink_->trouble();
  }

  HttpUplinkOptions options_;
  std::unique_ptr<ScriptedHttpServer> server_;
  std::unique_ptr<UplinkHarness> uplink_;
};

// Of a key with repeats taken out but for their last, the sequences rise: whoever goes by the newest ends right.
TEST_F(HttpCloudTest, AStreamOfKinesisThatTakesSomeRecordsOnlyGetsAllInTheOrderOfTheirKeys) {
  KinesisStream stream(seed());
  options_.format = BatchFormat::kinesis;
  serve([&](const HttpRequestSeen& request) { return stream.answer(request); });
  deliver_all(7);  // fewer than a batch has records, so that a key is several times in each
  std::uint64_t distinct = 0;
  simdjson::dom::parser parser;
  for (const auto& [key, records] : stream.taken()) {
    std::map<std::uint64_t, std::size_t> last;
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto record = parser.parse(records[i]);
      EXPECT_EQ(record["tag"].get_string().value(), key);
      EXPECT_EQ(record["gateway"].get_string().value(), "gw");
      last[record["seq"].get_uint64().value()] = i;
    }
    distinct += last.size();
    std::optional<std::size_t> before;
    for (const auto& [seq, at] : last) {
      EXPECT_TRUE(!before || at > *before) << key << " " << seq;
      before = at;
    }
  }
  EXPECT_EQ(distinct, kReadings);
  EXPECT_GT(stream.refused(), 0U);
  const HttpRequestSeen first = stream.first_requests().at(0);
  EXPECT_EQ(first.header("x-amz-target"), "Kinesis_20131202.PutRecords");
  EXPECT_EQ(first.header("content-type"), "application/x-amz-json-1.1");
  EXPECT_EQ(first.header("x-amz-security-token"), "token-canary");
  EXPECT_EQ(first.header("idempotency-key"), "") << "what is sent again is another request";
}

TEST_F(HttpCloudTest, WhatAwsSaysOfCredentialsIsShownWithoutThem) {
  options_.format = BatchFormat::kinesis;
  bool refuses = true;
  KinesisStream stream(seed());
  serve([&](const HttpRequestSeen& request) {
    if (!refuses) return stream.answer(request);
    return http_reply(400, R"({"__type":"ExpiredTokenException","message":"token-canary has expired"})");
  });
  NumberedReadings readings;
  readings.count = 10;
  uplink_ = std::make_unique<UplinkHarness>(options_.forwarder, readings);
  ASSERT_TRUE(uplink_->start(
      [this](TransportHandlers handlers) { return make_http_transport(options_, "gw", std::move(handlers)); }));
  uplink_->announce(10);
  ASSERT_TRUE(uplink_->run_until([&] { return uplink_->failures() > 3; }, kPatience));
  EXPECT_EQ(uplink_->trouble(),
            R"(refused with 400: {"__type":"ExpiredTokenException","message":"(secret) has expired"})");
  refuses = false;
  ASSERT_TRUE(uplink_->run_until([&] { return uplink_->delivered() == 10; }, kPatience));
}

TEST_F(HttpCloudTest, PubsubGetsAllWithATokenThatSomebodyElseRenews) {
  TemporaryDirectory directory;
  const std::string token = directory / "token";
  write_file(token, "Bearer old\n");
  options_.format = BatchFormat::pubsub;
  options_.headers = {{"Authorization", "Bearer old", token, true}};
  std::set<std::string> taken;
  std::uint64_t refused = 0;
  serve([&](const HttpRequestSeen& request) {
    if (request.header("authorization") != "Bearer new") {
      ++refused;
      write_file(token, "Bearer new\n");
      return http_reply(401, R"({"error":{"code":401,"status":"UNAUTHENTICATED"}})");
    }
    simdjson::dom::parser parser;
    const simdjson::dom::array messages = parser.parse(request.body).at_pointer("/messages").get_array();
    for (const simdjson::dom::element message : messages) {
      EXPECT_TRUE(taken.insert(std::string(message["data"].get_string().value())).second);
    }
    return http_reply(200, message_ids(messages.size()));
  });
  deliver_all();
  EXPECT_EQ(taken.size(), kReadings);
  EXPECT_EQ(refused, 1U);
}

}  // namespace
}  // namespace tidegate::uplink::testing
