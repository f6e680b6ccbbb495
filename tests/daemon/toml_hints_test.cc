#include "daemon/config/toml_hints.h"

#include <gtest/gtest.h>

#include "daemon/config/document.h"

namespace tidegate::daemon {
namespace {

constexpr const char* kQuotes = "texts, sizes and times stand in quotes: ";

// What is said of a second line that is wrong, behind what the parser says.
std::string hint_at(const std::string& line) {
  const auto read = parse_document("[a]\n" + line + "\nb = 1\n", "f.toml");
  EXPECT_FALSE(read) << line;
  if (read) return "";
  EXPECT_EQ(read.error().line, 2U) << line;
  const std::string& message = read.error().message;
  const std::size_t hint = message.rfind("; ");
  return hint == std::string::npos ? "" : message.substr(hint + 2);
}

TEST(TomlHintsTest, NamesTheMissingQuotes) {
  const std::string quotes = kQuotes;
  EXPECT_EQ(hint_at("broker = mqtt://10.0.0.5:1883"), quotes + "broker = \"...\"");
  EXPECT_EQ(hint_at("\t size=5MiB  # room"), quotes + "size = \"...\"");
  EXPECT_EQ(hint_at("timeout = 300ms\r"), quotes + "timeout = \"...\"");
  EXPECT_EQ(hint_at("listen = 127.0.0.1:1883"), quotes + "listen = \"...\"");
  EXPECT_EQ(hint_at("tags = [ sim-*/tag-1 ]"), quotes + "tags = [\"...\"]");
}

TEST(TomlHintsTest, NamesTheQuoteThatIsNotClosed) {
  EXPECT_EQ(hint_at("id = \"plant"), "the text has no \" at its end");
  EXPECT_EQ(hint_at("id = 'plant"), "the text has no ' at its end");
  EXPECT_EQ(hint_at(R"(id = "plant\")"), "the text has no \" at its end");
}

TEST(TomlHintsTest, NamesWhatIsBesideTheEqualsSign) {
  EXPECT_EQ(hint_at("id == \"a\""), "one equals sign: id = ...");
  EXPECT_EQ(hint_at("id ="), "a value is missing: id = ...");
}

TEST(TomlHintsTest, NeverTellsAValue) {
  for (const char* line :
       {"password = hunter2", "password = \"hunter2", "password = [hunter2]", "password == hunter2"}) {
    const auto read = parse_document(line, "f.toml");
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().message.find("hunter2"), std::string::npos) << read.error().message;
  }
}

TEST(TomlHintsTest, SaysNothingWhereNothingIsClear) {
  EXPECT_EQ(toml_hint("id = \"a\" x", 1), "");
  EXPECT_EQ(toml_hint("id = '''a", 1), "") << "it may end lines later";
  EXPECT_EQ(toml_hint("[gateway", 1), "");
  EXPECT_EQ(toml_hint("a = true\nb = -1_000.5", 1), "");
  EXPECT_EQ(toml_hint("a = true\nb = -1_000.5", 2), "");
  for (const std::uint32_t line : {0U, 1U, 2U, 1000U}) EXPECT_EQ(toml_hint("", line), "") << line;
}

}  // namespace
}  // namespace tidegate::daemon
