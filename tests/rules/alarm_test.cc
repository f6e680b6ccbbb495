#include "rules/alarm.h"

#include <gtest/gtest.h>

#include "rules/message.h"

namespace tidegate::rules {
namespace {

AlarmTransition example() {
  AlarmTransition transition;
  transition.alarm = "boiler-hot/boiler/temp";
  transition.rule = "boiler-hot";
  transition.tag = "boiler/temp";
  transition.state = AlarmState::cleared;
  transition.severity = Severity::critical;
  transition.message = "boiler/temp is \"84\" °C\n";
  transition.value = 84.0;
  transition.time = WallTime{std::chrono::milliseconds(1'732'059'999'123)};
  transition.cause = {3, 123456};
  transition.occurrence = {2, 123400};
  return transition;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(AlarmDocument, is_written_with_these_keys) {
  EXPECT_EQ(to_document(example()),
            R"({"alarm":"boiler-hot/boiler/temp","rule":"boiler-hot","tag":"boiler/temp","state":"cleared",)"
            R"("severity":"critical","message":"boiler/temp is \"84\" °C\n","value":84.0,"time":1732059999123,)"
            R"("cause":{"epoch":3,"seq":123456},"occurrence":{"epoch":2,"seq":123400}})");
}

TEST(AlarmDocument, reads_back_the_same_with_every_kind_of_value) {
  const Value values[] = {Value{}, true,   std::int64_t{-5},        std::int64_t{INT64_MIN}, std::uint64_t{UINT64_MAX},
                          0.1,     5e-324, -1.7976931348623157e308, std::string("é\"\\")};
  for (const Value& value : values) {
    AlarmTransition transition = example();
    transition.value = value;
    const std::string document = to_document(transition);
    const auto parsed = parse_alarm_document(document);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->value, value) << document;
    EXPECT_EQ(to_document(*parsed), document);
  }
}

TEST(AlarmDocument, carries_nanoseconds_where_the_time_is_finer_than_a_millisecond) {
  for (const std::int64_t nanoseconds : {std::int64_t{1'732'059'999'123'456'789}, std::int64_t{1}, std::int64_t{-1},
                                         std::int64_t{-1'000'000}, std::int64_t{0}, std::int64_t{-999'999}}) {
    AlarmTransition transition = example();
    transition.time = WallTime{Duration(nanoseconds)};
    const std::string document = to_document(transition);
    EXPECT_EQ(document.find("time_ns") != std::string::npos, nanoseconds % 1'000'000 != 0) << document;
    const auto parsed = parse_alarm_document(document);
    ASSERT_TRUE(parsed) << parsed.error().message << " " << document;
    EXPECT_EQ(parsed->time, transition.time);
  }
}

TEST(AlarmDocument, lets_keys_of_later_versions_pass) {
  EXPECT_TRUE(parse_alarm_document(replaced(to_document(example()), "{", R"({"note":["x"],)")));
}

TEST(AlarmDocument, names_what_is_wrong) {
  const std::string good = to_document(example());
  const auto message = [](const std::string& document) {
    const auto parsed = parse_alarm_document(document);
    EXPECT_FALSE(parsed) << document;
    if (parsed) return std::string();
    EXPECT_EQ(parsed.error().code, ErrorCode::corrupt);
    return parsed.error().message;
  };
  EXPECT_NE(message(replaced(good, "\"cleared\"", "\"silenced\"")).find("state is \"silenced\""), std::string::npos);
  EXPECT_NE(message(replaced(good, "123456", "-1")).find("seq"), std::string::npos);
  EXPECT_NE(message(replaced(good, "\"epoch\":3", "\"epoch\":4294967296")).find("epoch is too large"),
            std::string::npos);
  EXPECT_NE(message(replaced(good, "\"rule\":", "\"role\":")).find("needs rule"), std::string::npos);
  EXPECT_NE(message(replaced(good, "84.0", "[84.0]")).find("value"), std::string::npos);
  EXPECT_NE(message(replaced(good, "{\"epoch\":2,\"seq\":123400}", "7")).find("occurrence"), std::string::npos);
  EXPECT_NE(message(replaced(good, "\"tag\":\"boiler/temp\"", "\"tag\":\"boiler/x\"")).find("not the alarm"),
            std::string::npos);
  EXPECT_NE(message(replaced(good, "1732059999123", "9223372036854775807")).find("time"), std::string::npos);
  EXPECT_NE(message(replaced(good, "\"cause\"", "\"time_ns\":5,\"cause\"")).find("disagree"), std::string::npos);
  message("[]");
  message("");
  message("null");
}

TEST(AlarmDocument, survives_every_truncation_and_every_changed_byte) {
  const std::string good = to_document(example());
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(parse_alarm_document(good.substr(0, length))) << length;
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(static_cast<unsigned char>(bad[i]) ^ (1U << bit));
      const auto parsed = parse_alarm_document(bad);
      EXPECT_TRUE(!parsed || parse_alarm_document(to_document(*parsed))) << bad;
    }
  }
}

TEST(Message, fills_in_what_it_knows_and_keeps_other_braces) {
  RuleOptions rule;
  rule.name = "boiler-hot";
  rule.severity = Severity::critical;
  Tag tag;
  tag.path = "boiler/temp";
  tag.unit = "°C";
  const auto filled = [&](const std::string& message, const Value& value) {
    rule.message = message;
    return fill_message(rule, tag, value);
  };
  EXPECT_EQ(filled("{severity} {rule}: {tag} is {value} {unit}!", 91.5),
            "critical boiler-hot: boiler/temp is 91.5 °C!");
  EXPECT_EQ(filled("{value}{value}", 5.0), "55");
  EXPECT_EQ(filled("{other} {} { } {value", 5.0), "{other} {} { } {value");
  EXPECT_EQ(filled("{{value}} { {value}", std::int64_t{7}), "{7} { 7");
  EXPECT_EQ(filled("", 5.0), "");
  EXPECT_EQ(filled("{value}", true), "true");
  EXPECT_EQ(filled("{value}", std::uint64_t{18446744073709551615U}), "18446744073709551615");
  EXPECT_EQ(filled("{value}", static_cast<double>(91.3F)), "91.3") << "no digits that a float32 does not hold";
  EXPECT_EQ(filled("{value}", 123456789.25), "123456789.25") << "a counter keeps its digits";
}

TEST(Message, drops_the_blank_in_front_of_a_unit_that_is_not_there) {
  RuleOptions rule;
  Tag tag;
  tag.path = "pump/run";
  rule.name = "stopped";
  EXPECT_EQ(fill_message(rule, tag, false), "stopped: pump/run is false");
}

}  // namespace
}  // namespace tidegate::rules
