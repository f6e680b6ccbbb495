#include "drivers/mqtt/source_time.h"

#include <gtest/gtest.h>

#include <limits>

namespace tidegate::drivers {
namespace {

std::int64_t nanoseconds(std::optional<WallTime> time) { return time ? time->time_since_epoch().count() : -1; }

TEST(SourceTime, IntegersAreExactInEveryUnit) {
  EXPECT_EQ(nanoseconds(source_time(std::int64_t{1'732'060'000}, TimeUnit::seconds)), 1'732'060'000'000'000'000);
  EXPECT_EQ(nanoseconds(source_time(std::int64_t{1'732'060'000'123}, TimeUnit::milliseconds)),
            1'732'060'000'123'000'000);
  EXPECT_EQ(nanoseconds(source_time(std::int64_t{1'732'060'000'123'456}, TimeUnit::microseconds)),
            1'732'060'000'123'456'000);
  EXPECT_EQ(nanoseconds(source_time(std::int64_t{1'732'060'000'123'456'789}, TimeUnit::nanoseconds)),
            1'732'060'000'123'456'789);
}

TEST(SourceTime, FractionsKeepWhatADoubleHolds) {
  EXPECT_EQ(nanoseconds(source_time(1'732'060'000.456, TimeUnit::seconds)), 1'732'060'000'456'000'000);
  EXPECT_EQ(nanoseconds(source_time(1'732'060'000.123456, TimeUnit::seconds)), 1'732'060'000'123'456'000);
  EXPECT_EQ(nanoseconds(source_time(1'732'060'000'123.5, TimeUnit::milliseconds)), 1'732'060'000'123'500'000);
}

TEST(SourceTime, TextIsReadAsIso8601Only) {
  EXPECT_EQ(nanoseconds(source_time("2024-11-19T23:46:40.25Z", TimeUnit::iso8601)), 1'732'060'000'250'000'000);
  EXPECT_EQ(nanoseconds(source_time("2024-11-20T00:46:40+01:00", TimeUnit::iso8601)), 1'732'060'000'000'000'000);
  EXPECT_EQ(nanoseconds(source_time("2024-11-19T23:46:40Z", TimeUnit::seconds)), -1);
  EXPECT_EQ(nanoseconds(source_time("yesterday", TimeUnit::iso8601)), -1);
  EXPECT_EQ(nanoseconds(source_time(std::int64_t{1'732'060'000}, TimeUnit::iso8601)), -1);
  EXPECT_EQ(nanoseconds(source_time(1'732'060'000.5, TimeUnit::iso8601)), -1);
}

TEST(SourceTime, WhatIsNoTimeOfThisCenturyIsNone) {
  for (const std::int64_t number :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{946'684'799}, std::numeric_limits<std::int64_t>::max(),
        std::numeric_limits<std::int64_t>::min()}) {
    EXPECT_EQ(nanoseconds(source_time(number, TimeUnit::seconds)), -1) << number;
  }
  EXPECT_NE(nanoseconds(source_time(std::int64_t{946'684'800}, TimeUnit::seconds)), -1);
  for (const double number : {0.0, -1.0, 1e300, std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::quiet_NaN(), 9'223'372'036.9}) {
    EXPECT_EQ(nanoseconds(source_time(number, TimeUnit::seconds)), -1) << number;
  }
}

}  // namespace
}  // namespace tidegate::drivers
