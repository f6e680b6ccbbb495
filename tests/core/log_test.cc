#include "core/log.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tidegate {
namespace {

using std::chrono::seconds;

TEST(ComplaintFilter, SaysTheFirstAtOnceAndTheRestOnceAMinute) {
  ComplaintFilter filter;
  const BootTime start{seconds(10)};
  EXPECT_EQ(filter.admit("bad payload", start), 0U);
  EXPECT_EQ(filter.admit("bad topic", start), 0U);
  EXPECT_EQ(filter.admit("bad payload", start + seconds(1)), std::nullopt);
  EXPECT_EQ(filter.admit("bad payload", start + seconds(59)), std::nullopt);
  EXPECT_EQ(filter.admit("bad payload", start + seconds(61)), 2U);
}

TEST(LogLevel, NamesWhatIsAllowed) {
  EXPECT_EQ(parse_log_level("warning").value(), LogLevel::warning);
  EXPECT_NE(parse_log_level("loud").error().message.find("debug, info, warning, error"), std::string::npos);
}

TEST(LogLine, CannotBeForgedByAPayload) {
  ::testing::internal::CaptureStderr();
  set_up_logging(LogLevel::info);
  log_warning("mqtt", "payload {}", "x\n<0>kernel: forged");
  const std::string printed = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(printed.begin(), printed.end(), '\n'), 1);
  EXPECT_NE(printed.find("mqtt: payload x\\x0a"), std::string::npos);
}

}  // namespace
}  // namespace tidegate
