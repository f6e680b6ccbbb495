#include "core/text.h"

#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace tidegate {
namespace {

TEST(Glob, StarCrossesSlashesAndQuestionMarkIsOneByte) {
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("pump-*/vibration", "pump-3/vibration"));
  EXPECT_TRUE(glob_matches("*vibration", "pump-3/axis/vibration"));
  EXPECT_TRUE(glob_matches("a?c", "abc"));
  EXPECT_TRUE(glob_matches("a*b*c", "a-b-b-c"));
  EXPECT_FALSE(glob_matches("a*b*c", "a-b-b-"));
  EXPECT_FALSE(glob_matches("boiler", "boiler/temp"));
  EXPECT_FALSE(glob_matches("", "x"));
}

TEST(Glob, ManyStarsDoNotTakeExponentialTime) {
  EXPECT_FALSE(glob_matches("*a*a*a*a*a*a*a*a*a*a*a*b", std::string(2000, 'a')));
}

TEST(Sizes, AreReadAndWrittenWithTheirUnits) {
  EXPECT_EQ(parse_size("256MiB").value(), 256ULL << 20);
  EXPECT_EQ(parse_size("1GiB").value(), 1ULL << 30);
  EXPECT_EQ(parse_size("0B").value(), 0U);
  for (const char* wrong : {"", "256", "MiB", "256 MiB", "-1MiB", "1.5MiB", "256MB", "99999999999999999999B",
                            "99999999999GiB", "256MiBx"}) {
    EXPECT_FALSE(parse_size(wrong)) << wrong;
  }
  EXPECT_EQ(format_size(256ULL << 20), "256MiB");
  EXPECT_EQ(format_size(1000), "1000B");
}

TEST(Durations, AreReadAndWrittenWithTheirUnits) {
  EXPECT_EQ(parse_duration("250ms").value(), std::chrono::milliseconds(250));
  EXPECT_EQ(parse_duration("30d").value(), std::chrono::hours(30 * 24));
  EXPECT_EQ(parse_duration("5m").value(), std::chrono::minutes(5));
  for (const char* wrong : {"", "10", "s", "-5s", "1.5s", "10sec", "300000d"})
    EXPECT_FALSE(parse_duration(wrong)) << wrong;
  EXPECT_EQ(format_duration(std::chrono::milliseconds(1500)), "1500ms");
  EXPECT_EQ(format_duration(std::chrono::hours(48)), "2d");
  EXPECT_EQ(format_duration(Duration::zero()), "0s");
}

TEST(NearestWord, FindsAMisspelledKeyButGuessesNoStranger) {
  constexpr std::string_view kKeys[] = {"sync_interval", "size", "when_full"};
  EXPECT_EQ(nearest_word("sync_intervall", kKeys), "sync_interval");
  EXPECT_EQ(nearest_word("sise", kKeys), "size");
  EXPECT_EQ(nearest_word("broker", kKeys), "");
}

TEST(Utf8, RefusesOverlongFormsSurrogatesAndCutSequences) {
  EXPECT_TRUE(is_valid_utf8("Grüße °C 漢 😀"));
  for (const char* wrong : {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xff"}) {
    EXPECT_FALSE(is_valid_utf8(wrong));
  }
}

TEST(Clip, ShowsControlCharactersAndCutsAtACharacter) {
  EXPECT_EQ(clip("a\nb\x01"), "a\\x0ab\\x01");
  EXPECT_EQ(clip("ab\xff", 80), "ab\\xff");
  EXPECT_EQ(clip("a\xc2\x9b"
                 "31mb\xc2\xa0°"),
            "a\\xc2\\x9b31mb\xc2\xa0°")
      << "CSI in one character";
  EXPECT_EQ(clip("°°°°", 5), "°°...");
}

TEST(Clip, ShowsWhatWouldHaveTheTextShownInAnotherOrder) {
  EXPECT_EQ(clip("a\u202egpj.exe"), "a\\xe2\\x80\\xaegpj.exe");
  for (const char* turns : {"\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202e", "\u2066", "\u2069"}) {
    EXPECT_EQ(clip(turns).size(), 12U) << turns;
  }
  EXPECT_EQ(clip("a\u061cb"), "a\\xd8\\x9cb");
  EXPECT_EQ(clip("\u202e\u202e\u202e", 30), "\\xe2\\x80\\xae\\xe2\\x80\\xae...") << "what is shown has to fit";
  for (const char* plain : {"\u200d", "\u2010", "\u2027", "\u202f", "\u2065", "\u206a", "שלום"}) {
    EXPECT_EQ(clip(plain), plain);
  }
}

TEST(JsonText, EscapesWhatMustBeEscaped) {
  std::string out;
  append_json_string(out, "a\"b\\c\n\x02°");
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\n\\u0002°\"");
}

// What a device, a broker or a program says may be anything.
TEST(JsonText, IsUtf8WithoutControlCharactersWhateverTheTextIs) {
  std::string out;
  append_json_string(out,
                     "a\xff"
                     "b\xe2\x82 \x7f \xc2\x9b \xed\xa0\x80 \xc2");
  EXPECT_EQ(out, R"("a\\xffb\\xe2\\x82 \u007f \u009b \\xed\\xa0\\x80 \\xc2")");
  std::mt19937_64 random(12);
  for (int i = 0; i < 2'000; ++i) {
    std::string text(static_cast<std::size_t>(random() % 12), '\0');
    for (char& c : text) c = static_cast<char>(random() % 2 == 0 ? random() : 0xc0 + random() % 0x40);
    std::string written;
    append_json_string(written, text);
    EXPECT_TRUE(is_valid_utf8(written));
    EXPECT_FALSE(has_control(written));
  }
  out.clear();
  append_json_string(out, "\u00a0 \u20ac \U0001f600");
  EXPECT_EQ(out, "\"\u00a0 \u20ac \U0001f600\"");
}

TEST(Numbers, KeepTheirKindAndReadBackTheSame) {
  std::string out;
  append_number(out, 2.0);
  EXPECT_EQ(out, "2.0");
  std::mt19937_64 random(11);
  for (int i = 0; i < 20'000; ++i) {
    const auto bits = random();
    double number = 0;
    static_assert(sizeof number == sizeof bits);
    std::memcpy(&number, &bits, sizeof number);
    if (!std::isfinite(number)) continue;
    out.clear();
    append_number(out, number);
    ASSERT_NE(out.find_first_of(".e"), std::string::npos) << out;
    double back = 0;
    std::from_chars(out.data(), out.data() + out.size(), back);
    ASSERT_EQ(std::signbit(back), std::signbit(number));
    ASSERT_EQ(back, number) << out;
  }
}

}  // namespace
}  // namespace tidegate
