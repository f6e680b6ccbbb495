#include "daemon/offset.h"

#include <gtest/gtest.h>

namespace tidegate::daemon {
namespace {

using buffer::ReadPlace;

constexpr WallTime kNow{std::chrono::hours(480'000)};

TEST(Offset, IsAPositionASequenceOrATime) {
  EXPECT_EQ(*parse_offset("3:120", kNow), (ReadPlace{ReadPlace::Kind::position, {3, 120}, {}}));
  EXPECT_EQ(*parse_offset("120", kNow), (ReadPlace{ReadPlace::Kind::sequence, {0, 120}, {}}));
  EXPECT_EQ(parse_offset("oldest", kNow)->kind, ReadPlace::Kind::oldest);
  EXPECT_EQ(parse_offset("end", kNow)->kind, ReadPlace::Kind::end);
  EXPECT_EQ(parse_offset("1970-01-01T02:00:00Z", kNow)->time, WallTime(std::chrono::hours(2)));
  EXPECT_EQ(*parse_offset("-2h", kNow), (ReadPlace{ReadPlace::Kind::time, {}, kNow - std::chrono::hours(2)}));
  EXPECT_EQ(parse_offset("-250ms", kNow)->time, kNow - std::chrono::milliseconds(250));
}

TEST(Offset, IsNothingElse) {
  for (const char* wrong : {"", "x", "3:", ":3", "1:2:3", "-1", "-", "--2h", "2h", "End", "yesterday"})
    EXPECT_FALSE(parse_offset(wrong, kNow)) << wrong;
  EXPECT_NE(parse_offset("yesterday", kNow).error().message.find("yesterday"), std::string::npos);
}

}  // namespace
}  // namespace tidegate::daemon
