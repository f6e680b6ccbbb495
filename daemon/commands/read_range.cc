#include "daemon/commands/read_range.h"

#include "core/clock.h"
#include "daemon/offset.h"

namespace tidegate::daemon {

Result<buffer::ReadRange> parse_read_range(Stream stream, const std::string& from, const std::string& to) {
  const WallTime now = SystemClock().wall_now();
  buffer::ReadRange range{stream, {}, std::nullopt};
  if (!from.empty()) {
    const auto place = parse_offset(from, now);
    if (!place) return tl::unexpected(place.error());
    range.from = *place;
  }
  if (to.empty()) return range;
  const auto place = parse_offset(to, now);
  if (!place) return tl::unexpected(place.error());
  range.to = *place;
  return range;
}

}  // namespace tidegate::daemon
