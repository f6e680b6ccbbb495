#include "uplink/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "uplink/placeholders.h"

namespace tidegate::uplink {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(FindTextMemberTest, FindsAMemberOfTheObjectItselfAndUnescapesIt) {
  EXPECT_EQ(find_text_member(R"({"cause":{"tag":"x"},"list":[{"tag":"y"}],"tag":"a\"\u00e4/b"})", "tag"), "a\"ä/b");
}

TEST(FindTextMemberTest, FindsNothingWhereThereIsNothingOrNoText) {
  EXPECT_EQ(find_text_member(R"({"cause":{"tag":"x"}})", "tag"), std::nullopt);
  EXPECT_EQ(find_text_member(R"({"tag":1})", "tag"), std::nullopt);
  EXPECT_EQ(find_text_member(R"(["tag"])", "tag"), std::nullopt);
  EXPECT_EQ(find_text_member("", "tag"), std::nullopt);
  EXPECT_EQ(find_text_member(R"({"tag":"x)", "tag"), std::nullopt);
}

TEST(ForEachEntryTest, GivesEveryEntryByteByByte) {
  std::vector<std::string> entries;
  const auto sent = for_each_entry(
      R"({"v":1,"sent":5,"prev":{"to":1},"events":[{"seq":1,"text":"],}{\"","list":[{},[1.50e0]]},{"seq":2}]})",
      Stream::events, [&](std::string_view entry) { entries.emplace_back(entry); });
  ASSERT_TRUE(sent) << sent.error().message;
  EXPECT_EQ(*sent, WallTime(std::chrono::milliseconds(5)));
  EXPECT_THAT(entries, ElementsAre(R"({"seq":1,"text":"],}{\"","list":[{},[1.50e0]]})", R"({"seq":2})"));
}

TEST(ForEachEntryTest, RefusesWhatIsNoBatchOfTheStream) {
  const auto ignore = [](std::string_view) {};
  for (const char* const payload :
       {"", "{}", R"({"sent":5})", R"({"sent":5,"alarms":[]})", R"({"sent":5,"events":[1]})",
        R"({"sent":"5","events":[]})", R"({"sent":5,"events":[{"seq":1})"}) {
    const auto sent = for_each_entry(payload, Stream::events, ignore);
    ASSERT_FALSE(sent) << payload;
    EXPECT_EQ(sent.error().code, ErrorCode::give_up_item);
    EXPECT_THAT(sent.error().message, HasSubstr("payload of stream events is no batch"));
  }
}

TEST(FillPlaceholdersTest, FillsEachAsOftenAsItComes) {
  EXPECT_EQ(*fill_placeholders("{a}/x/{b}{a}", {{"a", "1"}, {"b", "{a}"}}), "1/x/{a}1");
  EXPECT_EQ(*fill_placeholders("", {{"a", "1"}}), "");
}

TEST(FillPlaceholdersTest, NamesWhatItDoesNotKnowAndWhatItKnows) {
  const auto filled = fill_placeholders("t/{gate}", {{"gateway", "1"}, {"stream", "2"}});
  ASSERT_FALSE(filled);
  EXPECT_EQ(filled.error().message, "\"t/{gate}\": {gate} is not known; allowed are {gateway} {stream}");
  EXPECT_EQ(fill_placeholders("t/{gate", {}).error().message, "\"t/{gate\": '{' without '}'");
}

}  // namespace
}  // namespace tidegate::uplink
