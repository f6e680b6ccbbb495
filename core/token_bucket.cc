#include "core/token_bucket.h"

#include <algorithm>
#include <chrono>

namespace tidegate {

void TokenBucket::refill(BootTime now) {
  if (!is_limited() || now <= refilled_) return;
  const std::chrono::duration<double> passed = now - refilled_;
  tokens_ = std::min<double>(per_second_, tokens_ + passed.count() * per_second_);
  refilled_ = now;
}

BootTime TokenBucket::ready_at(BootTime now) const {
  const double missing = std::max(1.0, per_second_ / 20.0) - tokens_;
  if (!is_limited() || missing <= 0) return now;
  // A millisecond more, so that rounding does not make it come just too early.
  return now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(missing / per_second_)) +
         std::chrono::milliseconds(1);
}

}  // namespace tidegate
