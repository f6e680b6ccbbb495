#pragma once

#include <cstdint>

#include "core/record.h"

namespace tidegate::buffer {

/// A place in a stream as people name it.
///
/// `time` means the first record, in the order of the log, whose frame was taken in at that time or later by the wall
/// clock of then. So nothing that was taken in at or after it lies before the place. Where the clock was set back there
/// may be older ones behind it; where the clock was wrongly ahead once, the place may be earlier than expected: too
/// much rather than too little.
struct ReadPlace {
  enum class Kind : std::uint8_t { oldest, end, position, sequence, time };

  Kind kind = Kind::oldest;
  Position position;  // `sequence` uses only that of it: sequences go on over epochs
  WallTime time{};
  bool operator==(const ReadPlace&) const = default;
};

}  // namespace tidegate::buffer
