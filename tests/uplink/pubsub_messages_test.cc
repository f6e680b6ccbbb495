#include "uplink/pubsub_messages.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "uplink/byte_text.h"

namespace tidegate::uplink::testing {
namespace {

class PubsubMessagesTest : public ::testing::Test {
 protected:
  static OutgoingBatch batch(Stream stream, const std::string& entries) {
    OutgoingBatch batch;
    batch.stream = stream;
    batch.epoch = 3;
    batch.from = 7;
    batch.to = 9;
    batch.payload = std::make_shared<const std::string>("{\"v\":1,\"sent\":5,\"" + std::string(to_string(stream)) +
                                                        "\":[" + entries + "]}");
    return batch;
  }
  static std::string message(const std::string& stream, const std::string& members, const std::string& key) {
    return "{\"data\":\"" + base64(R"({"gateway":"gw","stream":")" + stream + R"(","epoch":3,)" + members) +
           R"(","attributes":{"tidegate-gateway":"gw","tidegate-stream":")" + stream +
           R"(","tidegate-epoch":"3","tidegate-from":"7","tidegate-to":"9"})" + key + "}";
  }

  HttpUplinkOptions options_;
};

TEST_F(PubsubMessagesTest, ARecordIsAMessageWithItsTagForAnOrderingKey) {
  PubsubMessages messages(options_, "gw");
  EXPECT_EQ(
      *messages.body(batch(Stream::readings, R"({"seq":7,"tag":"a/t","value":1.5},{"seq":9,"tag":"b","value":2})")),
      "{\"messages\":[" + message("readings", R"("seq":7,"tag":"a/t","value":1.5})", R"(,"orderingKey":"a/t")") + "," +
          message("readings", R"("seq":9,"tag":"b","value":2})", R"(,"orderingKey":"b")") + "]}");
}

TEST_F(PubsubMessagesTest, WhatHasNoTagKeepsItsOrderWithinTheGateway) {
  PubsubMessages messages(options_, "gw");
  EXPECT_EQ(
      *messages.body(batch(Stream::events, R"({"seq":7,"event":"stop","time":1})")),
      "{\"messages\":[" + message("events", R"("seq":7,"event":"stop","time":1})", R"(,"orderingKey":"gw")") + "]}");
}

TEST_F(PubsubMessagesTest, AnEmptyKeyIsNone) {
  options_.key.clear();
  PubsubMessages messages(options_, "gw");
  EXPECT_EQ(*messages.body(batch(Stream::readings, R"({"seq":7,"tag":"a","value":1})")),
            "{\"messages\":[" + message("readings", R"("seq":7,"tag":"a","value":1})", "") + "]}");
}

TEST_F(PubsubMessagesTest, OnlyAnIdForEachMessageSaysThatTheyAreTaken) {
  PubsubMessages messages(options_, "gw");
  const OutgoingBatch two = batch(Stream::readings, R"({"seq":7,"tag":"a","value":1},{"seq":9,"tag":"b","value":2})");
  const auto is_taken = [&](long status, const std::string& body) {
    EXPECT_TRUE(messages.body(two));
    HttpAnswer answer;
    answer.status = status;
    answer.body = body;
    const HttpVerdict verdict = messages.judge(two, answer);
    EXPECT_EQ(verdict.trouble.empty(), verdict.acknowledged);
    EXPECT_EQ(verdict.failure, BatchFailure{});
    return verdict.acknowledged;
  };
  EXPECT_TRUE(is_taken(200, R"({"messageIds":["1","2"]})"));
  EXPECT_FALSE(is_taken(201, R"({"messageIds":["1","2"]})"));
  EXPECT_FALSE(is_taken(204, ""));
  for (const char* body : {"", "{}", "<html>sign in</html>", R"({"messageIds":["1"]})", R"({"messageIds":[1,2]})",
                           R"({"messageIds":["1","2","3"]})"}) {
    EXPECT_FALSE(is_taken(200, body)) << body;
  }
  EXPECT_FALSE(is_taken(503, "later"));
}

TEST_F(PubsubMessagesTest, ABatchWithoutEntriesIsNoRequest) {
  PubsubMessages messages(options_, "gw");
  EXPECT_EQ(*messages.body(batch(Stream::readings, "")), "");
  OutgoingBatch broken = batch(Stream::readings, "");
  broken.payload = std::make_shared<const std::string>("{");
  EXPECT_EQ(messages.body(broken).error().code, ErrorCode::give_up_item);
}

}  // namespace
}  // namespace tidegate::uplink::testing
