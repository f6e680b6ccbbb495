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

TEST(BootIds, AreReadBackAsTheyAreWritten) {
  BootId id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(i * 17);
  EXPECT_EQ(to_hex(id), "00112233445566778899aabbccddeeff");
  EXPECT_EQ(parse_boot_id(to_hex(id)), id);
  for (const char* wrong : {"", "00", "0011223344556677889 aabbccddeeff", "00112233445566778899aabbccddeefg",
                            "00112233445566778899aabbccddeeff0"}) {
    EXPECT_EQ(parse_boot_id(wrong), std::nullopt) << wrong;
  }
}

}  // namespace
}  // namespace tidegate
