#include "core/value.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/reading.h"

namespace tidegate {
namespace {

std::string json_of(const Value& value) {
  std::string out;
  append_json(out, value);
  return out;
}

TEST(ValueJson, KeepsKindAndExtremes) {
  EXPECT_EQ(json_of(std::monostate{}), "null");
  EXPECT_EQ(json_of(true), "true");
  EXPECT_EQ(json_of(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(json_of(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(json_of(0.1), "0.1");
  EXPECT_EQ(json_of(-0.0), "-0.0");
  EXPECT_EQ(json_of(std::string("x\"y")), "\"x\\\"y\"");
}

TEST(ValueNumber, NullAndTextAreNone) {
  double number = 0;
  EXPECT_TRUE(as_number(Value(true), number));
  EXPECT_EQ(number, 1.0);
  EXPECT_TRUE(as_number(Value(std::int64_t{-7}), number));
  EXPECT_EQ(number, -7.0);
  EXPECT_FALSE(as_number(Value(), number));
  EXPECT_FALSE(as_number(Value(std::string("7")), number));
}

// These words leave the gateway and numbers lie in logs on disk: a new reason goes to the end.
TEST(ReasonNames, AreWhatReceiversKnow) {
  EXPECT_STREQ(to_string(Reason::none), "");
  EXPECT_STREQ(to_string(Reason::not_connected), "not-connected");
  EXPECT_EQ(static_cast<int>(Reason::wrong_type), 15);
}

}  // namespace
}  // namespace tidegate
