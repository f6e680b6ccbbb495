#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "buffer/ring_log.h"
#include "core/error.h"
#include "core/record.h"

namespace tidegate::daemon {

/// Where a command begins to read: "EPOCH:SEQUENCE", "SEQUENCE" (sequences go on over epochs), or a time such as
/// 2026-11-21T05:07:00Z, which is that of the records themselves.
struct Offset {
  std::optional<Position> position;       // EPOCH:SEQUENCE
  std::optional<std::uint64_t> sequence;  // SEQUENCE
  std::optional<WallTime> time;
};

Result<Offset> parse_offset(std::string_view text);
/// The position of a sequence in the newest epoch that gave it out. One that comes before all of them is at the oldest
/// record, one that is not given out yet at the end.
Position resolve_sequence(const buffer::LogState& state, Stream stream, std::uint64_t sequence);
/// "3:120"
std::string format_position(Position position);

}  // namespace tidegate::daemon
