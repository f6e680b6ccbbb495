#include "uplink/http_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidegate::uplink {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

HttpAnswer answer(long status, std::string body = "", Duration retry_after = {}) {
  HttpAnswer answer;
  answer.status = status;
  answer.body = std::move(body);
  answer.retry_after = retry_after;
  return answer;
}

TEST(HttpAnswerTest, TwoHundredsAcknowledgeButForOneThatMaySayThatAPartFailed) {
  for (long status = 100; status < 600; ++status) {
    SCOPED_TRACE(status);
    const bool expected = status >= 200 && status < 300 && status != 207;
    const auto verdict = judge(answer(status), 10);
    EXPECT_EQ(verdict.acknowledged, expected);
    EXPECT_EQ(verdict.failure.too_large, status == 413);
    EXPECT_EQ(verdict.trouble.empty(), expected || status == 413);
  }
  EXPECT_THAT(judge(answer(207, "{\"errors\":true}"), 10).trouble, HasSubstr("207"));
}

TEST(HttpAnswerTest, TooLargeIsNoTroubleUnlessItIsOneRecord) {
  EXPECT_THAT(judge(answer(413), 2).trouble, IsEmpty());
  const auto verdict = judge(answer(413, "too big"), 1);
  EXPECT_FALSE(verdict.failure.too_large);
  EXPECT_THAT(verdict.trouble, HasSubstr("one record alone: too big"));
}

TEST(HttpAnswerTest, OnlySomeRefusalsAreOfWhatTheBatchHolds) {
  for (long status = 100; status < 600; ++status) {
    SCOPED_TRACE(status);
    const auto of_many = judge(answer(status, "no"), 10);
    EXPECT_EQ(!of_many.failure.refusal.empty(), status == 400 || status == 422);
    const auto of_one = judge(answer(status, "no"), 1);
    EXPECT_EQ(!of_one.failure.refusal.empty(), status == 400 || status == 413 || status == 422);
  }
  EXPECT_EQ(judge(answer(422, "value is NaN"), 1).failure.refusal, "422: value is NaN");
}

TEST(HttpAnswerTest, ATargetMaySayHowLongItWantsNothing) {
  EXPECT_EQ(judge(answer(429, "", seconds(7)), 10).failure.retry_after, seconds(7));
  EXPECT_EQ(judge(answer(503, "", seconds(7)), 10).failure.retry_after, seconds(7));
  EXPECT_EQ(judge(answer(500, "", seconds(7)), 10).failure.retry_after, Duration::zero());
  EXPECT_EQ(judge(answer(429, "", hours(30)), 10).failure.retry_after, hours(1)) << "never longer";
  EXPECT_EQ(judge(answer(429, "", -seconds(5)), 10).failure.retry_after, Duration::zero());
  EXPECT_EQ(judge(answer(503, "busy", seconds(90)), 10).trouble,
            "the target answers 503 and takes nothing for 90 s: busy");
}

TEST(HttpAnswerTest, OnlyAShortPauseMayPassUntold) {
  EXPECT_TRUE(judge(answer(429, "", seconds(2)), 10).may_pass);
  EXPECT_FALSE(judge(answer(429, "", seconds(60)), 10).may_pass);
  EXPECT_FALSE(judge(answer(503), 10).may_pass);
  EXPECT_FALSE(judge(answer(400), 10).may_pass);
}

TEST(HttpAnswerTest, ARefusalIsToldWithWhatTheTargetSaysAndWhatToDo) {
  EXPECT_EQ(judge(answer(400, "field type conflict"), 10).trouble, "refused with 400: field type conflict");
  EXPECT_EQ(judge(answer(404), 10).trouble, "refused with 404");
  EXPECT_THAT(judge(answer(401, "no"), 10).trouble, HasSubstr("check the credentials in \"headers\": no"));
  EXPECT_THAT(judge(answer(403), 10).trouble, HasSubstr("credentials"));
  HttpAnswer moved = answer(301);
  moved.location = "https://new.example/in";
  EXPECT_THAT(judge(moved, 10).trouble, HasSubstr("redirected with 301 to https://new.example/in"));
  moved.location = "https://user:hush@new.example/in?a=b@c";
  EXPECT_THAT(judge(moved, 10).trouble, HasSubstr("redirected with 301 to https://...@new.example/in?a=b@c,"));
}

TEST(HttpAnswerTest, WhatTheTargetSaysIsShownShortAndPrintable) {
  const std::string trouble = judge(answer(400, "a\x1b[31mb\n" + std::string(5000, 'x')), 10).trouble;
  EXPECT_LT(trouble.size(), 400U);
  EXPECT_EQ(trouble.find('\x1b'), std::string::npos);
  EXPECT_EQ(trouble.find('\n'), std::string::npos);
}

TEST(HttpAnswerTest, WithoutAWholeAnswerNothingIsKnown) {
  HttpAnswer none = answer(200);
  none.problem = "Connection reset by peer";
  const auto verdict = judge(none, 10);
  EXPECT_FALSE(verdict.acknowledged);
  EXPECT_EQ(verdict.trouble, "Connection reset by peer");
}

TEST(HttpAnswerTest, ATargetThatSpeaksNoTlsIsTheFirstThingToLookAt) {
  HttpAnswer none;
  none.problem = "error:0A00010B:SSL routines::wrong version number";
  EXPECT_THAT(judge(none, 10).trouble, HasSubstr("wrong version number: mostly that port speaks no TLS: use http://"));
}

}  // namespace
}  // namespace tidegate::uplink
