#include "daemon/offset.h"

#include <charconv>

#include "core/clock.h"
#include "core/text.h"

namespace tidegate::daemon {
namespace {

using buffer::ReadPlace;

template <class Number>
bool parse_whole(std::string_view text, Number& number) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  return problem == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<ReadPlace> parse_offset(std::string_view text, WallTime now) {
  ReadPlace place;
  if (text == "oldest") return place;
  if (text == "end") return ReadPlace{ReadPlace::Kind::end, {}, {}};
  if (parse_whole(text, place.position.sequence)) {
    place.kind = ReadPlace::Kind::sequence;
    return place;
  }
  const auto parts = split(text, ':');
  if (Position position;
      parts.size() == 2 && parse_whole(parts[0], position.epoch) && parse_whole(parts[1], position.sequence)) {
    return ReadPlace{ReadPlace::Kind::position, position, {}};
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
