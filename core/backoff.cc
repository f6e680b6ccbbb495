#include "core/backoff.h"

#include <algorithm>

namespace tidegate {

Duration Backoff::next() {
  Duration bound = first_;
  for (std::uint32_t i = 0; i < attempts_ && bound < most_; ++i) bound *= 2;
  bound = std::min(bound, most_);
  ++attempts_;
  std::uniform_int_distribution<std::int64_t> jitter(bound.count() / 10, bound.count());
  return Duration(jitter(random_));
}

void Backoff::note_held(Duration held) {
  constexpr Duration kHeldLeast = std::chrono::seconds(10);
  if (held >= std::min(kHeldLeast, most_)) reset();
}

}  // namespace tidegate
