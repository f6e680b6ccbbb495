#include "daemon/offset.h"

#include "core/clock.h"
#include "core/parse_whole.h"
#include "core/text.h"

namespace tidegate::daemon {

using buffer::ReadPlace;

Result<ReadPlace> parse_offset(std::string_view text, WallTime now) {
  ReadPlace place;
  if (text == "oldest") return place;
  if (text == "end") return ReadPlace{ReadPlace::Kind::end, {}, {}};
  if (const auto sequence = parse_whole<std::uint64_t>(text)) {
    place.kind = ReadPlace::Kind::sequence;
    place.position.sequence = *sequence;
    return place;
  }
  const auto parts = split(text, ':');
  if (parts.size() == 2) {
    const auto epoch = parse_whole<std::uint32_t>(parts[0]);
    const auto sequence = parse_whole<std::uint64_t>(parts[1]);
    if (epoch && sequence) return ReadPlace{ReadPlace::Kind::position, {*epoch, *sequence}, {}};
  }
  if (const auto time = parse_rfc3339(text)) return ReadPlace{ReadPlace::Kind::time, {}, *time};
  if (text.starts_with('-')) {
    if (const auto ago = parse_duration(text.substr(1))) return ReadPlace{ReadPlace::Kind::time, {}, now - *ago};
  }
  return fail(ErrorCode::invalid, "offset \"" + clip(text) +
                                      "\": allowed are EPOCH:SEQUENCE, SEQUENCE, oldest, end, a time such as "
                                      "2026-11-21T05:07:00Z, or so long ago, such as -2h");
}

std::string format_position(Position position) {
  return std::to_string(position.epoch) + ":" + std::to_string(position.sequence);
}

}  // namespace tidegate::daemon
