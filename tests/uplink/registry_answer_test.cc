#include "uplink/avro/registry_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tidegate::uplink {
namespace {

using ::testing::HasSubstr;

RegistryVerdict judge(long status, const std::string& body, bool registers = true, const std::string& location = "") {
  HttpAnswer answer;
  answer.status = status;
  answer.body = body;
  answer.location = location;
  return judge_registry_answer({"https://r:8081", "plant-value", registers}, answer);
}

TEST(RegistryAnswerTest, AnIdIsAWholeNumberOf31Bits) {
  EXPECT_EQ(judge(200, R"({"id":7})").id, 7);
  EXPECT_EQ(judge(200, R"({"subject":"s","version":3,"id":2147483647,"schema":"{\"id\":1}"})").id, 2147483647);
  EXPECT_EQ(judge(201, R"({"id":0})").id, 0);
  for (const char* const id : {"-1", "2147483648", "1.0", "\"7\"", "null", "[7]", "18446744073709551615"}) {
    const auto verdict = judge(200, std::string(R"({"id":)") + id + "}");
    EXPECT_EQ(verdict.id, std::nullopt) << id;
    EXPECT_THAT(verdict.trouble, HasSubstr("the schema registry https://r:8081 gives an id that is none of 0 to"))
        << id;
    EXPECT_THAT(verdict.trouble, HasSubstr(std::string(id).substr(0, 9))) << id;
  }
}

TEST(RegistryAnswerTest, WhatIsNoAnswerOfARegistryIsShown) {
  for (const char* const body :
       {"", "<html>Login</html>", "{}", "7", R"({"version":1})", "{\"id\":7", R"({"id":99999999999999999999})"}) {
    const auto verdict = judge(200, body);
    EXPECT_EQ(verdict.id, std::nullopt) << body;
    EXPECT_THAT(verdict.trouble, HasSubstr("is \"url\" right? " + std::string(body).substr(0, 6)));
    EXPECT_FALSE(verdict.may_ask_another);
  }
}

TEST(RegistryAnswerTest, SaysWhatHelpsInTheRegistrysOwnWords) {
  const std::string body = R"({"error_code":1,"message":"so it says"})";
  EXPECT_THAT(judge(401, body).trouble, HasSubstr("(401): check username and password, or token: so it says"));
  EXPECT_THAT(judge(403, body).trouble, HasSubstr("write the subject plant-value (403)"));
  EXPECT_THAT(judge(403, body, false).trouble, HasSubstr("read the subject plant-value (403)"));
  EXPECT_THAT(judge(404, body).trouble, HasSubstr("has no such path (404)"));
  EXPECT_THAT(judge(404, body, false).trouble, HasSubstr("subject plant-value (404): register that of docs/avro.md"));
  EXPECT_THAT(judge(409, body).trouble, HasSubstr("not compatible with what the subject plant-value has (409)"));
  EXPECT_THAT(judge(422, body).trouble, HasSubstr("plant-value (422): so it says"));
  EXPECT_THAT(judge(400, body).trouble, HasSubstr("answers 400: so it says"));
  EXPECT_THAT(judge(302, "", true, "https://login.example/").trouble,
              HasSubstr("redirects with 302 to https://login.example/, which is not followed"));
}

TEST(RegistryAnswerTest, AnotherServerIsAskedWhereThisOneIsNotAble) {
  for (const long status : {408, 429, 500, 503, 599}) EXPECT_TRUE(judge(status, "").may_ask_another) << status;
  for (const long status : {200, 302, 400, 401, 404, 409, 422}) EXPECT_FALSE(judge(status, "").may_ask_another);
  HttpAnswer none;
  none.problem = "Connection refused";
  const auto verdict = judge_registry_answer({"https://r:8081", "s", true}, none);
  EXPECT_TRUE(verdict.may_ask_another);
  EXPECT_EQ(verdict.trouble, "the schema registry https://r:8081 gives no answer: Connection refused");
}

}  // namespace
}  // namespace tidegate::uplink
