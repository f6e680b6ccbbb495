#include "daemon/offset.h"

#include <charconv>

#include "core/clock.h"
#include "core/text.h"

namespace tidegate::daemon {
namespace {

template <class Number>
bool parse_whole(std::string_view text, Number& number) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  return problem == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<Offset> parse_offset(std::string_view text) {
  Offset offset;
  if (std::uint64_t sequence = 0; parse_whole(text, sequence)) {
    offset.sequence = sequence;
    return offset;
  }
  const auto parts = split(text, ':');
  if (Position position;
      parts.size() == 2 && parse_whole(parts[0], position.epoch) && parse_whole(parts[1], position.sequence)) {
    offset.position = position;
    return offset;
  }
  if (const auto time = parse_rfc3339(text)) {
    offset.time = *time;
    return offset;
  }
  return fail(ErrorCode::invalid, "offset \"" + clip(text) +
                                      "\": allowed are EPOCH:SEQUENCE, SEQUENCE, or a time such as "
                                      "2026-11-21T05:07:00Z");
}

Position resolve_sequence(const buffer::LogState& state, Stream stream, std::uint64_t sequence) {
  Position found{0, sequence};  // before all epochs: the oldest record
  for (const auto& range : state.epochs) {
    if (range.stream != stream || range.epoch < found.epoch || sequence < range.first) continue;
    if (sequence <= range.last || range.epoch == state.epoch) found.epoch = range.epoch;
  }
  return found;
}

std::string format_position(Position position) {
  return std::to_string(position.epoch) + ":" + std::to_string(position.sequence);
}

}  // namespace tidegate::daemon
