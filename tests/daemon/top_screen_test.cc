#include "daemon/top_screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/text.h"

namespace tidegate::daemon {
namespace {

using std::chrono::seconds;
using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

std::string status(std::uint64_t uptime, std::uint64_t accepted, std::uint64_t delivered, std::uint64_t pending,
                   const std::string& uplink = R"("up":true)") {
  const auto text = [](std::uint64_t number) { return std::to_string(number); };
  return R"({"gateway":"plant-7","version":"0.1.0","ready":true,"clock":"synced","uptime_seconds":)" + text(uptime) +
         R"(.5,"tags":12,"alarms_active":0,"drivers":[{"name":"line-1","up":true,"accepted":)" + text(accepted) +
         R"(,"devices":[{"name":"boiler","up":false,"detail":"no answer"},{"name":"pump","up":true}]}],)" +
         R"("log":{"taking_records":true,"written_bytes":0,"syncs":1,"last_sync_seconds":0.0021,"streams":{"readings":)" +
         R"({"stored":5,"bytes":3145728,"fill":0.25,"full":false}}},"uplinks":[{"name":"cloud",)" + uplink +
         R"(,"delay_seconds":7500,"streams":{"readings":{"delivered":)" + text(delivered) + R"(,"pending":)" +
         text(pending) + R"(},"alarms":{"delivered":0,"pending":0}}}]})";
}

BootTime at(int second) { return BootTime{} + seconds(second); }

class TopScreenTest : public ::testing::Test {
 protected:
  std::string text(std::size_t rows = 0, std::size_t columns = 0, const std::string& problem = {}) const {
    std::string all;
    for (const TopScreen::Line& line : screen.lines(rows, columns, problem)) all += line.text + "\n";
    return all;
  }
  std::string line_with(const std::string& part) const {
    for (const TopScreen::Line& line : screen.lines(0, 0)) {
      if (line.text.find(part) != std::string::npos) return line.text;
    }
    return "";
  }

  TopScreen screen;
};

TEST_F(TopScreenTest, KnowsNoRatesFromOneAnswer) {
  ASSERT_TRUE(screen.note(status(10, 100, 50, 40), at(0)));
  EXPECT_THAT(line_with("line-1"), ContainsRegex("up +- +100"));
  EXPECT_THAT(line_with("cloud"), ContainsRegex("up +- +40 +2 h 05 min +-"));
}

TEST_F(TopScreenTest, SaysWhatGoesThroughASecondAndWhenABacklogIsGone) {
  ASSERT_TRUE(screen.note(status(10, 100, 50, 400), at(0)));
  ASSERT_TRUE(screen.note(status(14, 140, 150, 320), at(4)));
  EXPECT_THAT(line_with("line-1"), ContainsRegex("up +10\\.0 +140"));
  EXPECT_THAT(line_with("cloud"), ContainsRegex("up +25\\.0 +320 +2 h 05 min +16\\.0 s"));
}

TEST_F(TopScreenTest, LooksBackTenSecondsForRatesAndNoFurther) {
  for (int second = 0; second <= 30; ++second) {
    const std::uint64_t accepted = second <= 20 ? 0 : static_cast<std::uint64_t>(second - 20) * 7;
    ASSERT_TRUE(screen.note(status(static_cast<std::uint64_t>(second), accepted, 0, 0), at(second)));
  }
  EXPECT_THAT(line_with("line-1"), HasSubstr(" 7.0 "));
}

TEST_F(TopScreenTest, ABacklogThatGrowsHasNoEnd) {
  ASSERT_TRUE(screen.note(status(10, 0, 0, 400), at(0)));
  ASSERT_TRUE(screen.note(status(11, 0, 0, 500), at(1)));
  EXPECT_THAT(line_with("cloud"), ContainsRegex(" 500 +2 h 05 min +-$"));
}

TEST_F(TopScreenTest, ReckonsNothingOverARestartOfTheDaemon) {
  ASSERT_TRUE(screen.note(status(1000, 1000, 50, 0), at(0)));
  ASSERT_TRUE(screen.note(status(2, 1010, 50, 0), at(4)));
  EXPECT_THAT(line_with("line-1"), ContainsRegex("up +- +1010"));
}

TEST_F(TopScreenTest, ShowsOfDevicesThoseThatDoNotAnswer) {
  ASSERT_TRUE(screen.note(status(10, 0, 0, 0), at(0)));
  EXPECT_THAT(text(), ContainsRegex("  boiler +DOWN\n +no answer\n"));
  EXPECT_THAT(text(), Not(HasSubstr("pump")));
}

TEST_F(TopScreenTest, MarksWhatIsInTrouble) {
  ASSERT_TRUE(screen.note(status(10, 0, 0, 0, R"("up":false,"detail":"no connection","dead_letters":3)"), at(0)));
  for (const TopScreen::Line& line : screen.lines(0, 0)) {
    const bool is_of_cloud = line.text.find("cloud ") == 0 || line.text.find("no connection") != std::string::npos;
    if (!is_of_cloud) continue;
    EXPECT_EQ(line.emphasis, TopScreen::Emphasis::trouble) << line.text;
  }
  EXPECT_THAT(text(), ContainsRegex("cloud +DOWN .*\n  no connection; 3 dead letters\n"));
}

TEST_F(TopScreenTest, SaysAtOneLookWhatWantsSomebody) {
  std::string idle = status(10, 0, 0, 0);
  idle.insert(1, R"("rules_without_tag":["hot","wet"],"restart_needed_for":["buffer.size","gateway.id"],)");
  ASSERT_TRUE(screen.note(idle, at(0)));
  EXPECT_THAT(text(), HasSubstr("\nLOOK AT: device boiler DOWN; 2 rules match no tag so far; 2 changed settings "
                                "wait for a restart\n"));
  EXPECT_THAT(text(), HasSubstr("\nrules that match no tag so far: hot, wet\n"
                                "changed, and waits for a restart: buffer.size, gateway.id\n"));
  ASSERT_TRUE(screen.note(status(11, 0, 0, 0), at(1)));
  EXPECT_THAT(text(), Not(AnyOf(HasSubstr("match no tag"), HasSubstr("restart"))));
}

TEST_F(TopScreenTest, HasRoomForItsColumnsOnATerminalOfEighty) {
  ASSERT_TRUE(screen.note(status(10, 12345, 12345, 123456789), at(0)));
  EXPECT_THAT(text(0, 80), HasSubstr(" EMPTY IN\n"));
  EXPECT_THAT(text(0, 80), HasSubstr(" FULL IN\n"));
  EXPECT_THAT(text(0, 80), ContainsRegex("cloud .* 123456789 +2 h 05 min +-\n"));
}

TEST_F(TopScreenTest, SaysHowManyLinesHaveNoRoom) {
  ASSERT_TRUE(screen.note(status(10, 0, 0, 0), at(0)));
  const std::size_t all = screen.lines(0, 0).size();
  for (std::size_t rows = 1; rows < all; ++rows) {
    const auto lines = screen.lines(rows, 0);
    ASSERT_EQ(lines.size(), rows);
    ASSERT_THAT(lines.back().text, HasSubstr(std::to_string(all - rows + 1) + " more lines"));
  }
  EXPECT_EQ(screen.lines(all, 0).size(), all);
}

TEST_F(TopScreenTest, NoLineIsWiderThanTheWindowOrCutInACharacter) {
  ASSERT_TRUE(
      screen.note(status(10, 0, 0, 0, R"("up":false,"detail":"öäü öäü öäü öäü öäü öäü öäü öäü öäü öäü")"), at(0)));
  for (std::size_t columns = 1; columns < 160; ++columns) {
    for (const TopScreen::Line& line : screen.lines(0, columns)) {
      ASSERT_TRUE(is_valid_utf8(line.text)) << columns;
      std::size_t characters = 0;
      for (const char byte : line.text) characters += (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U ? 1 : 0;
      ASSERT_LE(characters, columns) << line.text;
    }
  }
}

// What a target says ends up in details: it must not move the cursor.
TEST_F(TopScreenTest, HasNoControlCharacters) {
  ASSERT_TRUE(screen.note(status(10, 0, 0, 0, R"("up":false,"detail":"a\u001b[2Jb\u009bc")"), at(0)));
  for (const TopScreen::Line& line : screen.lines(0, 0)) ASSERT_FALSE(has_control(line.text)) << line.text;
}

TEST_F(TopScreenTest, KeepsTheLastAnswerWhenOneIsNone) {
  ASSERT_TRUE(screen.note(status(10, 0, 0, 0), at(0)));
  const std::string before = text();
  for (const char* const wrong : {"", "[", "[1]", "<html>"}) {
    EXPECT_FALSE(screen.note(wrong, at(1))) << wrong;
    EXPECT_EQ(text(), before);
  }
}

TEST_F(TopScreenTest, AProblemStandsAboveTheLastAnswerWithinTheWindow) {
  ASSERT_TRUE(screen.note(status(100, 1000, 500, 500), at(0)));
  const std::string all = text(4, 20, "cannot reach the daemon at 127.0.0.1:8480");
  EXPECT_THAT(all, ::testing::StartsWith("cannot reach the ...\n"));
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 4);
}

TEST_F(TopScreenTest, ShowsNothingBeforeTheFirstAnswer) { EXPECT_EQ(text(), ""); }

}  // namespace
}  // namespace tidegate::daemon
