#include "drivers/mqtt/json_pointer.h"

#include <gtest/gtest.h>

#include "drivers/mqtt/mqtt_driver.h"

namespace tidegate::drivers {
namespace {

std::vector<std::string> members(const std::string& text) {
  const auto pointer = JsonPointer::parse(text);
  if (!pointer) return {"refused: " + pointer.error().message};
  std::vector<std::string> names;
  for (const auto& step : pointer->steps()) {
    names.push_back(step.member + (step.index ? "#" + std::to_string(*step.index) : ""));
  }
  return names;
}

// The examples of RFC 6901, section 5, and what an index may look like, section 4.
TEST(JsonPointer, TakesPointersApart) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(members(""), Names());
  EXPECT_EQ(members("/foo"), Names({"foo"}));
  EXPECT_EQ(members("/foo/0"), Names({"foo", "0#0"}));
  EXPECT_EQ(members("/"), Names({""}));
  EXPECT_EQ(members("/a~1b"), Names({"a/b"}));
  EXPECT_EQ(members("/m~0n"), Names({"m~n"}));
  EXPECT_EQ(members("/~01"), Names({"~1"}));
  EXPECT_EQ(members("/a/"), Names({"a", ""}));
  EXPECT_EQ(members("/10"), Names({"10#10"}));
  EXPECT_EQ(members("/01"), Names({"01"}));
  EXPECT_EQ(members("/-"), Names({"-"}));
  EXPECT_EQ(members("/-1"), Names({"-1"}));
  EXPECT_EQ(members("/4294967296"), Names({"4294967296"}));
}

TEST(JsonPointer, RefusesWhatIsNone) {
  for (const char* text : {"foo", "~0", "/a~", "/a~2", "/\xff"}) {
    EXPECT_FALSE(JsonPointer::parse(text)) << text;
    EXPECT_FALSE(check_json_pointer(text)) << text;
  }
  EXPECT_TRUE(check_json_pointer("/a"));
}

}  // namespace
}  // namespace tidegate::drivers
