#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/clock_history.h"

namespace tidegate::daemon {

/// The wall clock was set: what it showed, and what it shows since.
struct ClockStep {
  Duration by{};
  WallTime to{};
  ClockQuality before = ClockQuality::unsynced;
  ClockAnchor after;
};

/// Documents of the stream `events` that say where the wall clock stood; docs/adr/0008-time.md. Each ends in
/// "clock" (the quality), "boot_id", "boot_time" and "offset", milliseconds.
std::string clock_step_event(const ClockStep& step);
std::string clock_synced_event(WallTime time, const ClockAnchor& anchor);
/// Adds the same to a document.
std::string with_anchor(std::string document, const ClockAnchor& anchor);

/// What an event says of the clock; nothing for all other events.
std::optional<ClockAnchor> parse_clock_event(std::string_view document);

}  // namespace tidegate::daemon
