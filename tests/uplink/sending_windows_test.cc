#include "uplink/sending_windows.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace tidegate::uplink::testing {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const WallTime kMidnight{std::chrono::days(20'000)};

TEST(SendingWindowsTest, AreReadAndOthersRefused) {
  EXPECT_EQ(*parse_sending_window("22:00-06:30"), (SendingWindow{hours(22), hours(6) + minutes(30)}));
  EXPECT_EQ(*parse_sending_window("00:00-24:00"), (SendingWindow{hours(0), hours(24)}));
  for (const char* bad : {"", "22:00", "22:00-", "-06:00", "22-06", "24:00-06:00", "24:01-01:00", "22:60-06:00",
                          "2:00-06:00", "22:00-06:00 ", "+1:00-06:00", "22:00-06:00-07:00"}) {
    const auto window = parse_sending_window(bad);
    ASSERT_FALSE(window) << bad;
    EXPECT_EQ(window.error().message,
              "must be parts of a day in UTC as \"22:00-06:00\", found \"" + std::string(bad) + "\"");
  }
}

TEST(SendingWindowsTest, OneWithoutALengthIsToldHowToSayTheWholeDay) {
  EXPECT_EQ(parse_sending_window("22:00-22:00").error().message,
            "begins and ends at the same time; for the whole day \"00:00-24:00\", found \"22:00-22:00\"");
}

TEST(SendingWindowsTest, OpenAtTheBeginningAndAreClosedAtTheEnd) {
  const std::vector<SendingWindow> day{{hours(9), hours(17)}};
  EXPECT_EQ(next_opening(day, kMidnight), kMidnight + hours(9));
  EXPECT_EQ(next_opening(day, kMidnight + hours(9)), kMidnight + hours(9));
  EXPECT_EQ(next_opening(day, kMidnight + hours(17) - Duration(1)), kMidnight + hours(17) - Duration(1));
  EXPECT_EQ(next_opening(day, kMidnight + hours(17)), kMidnight + hours(33));
}

TEST(SendingWindowsTest, GoOverMidnight) {
  const std::vector<SendingWindow> night{{hours(22), hours(6)}};
  for (const auto open : {hours(22), hours(23), hours(0), hours(5)}) {
    EXPECT_EQ(next_opening(night, kMidnight + open), kMidnight + open);
  }
  EXPECT_EQ(next_opening(night, kMidnight + hours(6)), kMidnight + hours(22));
  EXPECT_EQ(next_opening(night, kMidnight + hours(21) + seconds(1)), kMidnight + hours(22));
}

TEST(SendingWindowsTest, OfSeveralTheFirstToOpenCounts) {
  const std::vector<SendingWindow> windows{{hours(22), hours(6)}, {hours(12), hours(13)}};
  EXPECT_EQ(next_opening(windows, kMidnight + hours(7)), kMidnight + hours(12));
  EXPECT_EQ(next_opening(windows, kMidnight + hours(13)), kMidnight + hours(22));
  EXPECT_EQ(next_opening({}, kMidnight), kMidnight);
  EXPECT_EQ(next_opening({{hours(0), hours(24)}}, kMidnight - seconds(1)), kMidnight - seconds(1));
}

TEST(SendingWindowsTest, HoldBefore1970) {
  const WallTime early{-std::chrono::days(3)};
  EXPECT_EQ(next_opening({{hours(9), hours(17)}}, early + hours(8)), early + hours(9));
}

}  // namespace
}  // namespace tidegate::uplink::testing
