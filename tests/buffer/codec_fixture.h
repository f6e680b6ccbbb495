#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cfloat>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "core/reading.h"
#include "core/tag.h"

namespace tidegate::buffer {

/// Bit for bit, so that -0.0 and 0.0 are different and a NaN equals itself.
inline bool same_value(const Value& a, const Value& b) {
  if (a.index() != b.index()) return false;
  if (const auto* number = std::get_if<double>(&a)) {
    return std::bit_cast<std::uint64_t>(*number) == std::bit_cast<std::uint64_t>(std::get<double>(b));
  }
  return a == b;
}

inline bool same_reading(const Reading& a, const Reading& b) {
  return a.tag == b.tag && a.quality == b.quality && a.reason == b.reason && a.origin == b.origin && a.time == b.time &&
         same_value(a.value, b.value);
}

inline std::vector<Value> every_kind_of_value() {
  return {std::monostate(),
          false,
          true,
          std::int64_t{0},
          std::int64_t{-1},
          std::numeric_limits<std::int64_t>::min(),
          std::numeric_limits<std::int64_t>::max(),
          std::uint64_t{0},
          std::numeric_limits<std::uint64_t>::max(),
          0.0,
          -0.0,
          1.0,
          -1.5,
          0.1,
          21.5,
          1e300,
          -1e-300,
          DBL_MAX,
          DBL_MIN,
          DBL_TRUE_MIN,
          -DBL_TRUE_MIN,
          DBL_EPSILON,
          1.0 / 3,
          0.1 + 0.2,
          static_cast<double>(21.3F),
          static_cast<double>(-21.34F),
          static_cast<double>(FLT_MAX),
          static_cast<double>(FLT_TRUE_MIN),
          9007199254740993.0,
          123456789.123456789,
          140737488355327.0,
          140737488355328.0,
          -140737488355329.0,
          1e15,
          52.520008,
          std::numeric_limits<double>::infinity(),
          -std::numeric_limits<double>::infinity(),
          std::numeric_limits<double>::quiet_NaN(),
          std::bit_cast<double>(0x7ff0dead00000001ULL),
          std::string(),
          std::string("warm"),
          std::string("\0\xff\n", 3),
          std::string(100'000, 'x')};
}

/// What a codec of readings has to keep, whichever it is.
class CodecFixture : public ::testing::Test {
 protected:
  Reading reading(std::string_view path, Value value, std::int64_t nanoseconds = 1'760'000'000'000'000'000) {
    Reading made;
    made.tag = tags_.intern(path);
    made.time = WallTime(Duration(nanoseconds));
    made.value = std::move(value);
    return made;
  }

  std::vector<Reading> every_quality_reason_and_origin() {
    std::vector<Reading> readings;
    for (int quality = 0; quality < 3; ++quality) {
      for (int reason = 0; reason < 256; ++reason) {
        Reading& one = readings.emplace_back(reading("a/b", 1.0));
        one.quality = static_cast<Quality>(quality);
        one.reason = static_cast<Reason>(reason);
        one.origin = static_cast<TimeOrigin>(reason % 2);
      }
    }
    return readings;
  }

  /// Readings of `tags` tags in turn, lists of them: the ends of the axis, then steps of every unit, not all forward.
  std::vector<std::vector<Reading>> times_of_any_kind_and_order(std::size_t tags) {
    constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
    std::vector<std::vector<Reading>> lists;
    const auto add = [&](std::int64_t time) {
      lists.back().push_back(reading("a/" + std::to_string(lists.back().size() % tags), 1.0, time));
    };
    lists.emplace_back();
    for (const std::int64_t time : {kMin, kMax, std::int64_t{0}, std::int64_t{-1}, kMax, kMin, kMin + 1, kMax - 1}) {
      add(time);
    }
    for (const std::int64_t unit : {1, 1'000, 1'000'000, 1'000'000'000}) {
      lists.emplace_back();
      for (int i = 0; i < 50; ++i) add(1'700'000'000'000'000'000 + (i * i % 17) * unit);
    }
    return lists;
  }

  TagRegistry tags_;
};

}  // namespace tidegate::buffer
