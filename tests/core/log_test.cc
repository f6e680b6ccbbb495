#include "core/log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

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

TEST(ComplaintFilter, LetsALineSayHowManyWereLeftOut) {
  EXPECT_EQ(since_last_line(0), "");
  EXPECT_EQ(since_last_line(1), " (1 more like this since the last line)");
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

TEST(Journal, IsKnownByWhatStandardErrorIs) {
  struct stat status {};
  ASSERT_EQ(::fstat(STDERR_FILENO, &status), 0);
  const std::string stream = fmt::format("{}:{}", status.st_dev, status.st_ino);
  ::setenv("JOURNAL_STREAM", stream.c_str(), 1);
  EXPECT_TRUE(stderr_is_journal());
  EXPECT_EQ(journal_prefix(LogLevel::error), "<3>");
  ::setenv("JOURNAL_STREAM", (stream + "0").c_str(), 1);
  EXPECT_FALSE(stderr_is_journal()) << "inherited by who writes elsewhere";
  EXPECT_EQ(journal_prefix(LogLevel::error), "");
  ::unsetenv("JOURNAL_STREAM");
  EXPECT_FALSE(stderr_is_journal());
}

}  // namespace
}  // namespace tidegate
