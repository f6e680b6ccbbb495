#include "core/clock.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

TEST(Rfc3339, ReadsOffsetsAndFractions) {
  const WallTime noon(std::chrono::seconds(1'763'726'820));
  EXPECT_EQ(parse_rfc3339("2025-11-21T12:07:00Z").value(), noon);
  EXPECT_EQ(parse_rfc3339("2025-11-21T13:07:00+01:00").value(), noon);
  EXPECT_EQ(parse_rfc3339("2025-11-21t12:07:00.5z").value(), noon + std::chrono::milliseconds(500));
  EXPECT_EQ(parse_rfc3339("2025-11-21T12:07:00.123456789Z").value(), noon + std::chrono::nanoseconds(123456789));
}

TEST(Rfc3339, RefusesWhatIsNoTime) {
  for (const char* wrong :
       {"", "2025-11-21", "2025-02-30T00:00:00Z", "2025-13-01T00:00:00Z", "2025-11-21T24:00:00Z", "2025-11-21T12:07:00",
        "2025-11-21T12:07:00Zx", "2025-11-21T12:07:00.Z", "-025-11-21T12:07:00Z", "9999-01-01T00:00:00Z"}) {
    EXPECT_FALSE(parse_rfc3339(wrong)) << wrong;
  }
}

TEST(Rfc3339, WritesWhatItReads) {
  for (const std::int64_t milliseconds : {0LL, 1'763'726'820'123LL, -1LL, 4'102'444'800'000LL}) {
    const WallTime time{std::chrono::milliseconds(milliseconds)};
    ASSERT_EQ(parse_rfc3339(format_utc(time)).value(), time) << format_utc(time);
  }
}

TEST(SystemClock, BootTimeDoesNotGoBack) {
  const SystemClock clock;
  const BootTime before = clock.boot_now();
  EXPECT_LE(before, clock.boot_now());
  EXPECT_TRUE(read_boot_id().has_value());
}

}  // namespace
}  // namespace tidegate
