#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "core/time.h"

namespace tidegate::uplink {

/// No time is longer as text.
inline constexpr std::size_t kTimeTextMax = 48;

/// Whole milliseconds towards the past, so that times before 1970 do not round the other way.
inline std::int64_t floor_milliseconds(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

/// The value of "time" in milliseconds and, where the time is finer, "time_ns" behind it. Returns the end of the text.
inline char* put_time(char* at, WallTime time) {
  constexpr std::string_view kFiner = ",\"time_ns\":";
  constexpr std::int64_t kMillisecond = 1'000'000;
  const std::int64_t nanoseconds = time.time_since_epoch().count();
  char* end = std::to_chars(at, at + kTimeTextMax, floor_milliseconds(time)).ptr;
  if (nanoseconds % kMillisecond == 0) return end;
  std::memcpy(end, kFiner.data(), kFiner.size());
  end += kFiner.size();
  return std::to_chars(end, at + kTimeTextMax, nanoseconds).ptr;
}

inline void append_time(std::string& out, WallTime time) {
  std::array<char, kTimeTextMax> text;
  out.append(text.data(), static_cast<std::size_t>(put_time(text.data(), time) - text.data()));
}

}  // namespace tidegate::uplink
