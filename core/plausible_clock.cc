#include "core/plausible_clock.h"

namespace tidegate {

void PlausibleClock::set_reached(WallTime time) {
  least_offset_ = (time.time_since_epoch() - clock_.boot_now().time_since_epoch()).count();
}

ClockQuality PlausibleClock::quality() const {
  const ClockQuality quality = clock_.quality();
  if (quality != ClockQuality::estimated) return quality;
  return wall_less_boot(clock_).count() < least_offset_ ? ClockQuality::unsynced : quality;
}

}  // namespace tidegate
