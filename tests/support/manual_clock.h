#pragma once

#include "core/clock.h"

namespace tidegate::testing {

/// A clock that stands still until it is told otherwise. One thread.
class ManualClock final : public Clock {
 public:
  WallTime wall_now() const override { return wall_; }
  BootTime boot_now() const override { return boot_; }
  ClockQuality quality() const override { return quality_; }

  void advance(Duration by) {
    wall_ += by;
    boot_ += by;
  }
  void step_wall(Duration by) { wall_ += by; }
  /// As after a start: the time since this boot began, and what the wall clock shows then.
  void boot(Duration since, WallTime wall) {
    boot_ = BootTime(since);
    wall_ = wall;
  }
  void set_quality(ClockQuality quality) { quality_ = quality; }

 private:
  WallTime wall_{std::chrono::seconds(1'760'000'000)};
  BootTime boot_{std::chrono::seconds(100)};
  ClockQuality quality_ = ClockQuality::synced;
};

}  // namespace tidegate::testing
