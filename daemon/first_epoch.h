#pragma once

#include <cstdint>

#include "core/clock.h"

namespace tidegate::daemon {

/// The epoch that a log begins with where there was none. A gateway may have had one before, on a card that is lost,
/// and its targets know records by (gateway, stream, epoch, sequence): the new log must not begin with numbers that
/// were given out. By a clock that may be right: the minutes since 2026 began, so that it also comes behind the old
/// ones unless that log grew its epoch once a minute. By one that was never set: the remainder of `lot` within the
/// first year of them. At least 1.
std::uint32_t first_epoch(const Clock& clock, std::uint32_t lot);

}  // namespace tidegate::daemon
