#pragma once

#include <string>
#include <string_view>

#include "buffer/read_place.h"
#include "core/error.h"
#include "core/record.h"

namespace tidegate::daemon {

/// A place in a stream as every command and request takes it: "EPOCH:SEQUENCE", "SEQUENCE" (sequences go on over
/// epochs), "oldest", "end", a time such as 2026-11-21T05:07:00Z, or so long ago: "-2h" before `now`. What a time means
/// says buffer/read_place.h.
Result<buffer::ReadPlace> parse_offset(std::string_view text, WallTime now);
/// "3:120"
std::string format_position(Position position);

}  // namespace tidegate::daemon
