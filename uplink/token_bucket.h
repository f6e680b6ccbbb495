#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "core/time.h"

namespace tidegate::uplink {

/// How many records may go, a second: unused ones are kept up to `burst`. Begins full. Passive: times come in.
class TokenBucket {
 public:
  TokenBucket(double per_second, double burst) : per_second_(per_second), burst_(burst) {}

  /// From when on `count` may go; more than the burst as soon as it is full.
  BootTime ready_at(double count) const { return full_at_ - time_of(burst_ - std::min(count, burst_)); }
  void take(double count, BootTime now) { full_at_ = std::max(full_at_, now) + time_of(count); }

 private:
  Duration time_of(double count) const { return Duration(static_cast<std::int64_t>(count / per_second_ * 1e9)); }

  const double per_second_;
  const double burst_;
  BootTime full_at_{};
};

}  // namespace tidegate::uplink
