#pragma once

#include <string>
#include <string_view>

#include "core/clock.h"

namespace tidegate {

/// What the kernel said of the wall clock, when, and where the clock was then. A process whose sandbox refuses the
/// question (adjtimex also sets the clock, and a filter of system calls cannot tell) reads it from a file that another
/// one keeps: tidegate-clock, which may ask and can do nothing else.
struct ClockState {
  ClockQuality quality = ClockQuality::estimated;
  BootTime asked{};
  Duration wall_less_boot{};
};

/// Asks the kernel (adjtimex); never `unsynced`.
ClockQuality kernel_clock_quality();

/// One line, always of the same length, so that a write over the last one leaves nothing of it; and back.
std::string format_clock_state(const ClockState& state);
std::optional<ClockState> parse_clock_state(std::string_view line);

/// `synced` when the file says so, said it within the last seconds, and the clock was not set since; else `estimated`.
ClockQuality told_clock_quality(const std::string& path, BootTime now, Duration wall_less_boot);

}  // namespace tidegate
