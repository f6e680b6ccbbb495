#include "core/backoff.h"

#include <algorithm>

namespace tidegate {

Duration Backoff::next() {
  bound_ = first_;
  for (std::uint32_t i = 0; i < attempts_ && bound_ < most_; ++i) bound_ *= 2;
  bound_ = std::min(bound_, most_);
  ++attempts_;
  std::uniform_int_distribution<std::int64_t> jitter(bound_.count() / 10, bound_.count());
  return Duration(jitter(random_));
}

void Backoff::note_held(Duration held) {
  constexpr Duration kHeldLeast = std::chrono::seconds(10);
  if (held >= std::max(bound_, std::min(kHeldLeast, most_))) reset();
}

}  // namespace tidegate
