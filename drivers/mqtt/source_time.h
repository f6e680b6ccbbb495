#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/time.h"
#include "drivers/mqtt/options.h"

namespace tidegate::drivers {

/// A time that a payload gives, in a unit, as a time; nothing when it is none or before the year 2000.
std::optional<WallTime> source_time(std::int64_t number, TimeUnit unit);
/// Fractions of seconds and milliseconds count to the microsecond: a double holds no more of a time of today.
std::optional<WallTime> source_time(double number, TimeUnit unit);
std::optional<WallTime> source_time(std::string_view text, TimeUnit unit);

/// The latest time that what has arrived at `received` can be of: a day after, where our clock is right.
WallTime latest_plausible(WallTime received, bool clock_is_synced);

}  // namespace tidegate::drivers
