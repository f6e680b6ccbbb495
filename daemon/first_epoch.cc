#include "daemon/first_epoch.h"

#include <algorithm>
#include <chrono>

namespace tidegate::daemon {
namespace {

using std::chrono::minutes;
using MinutesSince1970 = std::chrono::duration<std::int64_t, minutes::period>;

constexpr std::int64_t kMinuteZero =
    std::chrono::floor<MinutesSince1970>(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1).time_since_epoch())
        .count();
constexpr std::uint32_t kMinutesOfYear = 365 * 24 * 60;
constexpr std::int64_t kMost = INT32_MAX / 2;  // some targets keep it in 32 bits with a sign, and it grows

}  // namespace

std::uint32_t first_epoch(const Clock& clock, std::uint32_t lot) {
  const auto since = std::chrono::floor<MinutesSince1970>(clock.wall_now().time_since_epoch()).count() - kMinuteZero;
  if (clock.quality() == ClockQuality::unsynced || since < 1) return 1 + lot % kMinutesOfYear;
  return static_cast<std::uint32_t>(std::min(since, kMost));
}

}  // namespace tidegate::daemon
