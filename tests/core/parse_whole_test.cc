#include "core/parse_whole.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace tidegate {
namespace {

TEST(ParseWhole, TakesWhatFitsTheType) {
  EXPECT_EQ(parse_whole<std::uint8_t>("0"), 0);
  EXPECT_EQ(parse_whole<std::uint8_t>("255"), 255);
  EXPECT_EQ(parse_whole<std::uint8_t>("007"), 7);
  EXPECT_EQ(parse_whole<std::int8_t>("-128"), -128);
  EXPECT_EQ(parse_whole<std::uint64_t>("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(parse_whole<std::int64_t>("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
}

TEST(ParseWhole, RefusesWhatDoesNotFitTheType) {
  EXPECT_EQ(parse_whole<std::uint8_t>("256"), std::nullopt);
  EXPECT_EQ(parse_whole<std::uint8_t>("-1"), std::nullopt);
  EXPECT_EQ(parse_whole<std::int8_t>("128"), std::nullopt);
  EXPECT_EQ(parse_whole<std::uint64_t>("18446744073709551616"), std::nullopt);
}

TEST(ParseWhole, RefusesAnythingBesideTheNumber) {
  for (const char* text : {"", " ", " 1", "1 ", "+1", "0x1", "1.0", "1e3", "1a", "a", "-", "--1", "1,2"}) {
    EXPECT_EQ(parse_whole<int>(text), std::nullopt) << '"' << text << '"';
  }
  EXPECT_EQ(parse_whole<int>(std::string("1\0", 2)), std::nullopt);
}

TEST(ParseWhole, ReadsOnlyItsPartOfALongerText) {
  const std::string_view text = "segment-12345";
  EXPECT_EQ(parse_whole<int>(text.substr(8, 3)), 123);
}

TEST(ParseWhole, TakesOtherBases) {
  EXPECT_EQ(parse_whole<std::uint8_t>("fF", 16), 255);
  EXPECT_EQ(parse_whole<std::uint8_t>("fg", 16), std::nullopt);
}

}  // namespace
}  // namespace tidegate
