#include "drivers/mqtt/source_time.h"

#include <cmath>
#include <limits>

#include "core/clock.h"

namespace tidegate::drivers {
namespace {

constexpr Duration kFutureMax = std::chrono::hours(24);
constexpr WallTime kEarliest{std::chrono::seconds(946'684'800)};  // 2000-01-01

std::int64_t nanoseconds_of(TimeUnit unit) {
  switch (unit) {
    case TimeUnit::seconds:
      return 1'000'000'000;
    case TimeUnit::milliseconds:
      return 1'000'000;
    case TimeUnit::microseconds:
      return 1'000;
    case TimeUnit::nanoseconds:
      return 1;
    case TimeUnit::iso8601:
      break;
  }
  return 0;
}

std::optional<WallTime> plausible(WallTime time) {
  if (time < kEarliest) return std::nullopt;
  return time;
}

}  // namespace

std::optional<WallTime> source_time(std::int64_t number, TimeUnit unit) {
  const std::int64_t scale = nanoseconds_of(unit);
  if (scale == 0 || number < 0 || number > std::numeric_limits<std::int64_t>::max() / scale) return std::nullopt;
  return plausible(WallTime(Duration(number * scale)));
}

std::optional<WallTime> source_time(double number, TimeUnit unit) {
  const std::int64_t scale = nanoseconds_of(unit);
  if (scale == 0 || !(number >= 0)) return std::nullopt;
  const double microseconds = number * (static_cast<double>(scale) / 1000.0);
  constexpr double kMicrosecondsMax = 9.2e15;  // in nanoseconds just under 2^63
  if (!(microseconds < kMicrosecondsMax)) return std::nullopt;
  return plausible(WallTime(Duration(std::llround(microseconds) * 1000)));
}

std::optional<WallTime> source_time(std::string_view text, TimeUnit unit) {
  if (unit != TimeUnit::iso8601) return std::nullopt;
  const auto parsed = parse_rfc3339(text);
  if (!parsed) return std::nullopt;
  return plausible(*parsed);
}

WallTime latest_plausible(WallTime received, bool clock_is_synced) {
  return clock_is_synced ? received + kFutureMax : WallTime::max();
}

}  // namespace tidegate::drivers
