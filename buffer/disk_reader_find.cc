// Where in a log a place is that people name.
#include <algorithm>

#include "buffer/disk_reader.h"

namespace tidegate::buffer {

// A position stays as it is where the log has it, or does not have it yet.
Result<std::optional<Position>> LogReader::find(const ReadPlace& place) {
  const std::uint64_t oldest = snapshot_.segments.empty() ? snapshot_.end : snapshot_.segments.front().first;
  switch (place.kind) {
    case ReadPlace::Kind::oldest:
      return snapshot_.epochs.at(oldest);
    case ReadPlace::Kind::end:
      return snapshot_.epochs.at(snapshot_.end);
    case ReadPlace::Kind::position:
      return std::max(place.position, snapshot_.epochs.at(oldest));
    case ReadPlace::Kind::sequence:
      return snapshot_.epochs.at(std::max(place.position.sequence, oldest));
    case ReadPlace::Kind::time:
      return find_time(place.time);
  }
  return std::nullopt;
}

// Only frame headers are looked at, and only of the first segment that has a frame of that time or later. A segment
// that is gone by now, or whose late frames are damaged, is passed over.
Result<std::optional<Position>> LogReader::find_time(WallTime time) {
  for (std::size_t i = 0; i < snapshot_.segments.size(); ++i) {
    const SegmentRef segment = snapshot_.segments[i];
    if (segment.wall_to < time) continue;
    const auto found = first_taken_in_at(time, segment);
    if (!found) return tl::unexpected(found.error());
    if (*found && **found < segment.end) return snapshot_.epochs.at(std::max(**found, segment.first));
  }
  return std::nullopt;
}

}  // namespace tidegate::buffer
