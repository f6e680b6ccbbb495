#include "uplink/kafka/kafka_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/support/json_web_token.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;
using tidegate::testing::json_web_token;

const WallTime kNow{seconds(1'800'000'000)};

Result<KafkaToken> token_of(const std::string& body, long status = 200) {
  HttpAnswer answer;
  answer.status = status;
  answer.body = body;
  return kafka_token_of_answer(answer, kNow);
}

std::string error_of(const std::string& body, long status = 200) {
  const auto token = token_of(body, status);
  return token ? "none" : token.error().message;
}

std::string error_in_file(const std::string& text) {
  const auto token = kafka_token_of_file(text);
  return token ? "none" : token.error().message;
}

TEST(LoginToken, LastsAsLongAsTheEndpointSays) {
  const auto token = token_of(R"({"access_token":"opaque","token_type":"Bearer","expires_in":3599})");
  ASSERT_TRUE(token);
  EXPECT_EQ(token->value, "opaque");
  EXPECT_EQ(token->lasts, seconds(3599));
  EXPECT_EQ(token_of(R"({"access_token":"opaque","expires_in":"3599"})")->lasts, seconds(3599));
  EXPECT_EQ(token_of(R"({"access_token":"opaque","expires_in":3599.5})")->lasts, seconds(3599));
}

TEST(LoginToken, LastsAsLongAsItSaysItselfWhereTheEndpointDoesNot) {
  const std::string both = json_web_token(R"({"sub":"gw","iat":1000,"exp":1600})");
  EXPECT_EQ(token_of("{\"access_token\":\"" + both + "\"}")->lasts, seconds(600));
  EXPECT_EQ(token_of("{\"access_token\":\"" + both + "\"}")->subject, "gw");
  const std::string end = json_web_token(R"({"exp":1800000300})");
  EXPECT_EQ(token_of("{\"access_token\":\"" + end + "\"}")->lasts, seconds(300));
}

TEST(LoginToken, OfAnAnswerThatIsWrongIsNone) {
  EXPECT_THAT(error_of("<html>"), HasSubstr("no JSON object"));
  EXPECT_THAT(error_of("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(error_of(""), HasSubstr("no JSON object"));
  EXPECT_THAT(error_of(R"({"expires_in":3600})"), HasSubstr("without an \"access_token\""));
  EXPECT_THAT(error_of(R"({"access_token":"","expires_in":3600})"), HasSubstr("without an \"access_token\""));
  EXPECT_THAT(error_of(R"({"access_token":5,"expires_in":3600})"), HasSubstr("without an \"access_token\""));
  EXPECT_THAT(error_of(R"({"access_token":"a\u0001b","expires_in":3600})"), HasSubstr("characters which no token has"));
  EXPECT_THAT(error_of(R"({"access_token":"opaque"})"), HasSubstr("did not say how long"));
  EXPECT_THAT(error_of(R"({"access_token":"opaque","expires_in":0})"), HasSubstr("lasts 0 s: it must be more"));
  EXPECT_THAT(error_of(R"({"access_token":"opaque","expires_in":-3600})"), HasSubstr("lasts -3600 s"));
  EXPECT_THAT(error_of(R"({"access_token":"opaque","expires_in":"soon"})"), HasSubstr("no number of seconds"));
  EXPECT_TRUE(token_of(R"({"access_token":"opaque","expires_in":1e300})"));
}

TEST(LoginToken, SaysWhatTheEndpointCallsTheErrorAndNoMore) {
  const std::string said =
      error_of(R"({"error":"invalid_client","error_description":"AADSTS7000215: no","access_token":"opaque"})", 401);
  EXPECT_EQ(said, "answered 401: invalid_client: AADSTS7000215: no");
  EXPECT_EQ(error_of("<html>opaque</html>", 503), "answered 503");
  EXPECT_LT(error_of("{\"error\":\"" + std::string(100'000, 'x') + "\"}", 400).size(), 500U);
  EXPECT_THAT(error_of("{\"error\":\"a\\u001b[31mb\"}", 400), Not(HasSubstr("\x1b")));
}

TEST(LoginToken, ShowsNothingOfWhatWasSentWhereverItIsRepeated) {
  SentSecrets sent;
  sent.add("s3cr\xc3\xa4t/");
  HttpAnswer answer;
  answer.status = 400;
  for (std::size_t before = 280; before < 310; ++before) {
    answer.body = "{\"error\":\"" + std::string(before, 'x') + "s3cr\\u00e4t\\/\"}";
    EXPECT_THAT(kafka_token_of_answer(answer, kNow, sent).error().message, Not(HasSubstr("s3"))) << before;
  }
  answer.problem = "no host s3cr\xc3\xa4t/";
  EXPECT_EQ(kafka_token_of_answer(answer, kNow, sent).error().message, "gave no answer: no host (secret)");
}

TEST(LoginToken, ThatIsLongerThanAHeaderIsNone) {
  const std::string longest(std::size_t{16} * 1024, 'x');
  EXPECT_TRUE(token_of("{\"access_token\":\"" + longest + "\",\"expires_in\":60}"));
  EXPECT_THAT(error_of("{\"access_token\":\"" + longest + "x\",\"expires_in\":60}"),
              HasSubstr("more than 16384 bytes"));
  EXPECT_THAT(error_in_file(longest + "x"), HasSubstr("more than 16384 bytes"));
}

// Their difference is to fit into 64 bits of nanoseconds.
TEST(LoginToken, OfNoTimeThatThereIsHasRunOut) {
  const auto in_answer = [](const std::string& claims) {
    return error_of("{\"access_token\":\"" + json_web_token(claims) + "\"}");
  };
  EXPECT_THAT(in_answer(R"({"exp":-1e300})"), HasSubstr("lasts -1800000000 s: it must be more than 0"));
  EXPECT_THAT(in_answer(R"({"exp":-1e300,"iat":1e300})"), HasSubstr("lasts -9000000000 s"));
  EXPECT_EQ(in_answer(R"({"exp":1e300,"iat":-1e300})"), "none");
  EXPECT_EQ(kafka_token_of_file(json_web_token(R"({"exp":1e300,"iat":-1e300})"))->lasts, seconds(9'000'000'000));
  EXPECT_EQ(kafka_token_of_file(json_web_token(R"({"exp":-1e300,"iat":1e300})"))->ends, WallTime(seconds(0)));
}

TEST(LoginToken, OfAFileSaysWhenItBeginsAndEnds) {
  const auto token = kafka_token_of_file(json_web_token(R"({"sub":"gw","iat":1000,"exp":1600.5})"));
  ASSERT_TRUE(token);
  EXPECT_EQ(token->subject, "gw");
  EXPECT_EQ(token->begins, WallTime(seconds(1000)));
  EXPECT_EQ(token->ends, WallTime(seconds(1600)));
  EXPECT_EQ(kafka_token_of_file(json_web_token(R"({"nbf":900,"iat":1000,"exp":1e300})"))->begins,
            WallTime(seconds(900)));
}

TEST(LoginToken, OfAFileHasToSayWhenItEnds) {
  EXPECT_THAT(error_in_file(json_web_token(R"({"sub":"gw"})")), HasSubstr("no claim \"exp\""));
  EXPECT_THAT(error_in_file(json_web_token(R"({"exp":"soon"})")), HasSubstr("no claim \"exp\""));
  EXPECT_THAT(error_in_file(json_web_token("[]")), HasSubstr("is no JWT"));
  EXPECT_THAT(error_in_file("opaque"), HasSubstr("is no JWT"));
  EXPECT_THAT(error_in_file("a.b.c"), HasSubstr("is no JWT"));
  EXPECT_THAT(error_in_file("Bearer " + json_web_token(R"({"exp":1600})")), HasSubstr("is no JWT"));
}

// Whatever of it is cut off or altered.
TEST(LoginToken, OfADamagedFileIsNeverShown) {
  const std::string whole = json_web_token(R"({"sub":"gateway-17","iat":1000,"exp":1600})");
  const std::string claims = whole.substr(whole.find('.') + 1, 10);
  std::size_t refused = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const std::string& text : {whole.substr(0, at), whole.substr(0, at) + '!' + whole.substr(at + 1)}) {
      const std::string said = error_in_file(text);
      refused += said == "none" ? 0U : 1U;
      for (const std::string& part : {whole.substr(0, 10), claims, std::string("gateway-17")}) {
        EXPECT_EQ(said.find(part), std::string::npos) << said;
      }
    }
  }
  EXPECT_GT(refused, whole.size()) << "of two for each place";
}

}  // namespace
}  // namespace tidegate::uplink::testing
