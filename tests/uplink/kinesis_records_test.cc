#include "uplink/kinesis_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "uplink/byte_text.h"

namespace tidegate::uplink::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class KinesisRecordsTest : public ::testing::Test {
 protected:
  KinesisRecordsTest() {
    options_.aws.stream = "{gateway}-{stream}";
    records_ = std::make_unique<KinesisRecords>(options_, "gw");
  }

  static OutgoingBatch batch(std::uint64_t id, const std::vector<std::string>& tags) {
    std::string entries;
    for (std::size_t i = 0; i < tags.size(); ++i) entries += (i == 0 ? "" : ",") + entry(i, tags[i]);
    OutgoingBatch batch;
    batch.id = id;
    batch.epoch = 3;
    batch.to = tags.size();
    batch.count = static_cast<std::uint32_t>(tags.size());
    batch.payload = std::make_shared<const std::string>("{\"v\":1,\"sent\":5,\"readings\":[" + entries + "]}");
    return batch;
  }
  static std::string entry(std::size_t seq, const std::string& tag) {
    return "{\"seq\":" + std::to_string(seq) + ",\"tag\":\"" + tag + "\",\"value\":1}";
  }
  static std::string record(std::size_t seq, const std::string& tag) {
    const std::string line = R"({"gateway":"gw","stream":"readings","epoch":3,)" + entry(seq, tag).substr(1);
    return "{\"Data\":\"" + base64(line) + "\",\"PartitionKey\":\"" + tag + "\"}";
  }
  static std::string body_of(const std::vector<std::string>& records) {
    std::string text = "{\"StreamName\":\"gw-readings\",\"Records\":[";
    for (std::size_t i = 0; i < records.size(); ++i) text += (i == 0 ? "" : ",") + records[i];
    return text + "]}";
  }
  // Which of them fail, with '-'.
  static HttpAnswer answer(const std::string& marks) {
    HttpAnswer answer;
    answer.status = 200;
    const auto failed = std::count(marks.begin(), marks.end(), '-');
    answer.body = "{\"FailedRecordCount\":" + std::to_string(failed) + ",\"Records\":[";
    for (std::size_t i = 0; i < marks.size(); ++i) {
      answer.body += i == 0 ? "" : ",";
      answer.body += marks[i] == '-' ? R"({"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"slow"})"
                                     : R"({"SequenceNumber":"49","ShardId":"shardId-000000000000"})";
    }
    answer.body += "]}";
    return answer;
  }
  static HttpAnswer ok(const std::string& body) {
    HttpAnswer answer;
    answer.status = 200;
    answer.body = body;
    return answer;
  }
  static HttpAnswer error(long status, const std::string& type) {
    HttpAnswer answer;
    answer.status = status;
    answer.body = "{\"__type\":\"" + type + "\",\"message\":\"m\"}";
    return answer;
  }

  HttpUplinkOptions options_;
  std::unique_ptr<KinesisRecords> records_;
};

TEST_F(KinesisRecordsTest, ARecordIsALineWithTheTagForAKey) {
  EXPECT_EQ(*records_->body(batch(1, {"a", "b"})), body_of({record(0, "a"), record(1, "b")}));
  const HttpVerdict verdict = records_->judge(batch(1, {"a", "b"}), answer("++"));
  EXPECT_TRUE(verdict.acknowledged);
}

TEST_F(KinesisRecordsTest, ABatchWithoutEntriesIsNoRequest) { EXPECT_EQ(*records_->body(batch(1, {})), ""); }

TEST_F(KinesisRecordsTest, WhatWasNotTakenComesAgainWithAllBehindItOfItsKeyAndNothingElse) {
  const std::vector<std::string> tags{"a", "b", "a", "b", "a", "c"};
  ASSERT_TRUE(records_->body(batch(1, tags)));
  const HttpVerdict verdict = records_->judge(batch(1, tags), answer("++-+++"));
  EXPECT_FALSE(verdict.acknowledged);
  EXPECT_EQ(verdict.failure, (BatchFailure{.progressed = true}));
  EXPECT_EQ(verdict.trouble, "the target did not take 2 of 6 records: ProvisionedThroughputExceededException: slow");
  EXPECT_TRUE(verdict.may_pass);
  EXPECT_EQ(*records_->body(batch(2, tags)), body_of({record(2, "a"), record(4, "a")}));
  EXPECT_FALSE(records_->judge(batch(2, tags), answer("+-")).acknowledged);
  EXPECT_EQ(*records_->body(batch(3, tags)), body_of({record(4, "a")}));
  EXPECT_TRUE(records_->judge(batch(3, tags), answer("+")).acknowledged);
  EXPECT_EQ(*records_->body(batch(4, {"a", "b"})), body_of({record(0, "a"), record(1, "b")}));
}

TEST_F(KinesisRecordsTest, WhatWasTakenIsRememberedWhileTheTargetIsAway) {
  ASSERT_TRUE(records_->body(batch(1, {"a", "b"})));
  EXPECT_FALSE(records_->judge(batch(1, {"a", "b"}), answer("+-")).acknowledged);
  ASSERT_TRUE(records_->body(batch(2, {"a", "b"})));
  EXPECT_FALSE(records_->judge(batch(2, {"a", "b"}), error(500, "InternalFailure")).acknowledged);
  EXPECT_EQ(*records_->body(batch(3, {"a", "b"})), body_of({record(1, "b")}));
}

TEST_F(KinesisRecordsTest, AReplaySendsWhatWasTakenToo) {
  ASSERT_TRUE(records_->body(batch(1, {"a", "b"})));
  EXPECT_FALSE(records_->judge(batch(1, {"a", "b"}), answer("+-")).acknowledged);
  OutgoingBatch replay = batch(2, {"a", "b"});
  replay.replay = true;
  EXPECT_EQ(*records_->body(replay), body_of({record(0, "a"), record(1, "b")}));
}

TEST_F(KinesisRecordsTest, AnAnswerThatNamesNotEachRecordIsNone) {
  for (const std::string& body : {std::string(), std::string("{}"), std::string("<html>"), answer("+").body,
                                  std::string(R"({"FailedRecordCount":0,"Records":[{},{}]})")}) {
    ASSERT_TRUE(records_->body(batch(1, {"a", "b"})));
    const HttpVerdict verdict = records_->judge(batch(1, {"a", "b"}), ok(body));
    EXPECT_FALSE(verdict.acknowledged) << body;
    EXPECT_THAT(verdict.trouble, ::testing::Not(IsEmpty()));
  }
  ASSERT_TRUE(records_->body(batch(1, {"a"})));
  HttpAnswer empty;
  empty.status = 204;
  EXPECT_FALSE(records_->judge(batch(1, {"a"}), empty).acknowledged);
}

TEST_F(KinesisRecordsTest, TakenIsOnlyWhatHasANumberAndNoError) {
  const std::string taken = R"({"SequenceNumber":"49","ShardId":"s"})";
  for (const std::string& other :
       {std::string(R"({"SequenceNumber":""})"), std::string(R"({"SequenceNumber":null})"), std::string("5"),
        std::string(R"({"SequenceNumber":"49","ErrorCode":""})"), std::string(R"({"ErrorCode":"","ErrorMessage":"m"})"),
        std::string(R"({"SequenceNumber":"49","ErrorCode":7})")}) {
    ASSERT_TRUE(records_->body(batch(1, {"a", "b"})));
    const HttpVerdict verdict = records_->judge(
        batch(1, {"a", "b"}), ok("{\"FailedRecordCount\":0,\"Records\":[" + taken + "," + other + "]}"));
    EXPECT_FALSE(verdict.acknowledged) << other;
    EXPECT_EQ(*records_->body(batch(2, {"a", "b"})), body_of({record(1, "b")})) << other;
    EXPECT_TRUE(records_->judge(batch(2, {"a", "b"}), answer("+")).acknowledged);
  }
  ASSERT_TRUE(records_->body(batch(3, {"a"})));
  const std::string with_null = R"({"SequenceNumber":"49","ErrorCode":null,"ErrorMessage":null})";
  EXPECT_TRUE(records_->judge(batch(3, {"a"}), ok("{\"Records\":[" + with_null + "]}")).acknowledged);
}

TEST_F(KinesisRecordsTest, AFailureThatIsCountedAndNotNamedIsOne) {
  ASSERT_TRUE(records_->body(batch(1, {"a"})));
  const HttpVerdict verdict =
      records_->judge(batch(1, {"a"}), ok(R"({"FailedRecordCount":1,"Records":[{"SequenceNumber":"49"}]})"));
  EXPECT_FALSE(verdict.acknowledged);
  EXPECT_THAT(verdict.trouble, HasSubstr("not what Kinesis says"));
  EXPECT_EQ(*records_->body(batch(2, {"a"})), body_of({record(0, "a")}));
}

TEST_F(KinesisRecordsTest, OnlyWhatTookAPartHasProgressed) {
  ASSERT_TRUE(records_->body(batch(1, {"a", "b"})));
  EXPECT_FALSE(records_->judge(batch(1, {"a", "b"}), answer("--")).failure.progressed);
  ASSERT_TRUE(records_->body(batch(2, {"a", "b"})));
  EXPECT_TRUE(records_->judge(batch(2, {"a", "b"}), answer("-+")).failure.progressed);
  ASSERT_TRUE(records_->body(batch(3, {"a", "b"})));
  EXPECT_FALSE(records_->judge(batch(3, {"a", "b"}), answer("-")).failure.progressed);
}

TEST_F(KinesisRecordsTest, OfErrorsWithFourHundredTheTypeSaysWhoseFaultItIs) {
  const auto verdict = [&](const std::string& type) {
    EXPECT_TRUE(records_->body(batch(1, {"a", "b"})));
    return records_->judge(batch(1, {"a", "b"}), error(400, type));
  };
  const HttpVerdict slow = verdict("com.amazonaws.kinesis.v20131202#ProvisionedThroughputExceededException");
  EXPECT_THAT(slow.failure.refusal, IsEmpty());
  EXPECT_TRUE(slow.may_pass);
  const HttpVerdict bad = verdict("ValidationException");
  EXPECT_THAT(bad.failure.refusal, HasSubstr("400"));
  for (const char* type : {"AccessDeniedException", "ResourceNotFoundException", "InvalidSignatureException",
                           "ExpiredTokenException", "UnrecognizedClientException", "something new"}) {
    const HttpVerdict other = verdict(type);
    EXPECT_FALSE(other.acknowledged);
    EXPECT_THAT(other.failure.refusal, IsEmpty()) << "no record is to blame for " << type;
    EXPECT_THAT(other.trouble, HasSubstr(type));
  }
  EXPECT_THAT(verdict("InvalidSignatureException").trouble, HasSubstr("the clock of this machine"));
}

TEST_F(KinesisRecordsTest, AKeyThatIsTooLongIsItsDigest) {
  const std::string body = *records_->body(batch(1, {std::string(257, 'x')}));
  EXPECT_THAT(body, ::testing::ContainsRegex("\"PartitionKey\":\"[0-9a-f]{64}\"}"));
}

TEST(ByteTextTest, IsBase64OfEveryLength) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xff\xfe\xfd\xfb"), "//79+w==");
}

}  // namespace
}  // namespace tidegate::uplink::testing
