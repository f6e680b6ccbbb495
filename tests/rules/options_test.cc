#include <gtest/gtest.h>

#include "rules/options.h"

namespace tidegate::rules {
namespace {

TEST(ParseCondition, reads_every_comparison_with_and_without_blanks) {
  const auto expect = [](const char* text, Comparison comparison, double level) {
    const auto condition = parse_condition(text);
    ASSERT_TRUE(condition) << condition.error().message;
    EXPECT_EQ(condition->comparison, comparison) << text;
    EXPECT_EQ(condition->level, level) << text;
  };
  expect("> 90", Comparison::greater, 90);
  expect(">90", Comparison::greater, 90);
  expect(">= 1.5", Comparison::greater_equal, 1.5);
  expect("< -3", Comparison::less, -3);
  expect("<=1e-3", Comparison::less_equal, 0.001);
  expect("== 0", Comparison::equal, 0);
  expect("  !=  7  ", Comparison::not_equal, 7);
}

TEST(ParseCondition, refuses_everything_else_and_says_what_would_be_right) {
  for (const char* text :
       {"",      " ",     "90",    ">",       "> ",       "= 90",  "=> 90",  "> 90 C", "> 90 95",
        ">> 90", "> nan", "> inf", "> 1e999", "> ninety", "> +90", "> 0x10", "> 9,5",  "between 1 and 2",
        ">=",    "> > 9", "!5"}) {
    const auto condition = parse_condition(text);
    ASSERT_FALSE(condition) << text;
    EXPECT_EQ(condition.error().code, ErrorCode::invalid) << text;
    EXPECT_NE(condition.error().message.find("\"> 90\""), std::string::npos) << condition.error().message;
  }
  EXPECT_EQ(parse_condition("= 90").error().message,
            "condition \"= 90\": begins with no comparison; a condition is one of > >= < <= == != and a number, such "
            "as \"> 90\"");
  EXPECT_NE(parse_condition("> 90 C").error().message.find("90 C is not a number"), std::string::npos);
}

}  // namespace
}  // namespace tidegate::rules
