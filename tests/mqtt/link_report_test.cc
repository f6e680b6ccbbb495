#include "mqtt/link_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace tidegate::mqtt {
namespace {

using namespace std::chrono_literals;

class LinkReportTest : public ::testing::Test {
 protected:
  /// What is logged while a broker takes and ends a connection each two seconds for so long.
  std::string flap_for(Duration how_long) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    for (const BootTime end = now_ + how_long; now_ < end; now_ += 2s) {
      EXPECT_TRUE(report_.note({true, LinkProblem::none, ""}, now_)) << "whoever asks is told all the same";
      EXPECT_TRUE(report_.note({false, LinkProblem::lost, "the broker ended the connection"}, now_));
    }
    return ::testing::internal::GetCapturedStdout() + ::testing::internal::GetCapturedStderr();
  }
  static auto lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

  static BrokerOptions broker() {
    BrokerOptions broker;
    broker.uri = "mqtt://hub.example";
    return broker;
  }

  LinkReport report_{broker()};
  BootTime now_{1h};
};

TEST_F(LinkReportTest, WhatComesAgainAndAgainIsALineAMinute) {
  const std::string first = flap_for(1min);
  EXPECT_EQ(lines(first), 2) << first;
  const std::string second = flap_for(1min);
  EXPECT_EQ(lines(second), 2) << second;
  EXPECT_NE(second.find("mqtt://hub.example: connected (29 more like this since the last line)"), std::string::npos)
      << second;
}

TEST_F(LinkReportTest, AnotherReasonIsALineAtOnce) {
  flap_for(4s);
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(report_.note({false, LinkProblem::unreachable, "no route"}, now_));
  EXPECT_FALSE(report_.note({false, LinkProblem::unreachable, "no route"}, now_));
  const std::string text = ::testing::internal::GetCapturedStdout() + ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(lines(text), 1) << text;
}

}  // namespace
}  // namespace tidegate::mqtt
