#include "daemon/event_record.h"

#include <gtest/gtest.h>

#include "uplink/json_text.h"

namespace tidegate::daemon {
namespace {

TEST(EventRecord, WritesTextsAsTextsAndNumbersAsNumbers) {
  const std::string driver = "line-1";
  EXPECT_EQ(event_record("start", WallTime(std::chrono::milliseconds(1'760'000'000'000)),
                         {{"driver", driver}, {"epoch", std::uint64_t{3}}, {"lost", std::uint64_t{0}}, {"detail", ""}}),
            R"({"event":"start","time":1760000000000,"driver":"line-1","epoch":3,"lost":0})");
}

// One that is not would keep every transport that reads the batch from all that is behind it.
TEST(EventRecord, IsRenderedInABatchWhateverTheDetailIs) {
  const std::string event =
      event_record("uplink-down", WallTime{}, {{"uplink", "k"}, {"detail", "refused: \xff\xc2\x9b"}});
  EXPECT_EQ(event, R"({"event":"uplink-down","time":0,"uplink":"k","detail":"refused: \\xff\u009b"})");
  const std::string batch = R"({"v":1,"sent":5,"events":[)" + event + "]}";
  std::string entry;
  const auto sent = uplink::for_each_entry(batch, Stream::events, [&](std::string_view one) { entry = one; });
  ASSERT_TRUE(sent) << sent.error().message;
  EXPECT_EQ(entry, event);
}

TEST(EventRecord, ALineOfTheLogEndsWithItsEventWhereThereIsNothingMoreToSay) {
  EXPECT_EQ(event_line("local", "driver-up", ""), "local driver-up");
  EXPECT_EQ(event_line("line-1/boiler", "device-down", "timeout"), "line-1/boiler device-down: timeout");
}

TEST(EventRecord, NamesTheFirstFindingsAndCountsTheOthers) {
  std::string detail = "after an unclean stop";
  append_findings(detail, {"segment 7 is damaged", "segment 9 is damaged"});
  EXPECT_EQ(detail, "after an unclean stop; segment 7 is damaged; segment 9 is damaged");
  append_findings(detail, std::vector<std::string>(1'000, std::string(1'000, 'x')));
  EXPECT_LT(detail.size(), 8'000U);
  EXPECT_TRUE(detail.ends_with("; and 980 more")) << detail;
}

}  // namespace
}  // namespace tidegate::daemon
