#include "uplink/http_headers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temporary_directory.h"

namespace tidegate::uplink {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using tidegate::testing::TemporaryDirectory;
using tidegate::testing::write_file;

OutgoingBatch batch() {
  OutgoingBatch batch;
  batch.stream = Stream::alarms;
  batch.epoch = 3;
  batch.from = 17;
  batch.to = 42;
  return batch;
}

class HttpHeadersTest : public ::testing::Test {
 protected:
  HttpHeadersTest() {
    options_.forwarder.name = "lake";
    options_.headers = {{"X-Site", "north", "", false}, {"Authorization", "Bearer old-token", secret_, true}};
    write_file(secret_, "Bearer first-token\n");
  }

  TemporaryDirectory directory_;
  const std::string secret_ = directory_ / "secret";
  HttpUplinkOptions options_;
};

TEST_F(HttpHeadersTest, NameTheBatch) {
  HttpHeaders headers(options_, "plant-7");
  const auto lines = headers.lines(batch());
  ASSERT_TRUE(lines);
  for (const char* line :
       {"tidegate-gateway: plant-7", "tidegate-stream: alarms", "tidegate-epoch: 3", "tidegate-from: 17",
        "tidegate-to: 42", "Idempotency-Key: plant-7/lake/alarms/3/17-42", "Content-Type: application/json",
        "X-Site: north", "User-Agent: tidegate/" TIDEGATE_VERSION, "Authorization: Bearer first-token"}) {
    EXPECT_THAT(*lines, Contains(line));
  }
}

TEST_F(HttpHeadersTest, TheKeyOfABatchIsPlainTextWhateverTheGatewayIsCalled) {
  EXPECT_EQ(idempotency_key("Werk \xc3\x9c", "l", batch()), "Werk%20%C3%9C/l/alarms/3/17-42");
}

TEST_F(HttpHeadersTest, ReadSecretsAnewForEachRequest) {
  HttpHeaders headers(options_, "plant-7");
  ASSERT_TRUE(headers.lines(batch()));
  write_file(secret_, "Bearer second-token\r\n");
  EXPECT_THAT(*headers.lines(batch()), Contains("Authorization: Bearer second-token"));
}

TEST_F(HttpHeadersTest, SayWhichSecretCannotBeReadAndNotWhatItIs) {
  HttpHeaders headers(options_, "plant-7");
  std::filesystem::remove(secret_);
  EXPECT_THAT(headers.lines(batch()).error().message, HasSubstr("/secret cannot be read: No such file"));
  write_file(secret_, "\n");
  EXPECT_THAT(headers.lines(batch()).error().message, HasSubstr("is empty"));
  write_file(secret_, "Bearer a\nX-Other: b\n");
  const std::string message = headers.lines(batch()).error().message;
  EXPECT_THAT(message, HasSubstr("control characters"));
  EXPECT_EQ(message.find("Bearer"), std::string::npos);
  std::filesystem::remove(secret_);
  std::filesystem::create_directory(secret_);
  EXPECT_THAT(headers.lines(batch()).error().message, HasSubstr("not in a regular file"));
}

TEST_F(HttpHeadersTest, TakeOutWhatAnEarlierRequestHadThatIsAnsweredOnlyNow) {
  HttpHeaders headers(options_, "plant-7");
  ASSERT_TRUE(headers.lines(batch()));
  write_file(secret_, "Bearer second-token\n");
  ASSERT_TRUE(headers.lines(batch()));
  EXPECT_EQ(headers.redact("got Bearer first-token, second-token!"), "got (secret), (secret)!");
}

TEST_F(HttpHeadersTest, TakeOutEachOfManySecrets) {
  options_.headers.clear();
  for (int i = 0; i < 20; ++i) {
    options_.headers.push_back({"X-" + std::to_string(i), "Token secret-" + std::to_string(100 + i), "", true});
  }
  HttpHeaders headers(options_, "plant-7");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(headers.lines(batch()));
  for (const HttpHeader& header : options_.headers) EXPECT_EQ(headers.redact("got " + header.value), "got (secret)");
}

TEST_F(HttpHeadersTest, RefuseASecretThatIsTooLargeAndDoNotCutIt) {
  HttpHeaders headers(options_, "plant-7");
  write_file(secret_, std::string(std::size_t{64} * 1024, 'x'));
  EXPECT_TRUE(headers.lines(batch()));
  write_file(secret_, std::string(std::size_t{64} * 1024 + 1, 'x'));
  const auto lines = headers.lines(batch());
  ASSERT_FALSE(lines);
  EXPECT_THAT(lines.error().message, HasSubstr("/secret is larger than 64KiB"));
}

TEST_F(HttpHeadersTest, WhatATargetRepeatsOfASecretIsTakenOut) {
  HttpHeaders headers(options_, "plant-7");
  ASSERT_TRUE(headers.lines(batch()));
  EXPECT_EQ(headers.redact("got Bearer first-token, first-token!"), "got (secret), (secret)!");
  EXPECT_EQ(headers.redact("from north"), "from north");
}

}  // namespace
}  // namespace tidegate::uplink
