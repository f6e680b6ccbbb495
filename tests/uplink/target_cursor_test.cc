#include "uplink/target_cursor.h"

#include <gtest/gtest.h>

namespace tidegate::uplink {
namespace {

constexpr std::uint64_t mark(std::uint32_t number, std::uint32_t lot) { return (std::uint64_t{number} << 32U) | lot; }

TargetCursor example() {
  TargetCursor cursor;
  cursor.history = {"00ff", {mark(1, 7), mark(2, 8)}};
  cursor.instance = "ab12";
  cursor.next = {{Stream::readings, {2, 100}}, {Stream::events, {1, 3}}};
  return cursor;
}

TEST(TargetCursorTest, IsReadBackAsItWasWritten) {
  const std::string json = to_json(example());
  EXPECT_EQ(json, R"({"v":1,"log":"00ff","starts":[4294967303,8589934600],"instance":"ab12","streams":{)"
                  R"("readings":{"epoch":2,"next":100},"events":{"epoch":1,"next":3}}})");
  const auto back = parse_target_cursor(json);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, example());
  const TargetCursor empty{{"00ff", {}}, "ab12"};
  EXPECT_EQ(parse_target_cursor(to_json(empty)).value(), empty);
}

TEST(TargetCursorTest, RefusesWhatIsNoneAndShowsIt) {
  const std::string good = to_json(example());
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(parse_target_cursor(good.substr(0, length))) << length;
  }
  for (const char* const bad :
       {"1", "{}", R"({"v":2,"log":"a","starts":[],"instance":"b","streams":{}})",
        R"({"v":1,"log":"a","starts":[2,1],"instance":"b","streams":{}})",
        R"({"v":1,"log":"a","starts":[-1],"instance":"b","streams":{}})",
        R"({"v":1,"log":"a","starts":[],"instance":"b","streams":{"readings":{"epoch":4294967296,"next":1}}})",
        R"({"v":1,"log":"a","starts":[],"instance":"b","streams":{"readings":{"epoch":1}}})",
        R"({"v":1,"log":"a","starts":[],"instance":"b","streams":{},"earlier":{"log":"a"}})",
        R"({"v":1,"log":"a","starts":[],"instance":"b","streams":{},"earlier":1})"}) {
    const auto refused = parse_target_cursor(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_NE(refused.error().message.find(bad), std::string::npos) << refused.error().message;
  }
}

// An older copy of the disk came back, and nothing but readings has been sent since.
TEST(TargetCursorTest, KeepsWhatStoodThereOfStreamsThatHaveNotGoneOn) {
  TargetCursor ours;
  ours.history = {"00ff", {mark(1, 7), mark(2, 9)}};
  go_on_from(example(), ours);
  EXPECT_TRUE(ours.next.empty());
  move_to(ours, Stream::readings, {3, 50});
  EXPECT_EQ(ours.next, (Positions{{Stream::readings, {3, 50}}}));
  EXPECT_EQ(ours.earlier, (TargetCursor::Earlier{example().history, {{Stream::events, {1, 3}}}}));
  const std::string json = to_json(ours);
  EXPECT_EQ(parse_target_cursor(json).value(), ours) << json;
  TargetCursor next;
  next.history = {"00ff", {mark(1, 7), mark(2, 9), mark(3, 1)}};
  go_on_from(ours, next);
  EXPECT_EQ(next.next, ours.next);
  EXPECT_EQ(next.earlier, ours.earlier);
  move_to(next, Stream::events, {3, 1});
  EXPECT_EQ(next.earlier, std::nullopt);
}

TEST(TargetCursorTest, PassesOverWhatItDoesNotKnow) {
  EXPECT_TRUE(parse_target_cursor(R"({"v":1,"log":"a","starts":[],"instance":"b","streams":{"later":1},"more":{}})"));
}

TEST(TargetCursorTest, IsOfTheLogThatKnowsItsNewestStart) {
  const TargetCursor cursor = example();
  EXPECT_TRUE(is_of(cursor, {"00ff", {mark(1, 7), mark(2, 8), mark(3, 1)}}));
  EXPECT_FALSE(is_of(cursor, {"00fe", {mark(1, 7), mark(2, 8)}})) << "another log";
  EXPECT_FALSE(is_of(cursor, {"00ff", {mark(1, 7), mark(2, 9)}})) << "another start of that number";
  EXPECT_FALSE(is_of(cursor, {"00ff", {mark(1, 7)}})) << "a start that this log has yet to come to";
  EXPECT_TRUE(is_of(cursor, {"00ff", {mark(40, 1), mark(41, 1)}})) << "too long ago to tell";
}

TEST(TargetCursorTest, TwoCopiesHaveTheStartsBeforeTheyParted) {
  const LogHistory kept{"00ff", {mark(1, 7), mark(2, 8), mark(3, 1)}};
  EXPECT_EQ(last_common_start(kept, {"00ff", {mark(1, 7), mark(2, 8), mark(3, 2), mark(4, 2)}}), mark(2, 8));
  EXPECT_EQ(last_common_start(kept, {"00ff", {mark(3, 2)}}), std::nullopt);
  EXPECT_EQ(last_common_start(kept, {"00fe", kept.starts}), std::nullopt);
}

}  // namespace
}  // namespace tidegate::uplink
