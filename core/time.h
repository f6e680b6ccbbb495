#pragma once

#include <chrono>

namespace tidegate {

using Duration = std::chrono::nanoseconds;

/// The two time axes are different types, so that nothing orders or expires by the wall clock by accident.
struct WallAxis {
  using duration = Duration;
};
struct BootAxis {
  using duration = Duration;
};

/// Nanoseconds since 1970-01-01 UTC. May step; only shown and sent, never used for order.
using WallTime = std::chrono::time_point<WallAxis, Duration>;
/// CLOCK_BOOTTIME: nanoseconds since this boot, suspend included. Never steps; starts again with every boot.
using BootTime = std::chrono::time_point<BootAxis, Duration>;

}  // namespace tidegate
