#include "daemon/clock_watch.h"

#include "core/log.h"
#include "daemon/clock_events.h"

namespace tidegate::daemon {
namespace {

// Less than what any time service sets rather than slews, and more than what this process may be held up between two
// readings of the clocks.
constexpr Duration kStepLeast = std::chrono::milliseconds(100);
constexpr Duration kReadingMax = std::chrono::milliseconds(10);
constexpr int kReadings = 5;

// Milliseconds, as the events have it: what is corrected now and what is corrected by the events later is the same.
ClockAnchor in_milliseconds(ClockAnchor anchor) {
  anchor.boot = std::chrono::floor<std::chrono::milliseconds>(anchor.boot);
  anchor.offset = std::chrono::floor<std::chrono::milliseconds>(anchor.offset);
  return anchor;
}

}  // namespace

ClockWatch::ClockWatch(Parts parts) : parts_(parts) {
  const auto now = read();
  last_ = now ? *now
              : ClockAnchor{parts_.history->this_boot(), parts_.clock->boot_now(), wall_less_boot(*parts_.clock),
                            parts_.clock->quality()};
  first_ = in_milliseconds(last_);
  parts_.history->add(first_);
  was_synced_ = last_.quality == ClockQuality::synced;
}

// Nothing when this thread was held up between the clocks each time: then their difference would not be the clock's.
std::optional<ClockAnchor> ClockWatch::read() const {
  for (int i = 0; i < kReadings; ++i) {
    const BootTime before = parts_.clock->boot_now();
    const WallTime wall = parts_.clock->wall_now();
    const BootTime boot = parts_.clock->boot_now();
    if (boot - before > kReadingMax) continue;
    return ClockAnchor{parts_.history->this_boot(), boot, wall.time_since_epoch() - boot.time_since_epoch(),
                       parts_.clock->quality()};
  }
  return std::nullopt;
}

void ClockWatch::look() {
  const auto now = read();
  if (!now) return;
  const Duration by = now->offset - last_.offset;
  const ClockQuality before = last_.quality;
  last_ = *now;
  const WallTime wall(now->boot.time_since_epoch() + now->offset);
  const ClockAnchor anchor = in_milliseconds(*now);
  if (by >= kStepLeast || by <= -kStepLeast) {
    ++steps_;
    parts_.history->add(anchor);
    parts_.pipeline->clock_was_set(by, wall);
    log_warning("clock", "was set from {} to {}, and is {} now", format_utc(wall - by), format_utc(wall),
                to_string(anchor.quality));
    parts_.pipeline->record_event(clock_step_event({by, wall, before, anchor}));
  }
  if (was_synced_ || now->quality != ClockQuality::synced) return;
  was_synced_ = true;
  parts_.history->add(anchor);
  log_info("clock", "is synced now: {}", format_utc(wall));
  parts_.pipeline->record_event(clock_synced_event(wall, anchor));
}

}  // namespace tidegate::daemon
