#pragma once

#include <atomic>
#include <cstdint>

#include "core/clock.h"

namespace tidegate {

/// A clock that also knows what the log knows: records of that time exist, so a wall clock that shows less, and that no
/// time source keeps, was certainly never set (no battery, 1970, or the time of the last shutdown). It stays `unsynced`
/// until it is set or synced, not until it has run up to that time. A synced clock is believed whatever the log says:
/// the log may have been written by a clock that was ahead. Any thread may read it.
class PlausibleClock final : public Clock {
 public:
  explicit PlausibleClock(const Clock& clock) : clock_(clock) {}

  /// It is this late now, at least.
  void set_reached(WallTime time);

  WallTime wall_now() const override { return clock_.wall_now(); }
  BootTime boot_now() const override { return clock_.boot_now(); }
  ClockQuality quality() const override;

 private:
  const Clock& clock_;
  std::atomic<std::int64_t> least_offset_{INT64_MIN};  // of wall time less boot time, ns
};

}  // namespace tidegate
