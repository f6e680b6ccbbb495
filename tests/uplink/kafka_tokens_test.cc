#include "uplink/kafka/kafka_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/http_server.h"
#include "tests/support/json_web_token.h"
#include "tests/support/network.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/wait_until.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using tidegate::testing::free_port;
using tidegate::testing::http_reply;
using tidegate::testing::HttpRequestSeen;
using tidegate::testing::HttpScriptedReply;
using tidegate::testing::json_web_token;
using tidegate::testing::ScriptedHttpServer;
using tidegate::testing::TemporaryDirectory;
using tidegate::testing::wait_until;
using tidegate::testing::write_file;

constexpr seconds kPatience{20};

// What a client was given, instead of one.
struct Given {
  std::vector<std::string> tokens;
  std::string principal;
  std::vector<std::string> extensions;
  std::string refusal;  // of all that come
};
Given& given() {
  static Given one;
  return one;
}

rd_kafka_resp_err_t take_token(rd_kafka_t* /*client*/, const char* token, std::int64_t /*ends*/, const char* principal,
                               const char** extensions, std::size_t extension_count, char* problem, std::size_t bytes) {
  if (!given().refusal.empty()) {
    std::snprintf(problem, bytes, "%s", given().refusal.c_str());
    return RD_KAFKA_RESP_ERR__INVALID_ARG;
  }
  given().tokens.emplace_back(token);
  given().principal = principal;
  given().extensions.assign(extensions, extensions + extension_count);
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

std::string token_answer(const std::string& token, int lasts) {
  return "{\"access_token\":\"" + token + "\",\"token_type\":\"Bearer\",\"expires_in\":" + std::to_string(lasts) + "}";
}

// Nothing of librdkafka is called, which the thread sanitizer does not bear: so its name is not in that of the suite.
class LoginTokensTest : public ::testing::Test {
 protected:
  LoginTokensTest() {
    given() = {};
    library_.oauthbearer_set_token_ = take_token;
    write_file(directory_ / "secret", "s3cr&t\n");
    options_.forwarder.name = "fleet";
    auto& login = options_.login.emplace();
    login.mechanism = "OAUTHBEARER";
    login.token.url = server_.url("/oauth2/token");
    login.token.client_id = "gw:17";
    login.token.client_secret = {"", "", directory_ / "secret", true};
  }

  void start() {
    tokens_ = std::make_unique<KafkaTokens>(options_, "gw", least_);
    const auto started = tokens_->start([] {});
    ASSERT_TRUE(started) << started.error().message;
  }
  void start_with_file(const std::string& text) {
    write_file(directory_ / "token", text);
    options_.login->token = {};
    options_.login->token.file = directory_ / "token";
    start();
  }
  const std::vector<std::string>& handed_over() {
    tokens_->hand_over(library_, nullptr, version_);
    return given().tokens;
  }
  bool wait_for_tokens(std::size_t count) {
    return wait_until([&] { return handed_over().size() >= count; }, kPatience);
  }
  bool wait_for_explanation(const std::string& part) {
    return wait_until([&] { return tokens_->explain("down", true).find(part) != std::string::npos; }, kPatience);
  }
  void answer(HttpScriptedReply reply) {
    const std::lock_guard lock(mutex_);
    reply_ = std::move(reply);
  }
  std::vector<HttpRequestSeen> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  const TemporaryDirectory directory_;
  std::mutex mutex_;
  HttpScriptedReply reply_ = http_reply(200, token_answer("first", 3600));
  std::vector<HttpRequestSeen> requests_;
  ScriptedHttpServer server_{[this](const HttpRequestSeen& request) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    return reply_;
  }};
  KafkaUplinkOptions options_;
  KafkaLibrary library_;
  std::uint64_t version_ = 0;
  Duration least_ = seconds(1);
  std::unique_ptr<KafkaTokens> tokens_;
};

TEST_F(LoginTokensTest, AsksTheEndpointAsTheClientThatItIs) {
  options_.login->token.scope = "api://kafka/.default more";
  options_.login->token.extensions = {{"logicalCluster", "lkc-1"}, {"identityPoolId", "pool-1"}};
  start();
  ASSERT_TRUE(wait_for_tokens(1));
  const HttpRequestSeen request = requests().at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/oauth2/token");
  EXPECT_EQ(request.header("content-type"), "application/x-www-form-urlencoded");
  EXPECT_EQ(request.header("authorization"), "Basic Z3clM0ExNzpzM2NyJTI2dA==");  // gw%3A17:s3cr%26t
  EXPECT_EQ(request.body, "grant_type=client_credentials&scope=api%3A%2F%2Fkafka%2F.default%20more");
  EXPECT_THAT(given().tokens, ElementsAre("first"));
  EXPECT_EQ(given().principal, "gw:17");
  EXPECT_THAT(given().extensions, ElementsAre("logicalCluster", "lkc-1", "identityPoolId", "pool-1"));
  EXPECT_EQ(tokens_->explain("down", true), "down");
  handed_over();
  EXPECT_EQ(given().tokens.size(), 1U);
}

TEST_F(LoginTokensTest, HasANewTokenBeforeTheOldOneRunsOutWithTheSecretAsItIsThen) {
  answer(http_reply(200, token_answer("first", 3)));
  start();
  ASSERT_TRUE(wait_for_tokens(1));
  const auto began = std::chrono::steady_clock::now();
  write_file(directory_ / "secret", "another");
  answer(http_reply(200, token_answer("second", 3600)));
  ASSERT_TRUE(wait_for_tokens(2));
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(2900));
  EXPECT_EQ(given().tokens.back(), "second");
  EXPECT_EQ(requests().back().header("authorization"), "Basic Z3clM0ExNzphbm90aGVy");
}

TEST_F(LoginTokensTest, SaysWhyThereIsNoTokenAndTriesAgain) {
  answer(http_reply(401, R"({"error":"invalid_client","error_description":"who are you"})"));
  start();
  ASSERT_TRUE(wait_for_explanation("answered 401"));
  EXPECT_EQ(tokens_->explain("down", true),
            "no token for the login: " + server_.url("/oauth2/token") + " answered 401: invalid_client: who are you");
  EXPECT_EQ(tokens_->explain("", true), "");
  EXPECT_THAT(tokens_->explain("the topic is gone", false), StartsWith("the topic is gone; no token for the login: "));
  EXPECT_TRUE(handed_over().empty());
  answer(http_reply(200, token_answer("first", 3600)));
  ASSERT_TRUE(wait_for_tokens(1));
  EXPECT_TRUE(wait_until([&] { return tokens_->explain("down", true) == "down"; }, kPatience));
}

TEST_F(LoginTokensTest, TakesNothingFromAnEndpointThatIsAwayOrTalksWithoutEnd) {
  answer(
      {"HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"" + std::string(2'000, 'x'), HttpScriptedReply::Then::repeat_bytes});
  start();
  ASSERT_TRUE(wait_for_explanation("no JSON object"));
  server_.stop();
  ASSERT_TRUE(wait_for_explanation("gave no answer"));
  EXPECT_TRUE(handed_over().empty());
}

TEST_F(LoginTokensTest, StopsAtOnceWhereTheEndpointSaysNothing) {
  answer({"HTTP/1.1 200 OK\r\n", HttpScriptedReply::Then::say_nothing});
  start();
  ASSERT_TRUE(wait_until([&] { return !requests().empty(); }, kPatience));
  const auto began = std::chrono::steady_clock::now();
  tokens_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(2));
}

TEST_F(LoginTokensTest, ShowsNoSecretThatTheEndpointRepeats) {
  answer(http_reply(400, R"({"error":"no s3cr&t","error_description":"not s3cr%26t nor Z3clM0ExNzpzM2NyJTI2dA=="})"));
  start();
  ASSERT_TRUE(wait_for_explanation("answered 400"));
  EXPECT_THAT(tokens_->explain("down", true), EndsWith("answered 400: no (secret): not (secret) nor (secret)"));
}

// It was the right one when it was asked, and may be still.
TEST_F(LoginTokensTest, ShowsNoSecretOfBeforeEither) {
  const std::string padding(295, 'x');
  answer(http_reply(400, "{\"error\":\"" + padding + "s3cr&t\"}"));
  start();
  ASSERT_TRUE(wait_for_explanation("answered 400"));
  EXPECT_THAT(tokens_->explain("down", true), Not(HasSubstr("s3")));
  write_file(directory_ / "secret", "s3");
  answer(http_reply(403, R"({"error":"not s3 but s3cr&t"})"));
  ASSERT_TRUE(wait_for_explanation("answered 403"));
  EXPECT_THAT(tokens_->explain("down", true), EndsWith("answered 403: not (secret) but (secret)"));
}

TEST_F(LoginTokensTest, SaysThatTheLibraryDoesNotTakeTheTokenUntilItTakesOne) {
  given().refusal = "no \xff";
  options_.login->token.url = server_.url("/oauth2/token");
  answer(http_reply(200, token_answer("first", 2)));
  start();
  ASSERT_TRUE(wait_until(
      [&] {
        handed_over();
        return requests().size() >= 3;
      },
      kPatience));
  EXPECT_EQ(tokens_->explain("down", true), "librdkafka does not take the token: no \\xff");
  given().refusal.clear();
  answer(http_reply(200, token_answer("second", 3600)));
  ASSERT_TRUE(wait_for_tokens(1));
  EXPECT_EQ(tokens_->explain("down", true), "down");
}

TEST_F(LoginTokensTest, AsksAtLengthForTokensThatLastForSecondsAndSaysSo) {
  least_ = TokenSchedule::kLeast;
  answer(http_reply(200, token_answer("first", 1)));
  start();
  ASSERT_TRUE(wait_for_explanation("last 1 s, and one is fetched every 10s at most"));
  EXPECT_EQ(requests().size(), 1U);
  EXPECT_EQ(handed_over().size(), 1U);
}

TEST_F(LoginTokensTest, SaysThatTheSecretIsNotThere) {
  options_.login->token.client_secret.secret_file = directory_ / "absent";
  start();
  ASSERT_TRUE(wait_for_explanation("absent cannot be read"));
  EXPECT_TRUE(requests().empty());
}

TEST_F(LoginTokensTest, GoesOnWithATokenUntilItHasRunOut) {
  answer(http_reply(200, token_answer("first", 4)));
  start();
  ASSERT_TRUE(wait_for_tokens(1));
  answer(http_reply(503));
  ASSERT_TRUE(wait_for_explanation("answered 503"));
  EXPECT_THAT(tokens_->explain("down", true), AllOf(StartsWith("down; no token for the login: "), EndsWith("503")));
  EXPECT_TRUE(wait_until([&] { return tokens_->explain("down", true).starts_with("no token"); }, kPatience));
}

std::string lasting(std::int64_t from, std::int64_t to) {
  const std::int64_t now = std::chrono::floor<seconds>(SystemClock().wall_now().time_since_epoch()).count();
  return json_web_token(R"({"sub":"fleet-gw","iat":)" + std::to_string(now + from) +
                        ",\"exp\":" + std::to_string(now + to) + "}");
}

TEST_F(LoginTokensTest, TakesTheTokenOfAFileWheneverThereIsAnother) {
  const std::string first = lasting(0, 60);
  const std::string second = lasting(0, 120);
  start_with_file(first + "\n");
  ASSERT_TRUE(wait_for_tokens(1));
  EXPECT_EQ(given().principal, "fleet-gw");
  EXPECT_EQ(tokens_->explain("down", true), "down");
  write_file(directory_ / "token", second);
  ASSERT_TRUE(wait_for_tokens(2));
  EXPECT_THAT(given().tokens, ElementsAre(first, second));
}

// The clock of this machine may be the one that is wrong.
TEST_F(LoginTokensTest, UsesATokenThatHasRunOutAndSaysSo) {
  start_with_file(lasting(-7200, -3600));
  ASSERT_TRUE(wait_for_tokens(1));
  ASSERT_TRUE(wait_for_explanation("ran out at"));
  EXPECT_THAT(tokens_->explain("down", true),
              AllOf(StartsWith("down; the token in " + (directory_ / "token") + " ran out at 20"),
                    HasSubstr(", and the clock of this gateway says 20"), EndsWith(": renew it")));
}

TEST_F(LoginTokensTest, UsesATokenOfALaterTimeAndDoubtsTheClock) {
  start_with_file(lasting(86'400, 90'000));
  ASSERT_TRUE(wait_for_tokens(1));
  ASSERT_TRUE(wait_for_explanation("the clock of this gateway says"));
  EXPECT_THAT(tokens_->explain("down", true), EndsWith(": is it set?"));
}

TEST_F(LoginTokensTest, TakesNoTokenOfWhichNobodyKnowsTheEnd) {
  const std::string endless = json_web_token(R"({"sub":"gw"})");
  start_with_file(endless);
  ASSERT_TRUE(wait_for_explanation("has no claim \"exp\""));
  EXPECT_THAT(tokens_->explain("down", true), AllOf(StartsWith("the token in "), Not(HasSubstr(endless))));
  EXPECT_TRUE(handed_over().empty());
}

TEST_F(LoginTokensTest, DoesNothingForAnotherLogin) {
  options_.login->mechanism = "PLAIN";
  start();
  EXPECT_TRUE(handed_over().empty());
  EXPECT_EQ(tokens_->explain("down", true), "down");
  tokens_->stop();
  EXPECT_TRUE(requests().empty());
}

}  // namespace
}  // namespace tidegate::uplink::testing
