#include "uplink/aws_signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <string>

#include "core/text.h"
#include "tests/support/process_under_test.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/wait_until.h"
#include "uplink/aws_signer.h"
#include "uplink/byte_text.h"

namespace tidegate::uplink::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using tidegate::testing::run_to_end;
using tidegate::testing::TemporaryDirectory;
using tidegate::testing::write_file;

const WallTime kThen{std::chrono::seconds(1'440'938'160)};  // 2015-08-30T12:36:00Z

// "get-vanilla" of the test suite that AWS published for its signatures.
TEST(AwsSignatureTest, IsWhatAwsSaysForItsOwnExample) {
  AwsRequest request;
  request.method = "GET";
  request.headers = {{"host", "example.amazonaws.com"}, {"x-amz-date", aws_date(kThen)}};
  EXPECT_EQ(aws_date(kThen), "20150830T123600Z");
  EXPECT_EQ(
      aws_authorization({"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}, "us-east-1", "service", request),
      "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
      "SignedHeaders=host;x-amz-date, "
      "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

class AwsSignerTest : public ::testing::Test {
 protected:
  AwsSignerTest() {
    options_.aws.region = "eu-central-1";
    options_.aws.access_key_id.value = "AKIDEXAMPLE";
    options_.aws.secret_access_key = {"", "secret/+canary", "", true};
  }

  // What the verifier says of a request with these headers beside our own.
  std::string verdict(const std::string& url, const std::string& host, const std::string& body,
                      const std::string& sent_body, const std::string& secret = "secret/+canary") {
    AwsSigner signer(options_);
    const auto lines = signer.lines(url, body, kThen);
    EXPECT_TRUE(lines) << lines.error().message;
    std::string headers = "{\"Host\":\"" + host + "\",\"Content-Type\":\"application/x-amz-json-1.1\"";
    for (const std::string& line : *lines) {
      headers += ",\"" + line.substr(0, line.find(':')) + "\":";
      append_json_string(headers, line.substr(line.find(':') + 2));
    }
    write_file(directory_ / "request.json", "{\"method\":\"POST\",\"target\":\"/\",\"headers\":" + headers +
                                                "},\"body\":\"" + hexadecimal(sent_body) +
                                                "\",\"region\":\"eu-central-1\",\"service\":\"kinesis\",\"keys\":" +
                                                "{\"AKIDEXAMPLE\":\"" + secret + "\"}}");
    return run_to_end({"/usr/bin/python3", "-B", TIDEGATE_AWS_VERIFIER, directory_ / "request.json"}).output;
  }

  HttpUplinkOptions options_;
  TemporaryDirectory directory_;
};

TEST_F(AwsSignerTest, SignsWhatAnIndependentReaderOfTheDocumentationFindsGood) {
  const std::string body = R"({"StreamName":"s","Records":[{"Data":"e30=","PartitionKey":"a/b °C"}]})";
  for (const auto& [url, host] : std::map<std::string, std::string>{
           {"https://kinesis.eu-central-1.amazonaws.com/", "kinesis.eu-central-1.amazonaws.com"},
           {"https://kinesis.eu-central-1.amazonaws.com", "kinesis.eu-central-1.amazonaws.com"},
           {"https://h:443/", "h"},
           {"https://h:80/", "h:80"},
           {"http://127.0.0.1:4567/", "127.0.0.1:4567"}}) {
    EXPECT_EQ(verdict(url, host, body, body), "good\n") << url;
  }
  options_.aws.session_token = {"", "the token=", "", true};
  EXPECT_EQ(verdict("https://h/", "h", body, body), "good\n");
}

TEST_F(AwsSignerTest, ASignatureIsOfThatBodyAndKey) {
  EXPECT_EQ(verdict("https://h/", "h", "a", "b"), "another signature\n");
  EXPECT_EQ(verdict("https://h/", "other", "a", "a"), "another signature\n");
  EXPECT_EQ(verdict("https://h/", "h", "a", "a", "another"), "another signature\n");
}

TEST_F(AwsSignerTest, CredentialsAreReadAnewAndNeverShown) {
  write_file(directory_ / "secret", "first-canary\n");
  options_.aws.secret_access_key = {"", "first-canary", directory_ / "secret", true};
  AwsSigner signer(options_);
  const auto first = signer.lines("https://h/", "x", kThen);
  write_file(directory_ / "secret", "second-canary\n");
  const auto second = signer.lines("https://h/", "x", kThen);
  EXPECT_NE(first->front(), second->front());
  EXPECT_THAT(signer.redact("you sent second-canary"), Not(HasSubstr("canary")));
  EXPECT_THAT(signer.redact("you sent first-canary"), Not(HasSubstr("canary"))) << "in an answer to an earlier request";
  write_file(directory_ / "secret", "");
  EXPECT_THAT(signer.lines("https://h/", "x", kThen).error().message, HasSubstr("secret is empty"));
}

}  // namespace
}  // namespace tidegate::uplink::testing
