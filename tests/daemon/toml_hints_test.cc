#include "daemon/config/toml_hints.h"

#include <gtest/gtest.h>

#include <string>

#include "daemon/config/document.h"

namespace tidegate::daemon {
namespace {

constexpr const char* kQuotes = "texts, sizes and times stand in quotes: key = \"...\"";
constexpr const char* kBooleans = "true or false, in small letters and without quotes";
constexpr const char* kNoEnd = "the text has no quote at its end";
constexpr const char* kBackslash = R"(a backslash begins an escape in "...": write \\ there, or the text in '...')";

std::string message_of(const std::string& document) {
  const auto read = parse_document(document, "f.toml");
  EXPECT_FALSE(read) << document;
  return read ? "" : read.error().message;
}

// Behind what the parser says.
std::string hint_in(const std::string& message) {
  const std::size_t hint = message.rfind("; ");
  return hint == std::string::npos ? "" : message.substr(hint + 2);
}

// Of a second line that is wrong.
std::string hint_at(const std::string& line) { return hint_in(message_of("[a]\n" + line + "\nb = 1\n")); }

TEST(TomlHintsTest, NamesTheMissingQuotes) {
  for (const char* line : {"broker = mqtt://10.0.0.5:1883", "\t size=5MiB  # room", "timeout = 300ms\r",
                           "listen = 127.0.0.1:1883", "tags = [ sim-*/tag-1 ]", "interval = 1s"}) {
    EXPECT_EQ(hint_at(line), kQuotes) << line;
  }
}

TEST(TomlHintsTest, NamesHowABooleanIsWritten) {
  for (const char* line : {"latch = True", "latch = yes", "latch = OFF"}) EXPECT_EQ(hint_at(line), kBooleans) << line;
}

TEST(TomlHintsTest, NamesTheQuoteThatIsNotClosed) {
  EXPECT_EQ(hint_at("id = \"plant"), kNoEnd);
  EXPECT_EQ(hint_at("id = 'plant"), kNoEnd);
  EXPECT_EQ(hint_at("id = \""), kNoEnd);
  EXPECT_EQ(hint_at(R"(id = "a\tb)"), kNoEnd);
  EXPECT_EQ(hint_at(R"(say = "he said \"hi\")"), kNoEnd);
}

TEST(TomlHintsTest, NamesTheBackslash) {
  EXPECT_EQ(hint_at(R"(path = "C:\data\")"), kBackslash);
  EXPECT_EQ(hint_at(R"(path = "C:\data")"), kBackslash);
  EXPECT_EQ(hint_at(R"(path = "C:\)"), kBackslash);
  EXPECT_EQ(hint_at(R"(path = "C:\Users\x")"), kBackslash);
  EXPECT_EQ(hint_at(R"(path = "C:\users")"), kBackslash);
}

TEST(TomlHintsTest, NamesWhatIsBesideTheEqualsSign) {
  EXPECT_EQ(hint_at("id == \"a\""), "one equals sign: key = ...");
  EXPECT_EQ(hint_at("id ="), "a value is missing: key = ...");
  EXPECT_EQ(hint_at("id = # to be named"), "a value is missing: key = ...");
}

TEST(TomlHintsTest, TellsNothingThatStandsInTheFile) {
  for (const char* document : {"password = hunter2", "password = \"hunter2", "password = [hunter2]",
                               "password == hunter2", "hunter2==", "password = \"\"\"-----BEGIN\nhunter2==",
                               "password = \"\"\"MII\nhunter2=", "password = '''MII\nhunter2 = no"}) {
    const std::string message = message_of(document);
    EXPECT_EQ(message.find("hunter2"), std::string::npos) << message;
  }
  for (const char* value : {"73829104738291047382910", "0xc0ffeec0ffeec0ffee99", "-73829104738291047382910",
                            "1e9182736459182736", "0b1021", "trC0ffee"}) {
    const std::string message = message_of("password = " + std::string(value) + "\n");
    EXPECT_EQ(message.find(std::string(value).substr(2, 6)), std::string::npos) << message;
  }
  EXPECT_EQ(message_of("a = 1979-05-27T07:32:99").find("99"), std::string::npos);
  for (const char* document : {"\"pw'hunter2x\" = 1\n\"pw'hunter2x\" = 2", "[\"it's hunter2\"]\n[\"it's hunter2\"]"}) {
    EXPECT_EQ(message_of(document).find("hunter2"), std::string::npos) << document;
  }
  EXPECT_EQ(message_of("hunter2 = 1\nhunter2 = 2").find("hunter2"), std::string::npos);
  EXPECT_LT(message_of(std::string(100'000, 'k') + " =").size(), 500U);
}

TEST(TomlHintsTest, SaysNothingWhereNothingIsClear) {
  for (const char* line :
       {R"(client_id = "C:\\data" x)", R"(a = "say \"hi\"" more)", "x = .5", "x = +", "x = 1;", "x => 1"}) {
    EXPECT_EQ(hint_at(line), "") << line;
  }
  for (const char* line : {"id = \"a\" x", "scale = 1e-3, offset = 0", "x = 0x1F x", "x = +inf,", "x = nan,",
                           "a = 2026-13-01", "tags = [1e3, \"x]", "a = true true", "a = 12:30:99", "[gateway"}) {
    EXPECT_EQ(hint_at(line), "") << line;
  }
  for (const std::uint32_t line : {0U, 1U, 2U, 1000U}) EXPECT_EQ(toml_hint("", line, 1, false), "") << line;
}

TEST(TomlHintsTest, SaysNothingOfALineThatIsPartOfAnother) {
  for (const char* document :
       {"a = 1e3\na = tru", "text = \"\"\"\npath = C:\\q\n\"\"\"", "tags = [ \"a\"\nname = foo\n",
        "text = '''b\nc = foo", "a = [ '''x\n''', \"\"\"y\n\"\"\"\nb = foo"}) {
    EXPECT_EQ(hint_in(message_of(document)), "") << document;
  }
  EXPECT_EQ(hint_in(message_of("a = '''x\n''' # '\nb = \"\"\"\n\"\"\"\"\n[c]\nd = foo")), kQuotes) << "behind it again";
}

}  // namespace
}  // namespace tidegate::daemon
