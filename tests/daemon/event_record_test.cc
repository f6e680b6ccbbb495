#include "daemon/event_record.h"

#include <gtest/gtest.h>

namespace tidegate::daemon {
namespace {

TEST(EventRecord, WritesTextsAsTextsAndNumbersAsNumbers) {
  const std::string driver = "line-1";
  EXPECT_EQ(event_record("start", WallTime(std::chrono::milliseconds(1'760'000'000'000)),
                         {{"driver", driver}, {"epoch", std::uint64_t{3}}, {"lost", std::uint64_t{0}}, {"detail", ""}}),
            R"({"event":"start","time":1760000000000,"driver":"line-1","epoch":3,"lost":0})");
}

}  // namespace
}  // namespace tidegate::daemon
