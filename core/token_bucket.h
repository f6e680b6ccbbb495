#pragma once

#include <cstdint>

#include "core/time.h"

namespace tidegate {

/// A rate with bursts: so many a second, and up to a second's worth at once. Full at first. Not for several threads.
class TokenBucket {
 public:
  /// 0: no limit.
  explicit TokenBucket(std::uint32_t per_second) : per_second_(per_second), tokens_(per_second) {}

  bool is_limited() const { return per_second_ > 0; }
  bool has_token() const { return !is_limited() || tokens_ >= 1; }
  /// Whoever takes without having one waits the longer for the next.
  void take() { tokens_ -= 1; }
  void refill(BootTime now);
  /// When there are enough again to go on with for a while: a twentieth of a second's worth, one at least.
  BootTime ready_at(BootTime now) const;

 private:
  std::uint32_t per_second_;
  double tokens_;
  BootTime refilled_{};
};

}  // namespace tidegate
