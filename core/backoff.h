#pragma once

#include <cstdint>
#include <random>

#include "core/time.h"

namespace tidegate {

/// Exponential back-off with full jitter: the n-th delay is uniform in (0, min(most, first * 2^n)], never under a
/// tenth of that bound, so that a fleet does not come back in step and nobody spins.
/// (Full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter".)
class Backoff {
 public:
  Backoff(Duration first, Duration most, std::uint64_t seed) : first_(first), most_(most), random_(seed) {}

  /// The next delay; each call without reset() doubles the bound.
  Duration next();
  void reset() { attempts_ = 0; }
  /// What the delays are for held for so long, and ended. Begins anew behind ten seconds, or the longest delay where
  /// that is less: a line that is there for half a minute at a time is not waited for by pauses that have grown to a
  /// minute, and who is taken and dropped at once comes ever later.
  void note_held(Duration held);
  std::uint32_t attempts() const { return attempts_; }

 private:
  Duration first_;
  Duration most_;
  std::mt19937_64 random_;
  std::uint32_t attempts_ = 0;
};

}  // namespace tidegate
